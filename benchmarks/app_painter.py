"""How quickly the painter of the page in the browser answers, in a headless Chromium without a GPU.

    python benchmarks/app_painter.py [--rounds N] [--out benchmarks/results/app_painter.md]

It needs the extra [web], playwright, and Chromium ($CERET_CHROMIUM, or the system's). The photos are scikit-image's cup, small
as it is and enlarged to 24 megapixels. Times are of the page's own clock, to the frame in which the result is seen.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright
from skimage import data

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "app")]

from conftest import FLAGS  # noqa: E402
from painter_hand import Hand  # noqa: E402
from painter_page import painter_page  # noqa: E402

from ce_retrieval.app.strokes import rasterise  # noqa: E402

WINDOWS = {"1024x768": (1024, 768), "1920x1080": (1920, 1080)}
LARGE = (4000, 6000)
STROKES, MOVES = 100, 20
# The photo is asked for as the server would ask: until the frame in which it and its tools are there.
SHOWN = """async (id) => {
  const root = document.querySelector(id), begun = performance.now();
  document.querySelector(id.replace('painter', 'show')).click();
  let asked = 0;
  while (!root.querySelector('[data-state=shown]') || !asked) {
    asked ||= root.querySelector('[data-state=loading]') ? performance.now() : 0;
    await new Promise(requestAnimationFrame);
  }
  await new Promise(requestAnimationFrame);
  return [(performance.now() - begun) / 1000, (performance.now() - asked) / 1000];
}"""


def stroke(hand: Hand, rng: np.random.Generator) -> float:
    """Draw a stroke of MOVES moves somewhere with the mouse: seconds until it is all seen."""
    height, width = hand.shape
    steps = rng.normal(scale=0.03, size=(MOVES, 2)).cumsum(0) + rng.uniform(0.2, 0.8, 2)
    places = [hand.place(*place) for place in np.clip(steps, 0.02, 0.98) * [width, height]]
    hand.page.mouse.move(*places[0])
    begun = time.perf_counter()
    hand.page.mouse.down()
    for place in places:
        hand.page.mouse.move(*place)
    hand.page.mouse.up()
    hand.settle()
    return time.perf_counter() - begun


def timed(action: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def measure(hand: Hand, name: str, shape: tuple[int, int], rounds: int, rows: dict[str, list[float]]) -> None:
    """Measure everything with one photo in one window."""
    rng = np.random.default_rng(0)
    for _ in range(rounds):
        hand.show("other", (100, 600))
        hand.field("photo").fill(name)
        hand.shape = shape
        whole, picture = hand.page.evaluate(SHOWN, f"#{hand.side}-painter")
        rows.setdefault("photo shown, from the click", []).append(whole)
        rows.setdefault("photo shown, from when the page asks for its picture", []).append(picture)
        hand.settle()
        hand.field("text").fill(painting(shape, STROKES))
        hand.push("set")
        hand.page.wait_for_selector(f"#{hand.side}-painter [data-command=clear]:not(:disabled)")
        hand.settle()
        rows.setdefault(f"a stroke of {MOVES} moves", []).extend(stroke(hand, rng) for _ in range(5))
        rows.setdefault(f"undo of a stroke after {STROKES}", []).append(timed(lambda: hand.press("Control+z")))
        rows.setdefault("grow the hole", []).append(timed(lambda: hand.press("g")))
        hand.press("Control+z")
        hand.hole()  # the kernels are compiled
        rows.setdefault(f"{STROKES} strokes sent, drawn by the server, and answered", []).append(timed(hand.answer))
        hand.page.mouse.move(*hand.place(shape[1] / 2, shape[0] / 2))

        def zoom() -> None:
            hand.page.mouse.wheel(0, -300)
            hand.settle()

        rows.setdefault("one step of zoom", []).append(timed(zoom))


def painting(shape: tuple[int, int], strokes: int) -> str:
    """Strokes of MOVES points with a brush of a fiftieth of the photo's long side, as JSON text."""
    height, width = shape
    rng = np.random.default_rng(1)
    actions = []
    for _ in range(strokes):
        points = rng.normal(scale=width / 100, size=(MOVES, 2)).cumsum(0) + rng.random(2) * [width, height]
        actions.append({"kind": "brush", "radius": width / 50, "points": points.round(2).tolist()})
    return json.dumps({"size": [width, height], "actions": actions})


def drawn_by_the_server(rounds: int) -> float:
    """The time to draw 200 strokes on 24 megapixels: median seconds."""
    text = painting(LARGE, 200)
    rasterise(text, LARGE)
    return statistics.median(timed(lambda: rasterise(text, LARGE)) for _ in range(rounds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "app_painter.md")
    arguments = parser.parse_args()
    cup = data.coffee()
    large = np.ascontiguousarray(np.kron(cup, np.ones((10, 10, 1), np.uint8)))
    photos = {"small": cup, "large": large, "other": cup[:100]}
    columns: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as place, sync_playwright() as driver:
        folder = Path(place)
        page_of = painter_page(folder, photos)
        _, address, _ = page_of.launch(
            server_name="127.0.0.1", allowed_paths=[place], prevent_thread_lock=True, quiet=True
        )
        executable = os.environ.get("CERET_CHROMIUM") or shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=executable, args=list(FLAGS))
        version = browser.version
        for window, (width, height) in WINDOWS.items():
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(address)
            hand = Hand(page, folder)
            for name, shape in (("small", (400, 600)), ("large", LARGE)):
                measure(hand, name, shape, arguments.rounds, columns.setdefault(f"{window}, {name}", {}))
            page.close()
        browser.close()
        page_of.close()
    drawing = drawn_by_the_server(arguments.rounds)
    names = list(next(iter(columns.values())))
    lines = [
        "# The painter in the browser",
        "",
        f"`python benchmarks/app_painter.py`: Chromium {version}, headless, software rendering; photos of 600x400 (small) and "
        f"6000x4000 px (large, shown by a picture of 2048 px); seconds, median of {arguments.rounds} rounds, and the slowest; "
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, load average at the end "
        f"{os.getloadavg()[0]:.1f}.",
        "",
        f"| | {' | '.join(columns)} |",
        f"|---|{'---:|' * len(columns)}",
    ]
    for name in names:
        cells = [f"{statistics.median(rows[name]):.2f} ({max(rows[name]):.2f})" for rows in columns.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        f"The server draws 200 strokes of {MOVES} points, 240 px wide, on 6000x4000 px in {drawing:.2f} s.",
        "",
    ]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
