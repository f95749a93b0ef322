"""What the judges of "the same photo" say of pairs: copies, frames of a burst, other viewpoints, other scenes.

    python benchmarks/same_view.py [--data FOLDER] [--photos N] [--out benchmarks/results/same_view.md]

The data folder holds places, photos/bsds, photos/hays_efros and shapes. A pair counts as a leak by the whole photos, as left
out (`exclude_same_source`) by the photo without its hole, and as a source or a copy by `photos.copies`: once with the photo's
own pixels under the hole, once with grey there. Frames are simulated: one photo, moved, turned, zoomed, exposed otherwise,
each with noise and JPEG of its own, and a passer-by in the first alone: an object's shape with the texture of another photo.
"""

import argparse
import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from skimage import data as bundled

from ce_retrieval.photos.copies import Copies, Verdict
from ce_retrieval.photos.near_duplicates import MIN_COARSE, coarse, fine, near_duplicates, similarity
from ce_retrieval.photos.sameness import SAME_VIEW

ROOT = Path(__file__).resolve().parents[1]
SIDE = 128  # px, of an index
LARGEST = 1024  # px
TALL = 0.2  # of the photo's height: the passer-by
MARGIN = 0.03  # of the shorter side, cut off: moving a frame shows what lies beyond the photo
Pair = tuple[np.ndarray, np.ndarray, np.ndarray]  # photo, hole, other
FRAMES: dict[str, dict[str, float]] = {
    "burst: still": {},
    "burst: moved by 1 px": {"dx": 1},
    "burst: moved by 3 px": {"dx": 3, "dy": -1},
    "burst: moved by 8 px": {"dx": 8, "dy": -5},
    "burst: turned by 0.8 degrees": {"dx": 2, "turn": 0.8},
    "burst: zoomed by 1 %": {"zoom": 1.01},
    "burst: other exposure": {"gamma": 0.75},
    "burst: all of these": {"dx": 5, "dy": 3, "turn": 0.6, "zoom": 1.01, "gamma": 1.2},
}


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    stored = io.BytesIO()
    image.save(stored, "JPEG", quality=quality)
    return Image.open(stored)


def cropped(image: Image.Image) -> Image.Image:
    across, down = round(0.04 * image.width), round(0.04 * image.height)
    return image.crop((across, down, image.width - across, image.height - down))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "copy: half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "copy: JPEG of quality 20": lambda image: jpeg(image, 20),
    "copy: mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "copy: cropped by 4 % a side": cropped,
    "copy: brightened": lambda image: image.point(lambda value: min(255, round(1.1 * value) + 5)),
    "copy: cropped, brightened, JPEG 20": lambda image: jpeg(
        cropped(image).point(lambda v: min(255, round(1.1 * v))), 20
    ),
}


def loaded(path: Path) -> np.ndarray:
    photo = Image.open(path).convert("RGB")
    photo.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    return np.asarray(photo)


def ellipse(photo: np.ndarray) -> np.ndarray:
    height, width = photo.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    return ((rows / height - 0.5) ** 2 + (columns / width - 0.5) ** 2) < 0.085**2


