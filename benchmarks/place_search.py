"""How surely a photo is found from another viewpoint among a collection, by local features, and what that costs.

    python benchmarks/place_search.py PHOTOS --among scenes/train --work FOLDER [--places places] [--count 300]

Each photo is turned by up to 40 degrees about a random axis (in perspective), scaled by 0.6 to 1.6, its gamma changed by 0.6
to 1.6, and a fifth of it hidden under squares of photos of --among, but not what its hole hides. These are indexed with the
photos of --among; the queries are the photos themselves, with an ellipse of 3 to 6 % in the middle missing. --places: a folder of
one folder a place, whose photos are indexed too; each of them is a query for the others. FOLDER keeps the changed photos and the
index for a next run.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index
from ce_retrieval.photos import load_photo
from ce_retrieval.places.search import feature_votes, place_votes, query_features

TURN, SCALE, GAMMA, HIDDEN = 40, (0.6, 1.6), (0.6, 1.6), 0.2
MIDDLE = (0.36, 0.64)  # of each side: the largest hole
FIRST = (1, 10, 30)


def homography(rng, height, width, scale):
    """Return the homography of a photo turned about its centre, and seen by a camera at a distance of its longer side."""
    axis = rng.standard_normal(3)
    turn, _ = cv2.Rodrigues(np.deg2rad(rng.uniform(0, TURN)) * axis / np.linalg.norm(axis))
    far = float(max(height, width))
    camera = np.array([[far, 0, width / 2], [0, far, height / 2], [0, 0, 1]])
    plane = np.column_stack([turn[:, 0], turn[:, 1], [0, 0, 1]])
    plane[:, :2] /= far
    zoom = np.array([[scale, 0, width / 2 * (1 - scale)], [0, scale, height / 2 * (1 - scale)], [0, 0, 1]])
    centred = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    return zoom @ camera @ plane @ centred


def changed(rng, photo, others):
    """Return a photo as it might look in a photo of the same place: turned, scaled, of another gamma, hidden in part."""
    height, width = photo.shape[:2]
    matrix = homography(rng, height, width, np.exp(rng.uniform(*np.log(SCALE))))
    seen = cv2.warpPerspective(photo, matrix, (width, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101)
    seen = (255 * (seen / 255) ** rng.uniform(*GAMMA)).astype(np.uint8)
    hidden = np.zeros((height, width), bool)
    middle = np.array([[[x * width, y * height]] for x in MIDDLE for y in MIDDLE])
    left, top, wide, high = cv2.boundingRect(cv2.perspectiveTransform(middle, matrix).astype(np.float32))
    while hidden.mean() < HIDDEN:
        side = int(rng.integers(height // 10, height // 4))
        y, x = rng.integers(0, height - side), rng.integers(0, width - side)
        if left - side < x < left + wide and top - side < y < top + high:
            continue  # what the hole hides must be in one of the two
        other = others[rng.integers(len(others))]
        v, u = rng.integers(0, other.shape[0] - side), rng.integers(0, other.shape[1] - side)
        seen[y : y + side, x : x + side] = other[v : v + side, u : u + side]
        hidden[y : y + side, x : x + side] = True
    return seen


def ellipse(rng, height, width):
    """Return a hole of 3 to 6 % of a photo in its middle."""
    wide = np.sqrt(rng.uniform(0.03, 0.06) / np.pi)
    y, x = np.mgrid[:height, :width]
    return ((y + 0.5) / height - 0.5) ** 2 + ((x + 0.5) / width - 0.5) ** 2 < wide**2


def make_photos(photos, among, folder, count):
    """Write the changed photos of a folder, once, hidden in part by squares of photos of `among`; return the photos' paths."""
    paths = sorted(path for path in photos.iterdir() if path.is_file())[:count]
    folder.mkdir(parents=True, exist_ok=True)
    if len(list(folder.iterdir())) != len(paths):
        files = sorted(path for path in among.rglob("*") if path.is_file())
        for number, path in enumerate(paths):
            rng = np.random.default_rng(number)
            others = [load_photo(files[n]).pixels for n in rng.integers(0, len(files), 8)]
            Image.fromarray(changed(rng, load_photo(path).pixels, others)).save(folder / f"{path.stem}.jpg", quality=90)
    return paths


def rank(votes, wanted):
    """Return the place of a photo among those found, from 1; infinite where it has no vote."""
    return 1 + int(np.count_nonzero(votes > votes[wanted])) if votes[wanted] > 0 else np.inf


def measure_changed(index, rows, paths):
    """Print how often a photo is found by its original, and the time of a search."""
    ranks, seconds = [], []
    for number, path in enumerate(paths):
        photo = load_photo(path).pixels
        hole = ellipse(np.random.default_rng(number), *photo.shape[:2])
        times = [time.perf_counter()]
        features = query_features(photo, hole)
        times.append(time.perf_counter())
        votes = feature_votes(index, features)
        times.append(time.perf_counter())
        seconds.append(np.diff(times))
        ranks.append(rank(votes, rows[path.stem]))
    found = ", ".join(f"recall@{k} {np.mean(np.array(ranks) <= k):.3f}" for k in FIRST)
    looking, searching = np.median(seconds[1:], axis=0)
    print(f"{len(paths)} photos: {found}; {looking:.3f} s for local features, {searching:.3f} s for a search")


def measure_places(index, rows, places):
    """Print at which ranks the other photos of its place stand, for each photo of each place."""
    for place in sorted(path for path in places.iterdir() if path.is_dir()):
        paths = sorted(place.iterdir())
        for path in paths:
            photo = load_photo(path).pixels
            votes = place_votes(index, photo, ellipse(np.random.default_rng(0), *photo.shape[:2]))
            votes[rows[path.stem]] = 0
            ranks = sorted(rank(votes, rows[other.stem]) for other in paths if other != path)
            print(
                f"{place.name}/{path.stem}: {sum(r <= 20 for r in ranks)} of {len(ranks)} in the first 20, at {ranks}"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--among", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--places", type=Path)
    parser.add_argument("--count", type=int, default=300)
    options = parser.parse_args()
    paths = make_photos(options.photos, options.among, options.work / "changed", options.count)
    sources = [options.among, options.work / "changed", *([options.places] if options.places else [])]
    for places in (False, True):
        out = options.work / ("places.ceret" if places else "plain.ceret")
        started, fresh = time.perf_counter(), not out.exists()
        build_index(sources, out, IndexSettings(features="thumbnail", kind="none", places=places))
        if fresh:
            print(f"built in {time.perf_counter() - started:.1f} s, {'with' if places else 'without'} local features")
    index = PhotoIndex.open(options.work / "places.ceret")
    files = [
        s for segment in index.manifest.segments for name, s in segment.files.items() if name.startswith("places-")
    ]
    print(f"{len(index)} photos, {sum(file.bytes for file in files) / len(index):.0f} bytes each")
    rows = {Path(record.key).stem: n for n, record in enumerate(index.records(range(len(index)))) if record.source}
    measure_changed(index, rows, paths)
    if options.places:
        measure_places(index, rows, options.places)


if __name__ == "__main__":
    main()
