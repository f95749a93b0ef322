"""How the tests choose a photo in the page and paint on it."""

LONG = 60_000  # ms


def arrived(page):
    """Wait until the parts of the page are there: Gradio shows each as its scripts arrive."""
    for place in ("#chooser .drop", "#canvas [data-part=stage]", "#method input", "#fill"):
        page.locator(place).first.wait_for(timeout=LONG)


def paint(page):
    """Draw a stroke across the middle of the photo."""
    box = page.locator("#canvas canvas").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 40, y)
    page.mouse.down()
    page.mouse.move(x + 40, y + 10, steps=6)
    page.mouse.up()


def choose(page, photo):
    arrived(page)
    page.set_input_files("#chooser input[type=file]", str(photo))
    page.wait_for_function("document.querySelector('#about-photo').innerText.includes('pixels')", timeout=LONG)
    page.wait_for_timeout(800)
    page.locator("#canvas canvas").first.scroll_into_view_if_needed()
