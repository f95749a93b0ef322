"""The page in a real browser: paint, fill, choose, download."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from page_hand import LONG, arrived, choose, paint
from page_server import GRADIOS_OWN, page_of
from PIL import Image

from cli.main import main

pytest.importorskip("gradio", reason="Gradio is not installed")
pytestmark = [pytest.mark.web, *GRADIOS_OWN]

QUICK = ("--method", "scenes", "--rerank", "rim", "--aligned", "8")


@pytest.fixture(scope="module")
def address(crop_index):
    with page_of(crop_index) as tab:
        yield str(tab.client.base_url)


@pytest.fixture
def photo(tmp_path, bundled_photos):
    path = tmp_path / "beach.png"
    Image.fromarray(np.ascontiguousarray(bundled_photos[2][60:220, 100:300])).save(path)
    return path


def fetched(page, button, folder):
    with page.expect_download() as download:
        page.click(button)
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_paint_fill_choose_download(open_page, address, photo, tmp_path, crop_index):
    page = open_page(address, viewport={"width": 1280, "height": 900})
    choose(page, photo)
    paint(page)
    page.click("#method input")
    page.get_by_role("option", name="Scenes", exact=True).click()
    page.click("#more button")
    page.get_by_label("Order").click()
    page.get_by_role("option", name="By the pixels next to the hole").click()
    page.get_by_label("Scenes to place").fill("8")
    page.get_by_label("Scenes to place").blur()
    page.click("#fill")
    page.locator("#gallery .thumbnail-item").first.wait_for(timeout=LONG)
    page.locator("#gallery .thumbnail-item").nth(1).click()
    page.locator("#facts dl").wait_for()
    assert "Licence" in page.locator("#facts").inner_text()
    page.click("#take")
    downloads = tmp_path / "downloads"
    for _ in range(100):  # until the page shows what was taken
        page.wait_for_timeout(300)
        record = fetched(page, "#get-record", downloads)
        if json.loads(record.read_text())["settings"]["pick"] == 2:
            break
    picture, mask = (fetched(page, f"#get-{name}", downloads) for name in ("photo", "mask"))
    assert (picture.name, record.name, mask.name) == ("beach.png", "beach.json", "beach_mask.png")
    out = tmp_path / "out"
    words = ["complete", photo, "--mask", mask, "--index", crop_index, "--out", out, "--pick", 2, *QUICK]
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    mine, theirs = json.loads(record.read_text()), json.loads((out / "beach.json").read_text())
    assert mine["settings"] == theirs["settings"]
    assert (out / "beach.png").read_bytes() == picture.read_bytes()
    assert json.loads(record.read_text())["candidates"] == json.loads((out / "beach.json").read_text())["candidates"]


def test_a_photo_can_be_pasted_and_a_fault_is_said(open_page, address):
    page = open_page(address, viewport={"width": 1024, "height": 800}, color_scheme="dark")
    arrived(page)
    page.click("#fill")
    page.locator("#status [role=alert]").wait_for(timeout=LONG)
    assert "Choose a photo first" in page.locator("#status").inner_text()
    page.evaluate(
        """async () => {
          const canvas = Object.assign(document.createElement('canvas'), {width: 60, height: 40});
          canvas.getContext('2d').fillRect(0, 0, 30, 40);
          const blob = await new Promise((done) => canvas.toBlob(done, 'image/png'));
          const carried = new DataTransfer();
          carried.items.add(new File([blob], 'copied.png', {type: 'image/png'}));
          document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: carried, bubbles: true}));
        }"""
    )
    page.wait_for_function("document.querySelector('#about-photo').innerText.includes('60 × 40')", timeout=LONG)


@pytest.mark.slow
def test_photos_can_be_dropped_anywhere_and_among_the_others(open_page, address):
    page = open_page(address, viewport={"width": 1280, "height": 900})
    arrived(page)
    dropped = """async (place, names) => {
      const carried = new DataTransfer();
      for (const [number, name] of names.entries()) {
        const canvas = Object.assign(document.createElement('canvas'), {width: 60 + number, height: 40});
        const blob = await new Promise((done) => canvas.toBlob(done, 'image/png'));
        carried.items.add(new File([blob], name, {type: 'image/png'}));
      }
      const event = new DragEvent('drop', {dataTransfer: carried, bubbles: true, cancelable: true});
      place.dispatchEvent(event);
      return event.defaultPrevented;
    }"""
    assert page.locator("#title").evaluate(dropped, ["dropped.png"])
    page.wait_for_function("document.querySelector('#about-photo').innerText.includes('60 × 40')", timeout=LONG)
    assert page.locator("#others-of-place .drop").evaluate(dropped, ["a.png", "b.png", "c.png"])
    tiles = page.locator("#others-of-place .tiles li")
    tiles.nth(2).wait_for(timeout=LONG)
    page.get_by_role("button", name="Remove b.png").click()
    page.wait_for_function("document.querySelectorAll('#others-of-place .tiles li').length === 2", timeout=LONG)
    assert [one.get_attribute("alt") for one in page.locator("#others-of-place .tiles img").all()] == ["a.png", "c.png"]
    assert "dropped.png" in page.locator("#about-photo").inner_text()


@pytest.mark.parametrize("width", [390, *(pytest.param(wide, marks=pytest.mark.slow) for wide in (1024, 1920))])
def test_nothing_is_cut_off(open_page, address, photo, width, tmp_path):
    page = open_page(address, viewport={"width": width, "height": 800})
    choose(page, photo)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for place in ("#chooser .drop", "#canvas canvas", "#fill", "#method input", "#seam input"):
        box = page.locator(place).first.bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= width + 1, place


def test_what_is_there_has_a_name_for_screen_readers(open_page, address):
    page = open_page(address)
    arrived(page)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, textarea, [role=button]')]
          .filter((one) => one.offsetParent !== null && !one.closest('footer'))
          .filter((one) => !(one.getAttribute('aria-label') || one.innerText || one.labels?.length || one.title
            || one.getAttribute('aria-labelledby') || one.closest('label')))
          .map((one) => one.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement !== document.body")
