"""The filled page at the widths of a phone, a small and a large screen, light and dark; pictures of it are kept for people.

They are written to the folder $CERET_SCREENSHOTS, which `make test-web` sets.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from page_hand import LONG, choose, paint
from page_server import GRADIOS_OWN, page_of
from PIL import Image

pytest.importorskip("gradio", reason="Gradio is not installed")
pytestmark = [pytest.mark.web, pytest.mark.slow, *GRADIOS_OWN]

# Of what is shown: text that its own box cuts off, and what lies outside the window.
CUT = """() => [...document.querySelectorAll('button, label, p, h1, h3, b, small, span, dt, dd, li, td')]
  .filter((one) => one.offsetParent !== null && one.innerText?.trim() && !one.closest('footer, .caption-label, .cm-editor'))
  .filter((one) => {
    const style = getComputedStyle(one), box = one.getBoundingClientRect();
    const cut = style.overflowX === 'hidden' && box.width > 2 && one.scrollWidth > one.clientWidth + 1;
    return cut || (box.width > 2 && (box.left < -1 || box.right > innerWidth + 1));
  }).map((one) => `${one.tagName}.${one.className}: ${one.innerText.slice(0, 60)}`)"""

# Contrast of texts with what lies behind them (WCAG 2, 1.4.3): those under 4.5, or 3 where they are large.
FAINT = """() => {
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.backgroundImage !== 'none') return null;
      const colour = numbers(style.backgroundColor);
      if (colour.length < 4 || colour[3] > 0.9) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const one of document.querySelectorAll('button, label, p, h1, h3, b, small, span, dt, dd, li, td, input, textarea')) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()) || one.value;
    if (!own || one.offsetParent === null || one.disabled) continue;
    if (one.closest('footer, .cm-editor, .icon, [aria-disabled=true]')) continue;
    const style = getComputedStyle(one), back = behind(one);
    const box = one.getBoundingClientRect();
    if (!back || box.width < 3 || style.opacity < 1 || !style.color.startsWith('rgb')) continue;
    const [a, b] = [light(numbers(style.color)), light(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05), size = parseFloat(style.fontSize);
    if (ratio < (size >= 24 || (size >= 18.6 && style.fontWeight >= 700) ? 3 : 4.5)) {
      found.push(`${ratio.toFixed(1)} ${one.tagName}.${one.className}: ${(one.innerText || one.value).slice(0, 50)}`);
    }
  }
  return found;
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    named = os.environ.get("CERET_SCREENSHOTS")
    path = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(scope="module")
def address(crop_index):
    with page_of(crop_index) as tab:
        yield str(tab.client.base_url)


@pytest.fixture
def photos(tmp_path, bundled_photos):
    """A photo to fill, and another one of the place."""
    paths = []
    for name, rows, columns in (
        ("beach", slice(60, 360), slice(100, 550)),
        ("another shot", slice(40, 340), slice(80, 520)),
    ):
        paths.append(tmp_path / f"{name}.png")
        Image.fromarray(np.ascontiguousarray(bundled_photos[2][rows, columns])).save(paths[-1])
    return paths


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1024, 768), (1920, 1080)])
def test_the_filled_page(open_page, address, photos, folder, width, height):
    page = open_page(address, viewport={"width": width, "height": height})
    choose(page, photos[0])
    page.set_input_files("#others-of-place input[type=file]", str(photos[1]))
    page.locator("#others-of-place .tiles img").wait_for(timeout=LONG)
    page.locator("#canvas canvas").first.scroll_into_view_if_needed()
    paint(page)
    page.click("#method input")
    page.get_by_role("option", name="Scenes", exact=True).click()
    page.click("#fill")
    page.locator("#gallery .thumbnail-item").first.wait_for(timeout=LONG)
    page.locator("#gallery .thumbnail-item").nth(1).click()
    page.locator("#facts dl").wait_for()
    page.mouse.move(2, 2)
    page.wait_for_timeout(1200)
    faults = []
    for scheme in ("light", "dark"):
        page.evaluate("(dark) => document.body.classList.toggle('dark', dark)", scheme == "dark")
        page.wait_for_timeout(400)
        page.screenshot(path=folder / f"{width}-{scheme}.png", full_page=True)
        faults += [(scheme, "cut", one) for one in page.evaluate(CUT)]
        faults += [(scheme, "faint", one) for one in page.evaluate(FAINT)]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not faults, "\n".join(map(str, faults))
