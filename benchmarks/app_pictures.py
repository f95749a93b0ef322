"""The pictures of docs/app.md and README.md: a photo in the page, its hole painted by a hand, filled, and the other fills.

    python benchmarks/app_pictures.py [--out docs/images] [--chromium /usr/bin/chromium]

The photo is the left view of the stereo pair that scikit-image carries (Middlebury 2014, "Motorcycle"). The collection is the
right view and parts of the other photos that scikit-image carries. It needs Chromium, and Playwright from `.[dev]`.
"""

import argparse
import io
import itertools
import socket
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright
from skimage import data

from ce_retrieval.app.server import served
from ce_retrieval.app.settings import AppSettings
from ce_retrieval.photo_index import IndexSettings, build_index

ROOT = Path(__file__).resolve().parents[1]
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage")
CROP = 256  # px, side of the parts of the other photos
STROKE = ((0.41, 0.60), (0.45, 0.56), (0.50, 0.60), (0.46, 0.66))  # of the photo's width and height: over the engine
WIDTH, SHOWN = 1280, 1000  # px, of the window, and of the picture of it
PATIENCE = 180_000  # ms


def make_collection(folder: Path) -> tuple[Path, Path]:
    """Write the photos and index them; return the photo to fill, and the index."""
    left, right, _ = data.stereo_motorcycle()
    photos = folder / "photos"
    photos.mkdir()
    Image.fromarray(left).save(folder / "garage.png")
    Image.fromarray(right).save(photos / "garage-right.png")
    for name in ("coffee", "chelsea", "astronaut", "rocket"):
        photo = getattr(data, name)()
        rows, columns = ((size - CROP) // 3 for size in photo.shape[:2])
        for number, (row, column) in enumerate(itertools.product(range(4), range(4))):
            part = photo[row * rows : row * rows + CROP, column * columns : column * columns + CROP]
            Image.fromarray(part).save(photos / f"{name}-{number:02d}.png")
    build_index([photos], folder / "photos.ceret", IndexSettings(places=True))
    return folder / "garage.png", folder / "photos.ceret"


def paint(page) -> None:
    """Draw one stroke over the photo."""
    box = page.locator("#canvas canvas").first.bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in STROKE]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=8)
    page.mouse.up()


def picture(browser, address: str, photo: Path, width: int) -> tuple[Image.Image, int]:
    """Use the page in a window of this width; return what it shows, and how far down its result reaches, px."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.set_input_files("#chooser input[type=file]", str(photo))
    page.wait_for_function("document.querySelector('#about-photo').innerText.includes('pixels')")
    page.wait_for_timeout(1500)  # until the photo is drawn
    page.locator("#canvas canvas").first.scroll_into_view_if_needed()
    paint(page)
    page.click("#method input")
    page.get_by_role("option", name="Scenes", exact=True).click()
    page.click("#fill")
    page.locator("#gallery .thumbnail-item").first.wait_for()
    page.wait_for_timeout(1500)
    page.locator("#gallery .thumbnail-item").nth(0).click()
    page.locator("#facts dl").wait_for()
    page.mouse.move(5, 5)
    page.wait_for_timeout(1500)
    if str(photo.parent) in page.inner_text("body"):
        raise SystemExit("the page shows a path of this machine: no picture is kept")
    shown = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    bottom = page.evaluate("document.querySelector('#slider').getBoundingClientRect().bottom + window.scrollY")
    page.close()
    return shown, round(bottom)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="ceret-") as folder, sync_playwright() as driver:
        photo, index = make_collection(Path(folder))
        browser = driver.chromium.launch(executable_path=options.chromium, args=list(FLAGS))
        with served([index], AppSettings(port=port)) as address:
            wide, bottom = picture(browser, address, photo, WIDTH)
        browser.close()
    for name, shown in (("app.jpg", wide), ("app-top.jpg", wide.crop((0, 0, WIDTH, bottom + 16)))):
        shown.thumbnail((SHOWN, shown.height))
        shown.save(options.out / name, quality=82, optimize=True)
        print(options.out / name, shown.size)


if __name__ == "__main__":
    main()
