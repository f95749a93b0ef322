"""`ceret app` under load: the time until the first page, and many users at once.

    python benchmarks/app_load.py [--users 20] [--seconds 120] [--out benchmarks/results/app_load.md]

The collection is cut from the photos that scikit-image carries. First page: from the start of the command to the whole answer to
`GET /`; median of several starts. Load: each user opens the page anew for every round, fills a hole of its own by one method
after the other, and searches similar photos; all of it by the page's calls for programs. Memory is that of the server's process.
"""

import argparse
import contextlib
import itertools
import os
import platform
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import warnings
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from ce_retrieval.photo_index import IndexSettings, build_index

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "import sys; from ce_retrieval.installation import main; main()"
METHODS = ("scenes", "auto", "retrieval", "patchmatch", "network")
STARTS = 5
CROP = 192  # px, side of a photo of the collection
PHOTO = (300, 400)  # px, height and width of a photo that is filled


def photos() -> list[np.ndarray]:
    left, right, _ = data.stereo_motorcycle()
    return [data.astronaut(), data.chelsea(), data.coffee(), data.rocket(), left, right]


def make_collection(folder: Path) -> Path:
    """Cut a collection, and index it as `ceret index` does by default."""
    for number, photo in enumerate(photos()):
        place = folder / "photos" / f"photo{number}"
        place.mkdir(parents=True)
        rows = np.linspace(0, photo.shape[0] - CROP, 8).astype(int)
        columns = np.linspace(0, photo.shape[1] - CROP, 10).astype(int)
        for name, (row, column) in enumerate(itertools.product(rows, columns)):
            Image.fromarray(photo[row : row + CROP, column : column + CROP]).save(place / f"{name:02d}.png")
    build_index([folder / "photos"], folder / "photos.ceret", IndexSettings())
    return folder / "photos.ceret"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def served(index: Path):
    """Start the command; yield its address, its process, and the seconds until the first page."""
    port, began = free_port(), time.perf_counter()
    address = f"http://127.0.0.1:{port}/"
    words = [sys.executable, "-c", COMMAND, "app", "--index", str(index), "--port", str(port)]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                with urllib.request.urlopen(address, timeout=5) as answer:
                    answer.read()
                break
            except OSError:
                if process.poll() is not None:
                    sys.exit("the command has ended")
                time.sleep(0.02)
        yield address, process, time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def processor_time_of(process: subprocess.Popen) -> float:
    """Processor time that a process has taken, s."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(process: subprocess.Popen) -> float:
    """Resident memory of a process, MB."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def user(number: int, address: str, folder: Path, until: float, done: list, faults: list) -> None:
    """One user, who goes on until the time is over."""
    from gradio_client import Client, handle_file

    rng = random.Random(number)
    own = folder / f"user{number}"
    own.mkdir()
    pixels = photos()[number % 6]
    for method in itertools.islice(itertools.cycle(METHODS), number, None):
        top, left = rng.randrange(pixels.shape[0] - PHOTO[0] + 1), rng.randrange(pixels.shape[1] - PHOTO[1] + 1)
        Image.fromarray(pixels[top : top + PHOTO[0], left : left + PHOTO[1]]).save(own / "photo.png")
        hole = np.zeros(PHOTO, np.uint8)
        row, column = rng.randrange(40, 160), rng.randrange(40, 240)
        hole[row : row + rng.randrange(20, 100), column : column + rng.randrange(20, 120)] = 255
        Image.fromarray(hole).save(own / "mask.png")
        try:
            page = Client(address, verbose=False, download_files=str(own))
            for name, more in (("/complete", {"method": method}), ("/neighbors", {"k": 12})):
                if time.time() > until:
                    return
                began = time.perf_counter()
                page.predict(handle_file(own / "photo.png"), handle_file(own / "mask.png"), api_name=name, **more)
                done.append((name, method, time.perf_counter() - began))
        except Exception as error:
            faults.append(f"{method}: {error}")


def load(index: Path, folder: Path, users: int, seconds: int):
    """Return what was done, the faults, and the memory (seconds, MB) while all users worked."""
    done, faults, memory = [], [], []
    with served(index) as (address, process, _):
        began = time.time()
        threads = [
            threading.Thread(target=user, args=(n, address, folder, began + seconds, done, faults))
            for n in range(users)
        ]
        for thread in threads:
            thread.start()
        while time.time() < began + seconds:
            memory.append((time.time() - began, memory_of(process)))
            time.sleep(1)
        for thread in threads:
            thread.join()
        memory.append((time.time() - began, memory_of(process)))
    return done, faults, memory


def table(options, firsts, done, faults, memory) -> list[str]:
    fills = [one for one in done if one[0] == "/complete"]
    searches = [one for one in done if one[0] == "/neighbors"]

    def between(first: float, last: float) -> float:
        return statistics.median(mb for second, mb in memory if first <= second <= last)

    half, most = options.seconds / 2, max(mb for _, mb in memory)
    rows = [
        ("first page after the command, median", f"{statistics.median(s for s, _ in firsts):.1f} s"),
        ("processor time until then, median", f"{statistics.median(s for _, s in firsts):.1f} s"),
        ("users at once, and for how long", f"{options.users}, {options.seconds} s"),
        ("holes filled, searches", f"{len(fills)}, {len(searches)}"),
        ("errors", str(len(faults))),
        (
            "a fill with its waiting: median, slowest",
            f"{statistics.median(s for *_, s in fills):.1f} s, {max(s for *_, s in fills):.1f} s",
        ),
        (
            "memory around the middle, at the end, most",
            ", ".join(
                f"{mb:.0f} MB"
                for mb in (between(half, half + 15), between(options.seconds - 15, options.seconds), most)
            ),
        ),
    ]
    return ["| what | measured |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows), *faults[:5]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # gradio_client's own
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        index = make_collection(folder)
        firsts = []
        for _ in range(STARTS):
            with served(index) as (_, process, seconds):
                firsts.append((seconds, processor_time_of(process)))
        done, faults, memory = load(index, folder, options.users, options.seconds)
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.machine()}; users and server share them."
    lines = [
        "# The page under load",
        "",
        f"`python benchmarks/app_load.py`: {machine}",
        "",
        *table(options, firsts, done, faults, memory),
    ]
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