def passer_by(photo: np.ndarray, texture: np.ndarray, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The photo with an object in its middle, and the hole that takes it away."""
    height, width = photo.shape[:2]
    tall = round(TALL * height)
    wide = min(max(8, round(tall * shape.shape[1] / shape.shape[0])), width // 3)
    y, x = (height - tall) // 2, (width - wide) // 2
    there = np.zeros((height, width), np.uint8)
    there[y : y + tall, x : x + wide] = cv2.resize(shape.astype(np.uint8), (wide, tall), interpolation=0)
    soft = cv2.GaussianBlur(there.astype(np.float32), (0, 0), 0.7)[..., None]
    shown = photo * (1 - soft) + cv2.resize(texture, (width, height)) * soft
    return shown.astype(np.uint8), cv2.dilate(there, np.ones((9, 9))) > 0


def frame(photo: np.ndarray, rng: np.random.Generator, *, dx=0.0, dy=0.0, turn=0.0, zoom=1.0, gamma=1.0) -> np.ndarray:
    height, width = photo.shape[:2]
    warp = cv2.getRotationMatrix2D((width / 2, height / 2), turn, zoom)
    warp[:, 2] += dx, dy
    moved = cv2.warpAffine(photo, warp, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    noisy = 255 * (moved / 255) ** gamma + rng.normal(0, 2, moved.shape)
    stored = np.asarray(jpeg(Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)), 92))
    return inner(stored)


def inner(picture: np.ndarray) -> np.ndarray:
    edge = round(MARGIN * min(picture.shape[:2]))
    return picture[edge:-edge, edge:-edge]


def shapes(folder: Path, count: int) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    for path in sorted(folder.glob("*.png"))[::7]:
        mask = np.asarray(Image.open(path))
        objects = [number for number in np.unique(mask) if 0 < number <= 20]
        if objects and 0.02 < (shape := mask == objects[0]).mean() < 0.4 and len(found) < count:
            rows, columns = np.nonzero(shape)
            found.append(shape[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])
    return found


def groups(data: Path, count: int) -> Iterator[tuple[str, list[Pair]]]:
    """Yield the pairs of each kind."""
    for place in sorted((data / "places").iterdir()):
        photos = [loaded(path) for path in sorted(place.iterdir())]
        yield f"another viewpoint: {place.name}", [(a, ellipse(a), b) for a, b in itertools.permutations(photos, 2)]
    left, right, _ = bundled.stereo_motorcycle()
    yield "another viewpoint: stereo pair", [(left, ellipse(left), right), (right, ellipse(right), left)]
    home = data / "photos" / "hays_efros"
    for path in sorted(home.glob("input?.jpg")):
        photo = loaded(path)
        mask = Image.open(home / f"{path.stem}_mask.jpg").convert("L").resize(photo.shape[1::-1])
        others = [loaded(each) for each in sorted((home / path.stem).iterdir())]
        yield f"another scene: {path.stem}", [(photo, np.asarray(mask) < 128, other) for other in others]
    files = sorted((data / "photos" / "bsds").rglob("*.jpg"))
    photos = [loaded(path) for path in files[:: len(files) // count][:count]]
    for name, treat in COPIES.items():
        yield name, [(a, ellipse(a), np.asarray(treat(Image.fromarray(a)).convert("RGB"))) for a in photos]
    objects = shapes(data / "shapes", count)
    for name, moved in FRAMES.items():
        rng, pairs = np.random.default_rng(0), []
        for number, photo in enumerate(photos):
            shot, hole = passer_by(photo, photos[(number + 5) % len(photos)], objects[number % len(objects)])
            pairs.append((frame(shot, rng), inner(hole), frame(photo, rng, **moved)))
        yield name, pairs


def square(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def is_leak(photo: np.ndarray, other: np.ndarray) -> bool:
    """What the leak guard says of squares of two photos."""
    for query in (photo, photo[:, ::-1]):
        framing = float(coarse(query[None])[0] @ coarse(other[None])[0])
        if framing >= MIN_COARSE and similarity(fine(query), fine(other), None, framing) >= SAME_VIEW:
            return True
    return False


def judged(pair: Pair) -> tuple[bool, bool, Verdict, Verdict]:
    """Whether the other photo is a leak and left out, and its verdict with the hole's content and without."""
    photo, hole, other = pair
    query, small = square(photo), square(other)
    missing = np.asarray(Image.fromarray(hole).resize((SIDE, SIDE), Image.Resampling.NEAREST))
    left_out = bool(near_duplicates(query, missing, small[None])[0])
    painted = np.where(hole[..., None], np.uint8(127), photo)
    verdicts = [Copies(each, hole, query, missing).verdicts(other[None])[0] for each in (photo, painted)]
    return is_leak(query, small), left_out, verdicts[0], verdicts[1]


def refused(verdicts: tuple[Verdict, ...]) -> int:
    """How many are copies, or may be, and so do not fill."""
    return sum(verdict in (Verdict.COPY, Verdict.TOO_SMALL) for verdict in verdicts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--photos", type=int, default=30, help="photos of BSDS that are copied and moved")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/same_view.md")
    args = parser.parse_args()
    lines = [
        "# Same view, copy, or neither",
        "",
        f"`python benchmarks/same_view.py --photos {args.photos}`. How many pairs count as the same view (by the leak guard; by "
        "`exclude_same_source`), and as copies, which do not fill (with the photo's own pixels under the hole; painted grey).",
        "",
        "| pairs | n | leaks | left out | copies | copies, hole painted |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, pairs in groups(args.data, args.photos):
        leaks, left_out, shown, painted = zip(*map(judged, pairs), strict=True)
        lines.append(
            f"| {name} | {len(pairs)} | {sum(leaks)} | {sum(left_out)} | {refused(shown)} | {refused(painted)} |"
        )
        print(lines[-1], flush=True)
    args.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
