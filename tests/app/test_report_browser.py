"""The report of an experiment in a real browser, from the disk: it sorts, picks, enlarges, and asks nobody for anything."""

import pytest
from made_evaluation import made_evaluation

from ce_retrieval.evaluation.page.page import page

pytestmark = [pytest.mark.web, pytest.mark.slow]

NAMES = ["<script>document.title = 'bad'</script>.png", "a\"b'c.png", *(f"kind/{number}.png" for number in range(10))]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    evaluations = {name: made_evaluation(NAMES, masks=name, more=("perceptual",)) for name in ("center", "irregular")}
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page("seeds = [0]\n", ["held-out"], evaluations, evaluations, {}, [0]), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser, report):
    """A function that opens the report in a window of its own; at the end it fails if the page asked for anything."""
    faults, contexts = [], []

    def window(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        shown = context.new_page()
        shown.on("console", lambda message: faults.append(message.text))
        shown.on("pageerror", lambda error: faults.append(str(error)))
        shown.on("request", lambda request: asked.append(request.url) if not request.url.startswith("data:") else None)
        shown.goto(report.as_uri())
        return shown

    asked = []
    yield window
    for context in contexts:
        context.close()
    assert not faults and asked == [report.as_uri()] * len(contexts)


def test_the_report_works_from_the_disk(opened):
    shown = opened(viewport={"width": 1280, "height": 900}, color_scheme="dark")
    assert shown.title() == "held-out: methods compared"
    table = shown.locator("table.sortable").first
    methods = lambda: table.locator("tbody th").evaluate_all("all => all.map(one => one.dataset.value)")  # noqa: E731
    head = table.get_by_role("button", name="L2 %")
    head.click()
    assert methods() == ["oracle", "scenes", "patchmatch", "network"]
    head.press("Enter")
    assert methods() == ["network", "patchmatch", "scenes", "oracle"]
    assert head.locator("..").get_attribute("aria-sort") == "descending"

    gallery = shown.locator(".gallery").first
    assert gallery.locator("tbody tr").count() == 4 and gallery.locator("thead th:visible").count() == 7
    gallery.get_by_label("patchmatch").uncheck()
    assert gallery.locator("thead th:visible").all_inner_texts()[2:] == ["scenes", "network", "oracle", "truth"]
    assert gallery.locator("tbody tr").first.locator("img:visible").count() == 5
    gallery.get_by_label("Which photos").select_option("worst")
    gallery.get_by_label("Of which method").select_option(label="network")
    figures = gallery.locator("tbody tr td:nth-child(5) small").all_inner_texts()
    assert len(figures) == 6 and figures == sorted(figures, key=lambda text: -float(text.split()[-1]))

    picture = gallery.locator("tbody td button").nth(1)
    picture.focus()
    picture.press("Enter")
    dialog = shown.get_by_role("dialog")
    assert dialog.is_visible() and dialog.locator("#large-name").inner_text() == "scenes"
    shown.keyboard.press("ArrowRight")
    assert dialog.locator("#large-name").inner_text() == "network", "the column of patchmatch is hidden"
    assert dialog.locator("img").evaluate("one => one.naturalWidth") == 32
    shown.keyboard.press("Escape")
    assert not dialog.is_visible()


def test_nothing_overflows_a_phone_and_everything_has_a_name(opened):
    shown = opened(viewport={"width": 390, "height": 800})
    assert shown.evaluate("document.documentElement.scrollWidth") <= 390
    shown.locator(".gallery td button").first.click()
    box = shown.get_by_role("dialog").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["y"] + box["height"] <= 800
    shown.keyboard.press("Escape")
    nameless = shown.evaluate(
        """() => [...document.querySelectorAll('button, input, select, img, svg[role], [role=region]')]
          .filter((one) => one.id !== 'large' && !one.closest('dialog'))
          .filter((one) => !(one.getAttribute('aria-label') || one.innerText || one.labels?.length || one.alt
            || one.querySelector('img[alt]')))
          .map((one) => one.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
