"""Filling from other photos of the same place: how near to the truth, how often found, and how often wrong.

    python benchmarks/places.py real HOLES PHOTOS [--index NAME.ceret] [--out FOLDER]
    python benchmarks/places.py changed PHOTOS --work FOLDER [--count 300]
    python benchmarks/places.py wrong QUERIES --index NAME.ceret [--count 600]

real: HOLES/PLACE/{truth,holed,mask}/STEM.png, each filled from the other photos of PHOTOS/PLACE alone, or from an index, which
may hold the photo itself. changed: photos that `benchmarks/place_search.py` has changed and indexed in FOLDER among a large
collection, each filled from that index; run that first. wrong: photos of which the index holds no other view, with the centre
missing: each fill from the same place is a mistake (or another view that nobody knew of: the names are printed).
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from place_search import ellipse

from ce_retrieval.completion.methods import make_completer
from ce_retrieval.errors import CeretError
from ce_retrieval.holes.files import read_mask
from ce_retrieval.holes.strategies import center_holes
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.photos import load_photo


def psnr(filled, truth, hole):
    errors = (filled[hole].astype(np.float64) - truth[hole]) / 255
    return float(-10 * np.log10(max(np.mean(errors**2), 1e-10)))


def real(options):
    values, seconds = [], []
    indexed = make_completer("places", options.index, settings={"seam": options.seam}) if options.index else None
    for place in sorted(path for path in options.holes.iterdir() if path.is_dir()):
        for truth in sorted((place / "truth").iterdir()):
            photo, hole = load_photo(place / "holed" / truth.name).pixels, None
            hole = read_mask(place / "mask" / truth.name, photo.shape[:2])
            with tempfile.TemporaryDirectory() as folder:
                for other in (options.photos / place.name).iterdir():
                    if other.stem != truth.stem:
                        (Path(folder) / other.name).symlink_to(other.resolve())
                started = time.perf_counter()
                settings = {"seam": options.seam}
                one = indexed or make_completer("auto", others=folder, settings=settings)
                done = one.complete(photo, hole)
                seconds.append(time.perf_counter() - started)
            values.append(psnr(done.best, load_photo(truth).pixels, hole))
            methods = "+".join(sorted({part.method for part in done.parts}))
            print(f"{place.name}/{truth.stem}: {values[-1]:.2f} dB, {methods}, {seconds[-1]:.1f} s", flush=True)
            if options.out:
                options.out.mkdir(parents=True, exist_ok=True)
                Image.fromarray(done.best).save(options.out / f"{truth.stem}.png")
    print(f"{len(values)} photos: {np.mean(values):.2f} dB, {np.median(seconds):.1f} s each")


def changed(options):
    index = PhotoIndex.open(options.work / "places.ceret")
    completer = make_completer("places", index, settings={"seam": 0.0})
    right, values, seconds, unfilled = 0, [], [], {}
    paths = sorted(path for path in options.photos.iterdir() if path.is_file())[: options.count]
    for number, path in enumerate(paths):
        photo = load_photo(path).pixels
        hole = ellipse(np.random.default_rng(number), *photo.shape[:2])
        started = time.perf_counter()
        try:
            done = completer.complete(photo, hole)
        except CeretError as error:
            unfilled[path.stem] = str(error)
            continue
        finally:
            seconds.append(time.perf_counter() - started)
        right += Path(done.candidates[0].photo).stem == path.stem
        values.append(psnr(done.best, photo, hole))
    for stem, reason in unfilled.items():
        print(f"{stem}: {reason}")
    print(
        f"{len(paths)} photos: found and filled {right / len(paths):.3f}, by a wrong photo {(len(values) - right)}; "
        f"{np.mean(values):.2f} dB, median {np.median(values):.2f}; {np.median(seconds):.2f} s each"
    )


def wrong(options):
    completer = make_completer("places", options.index, settings={"seam": 0.0})
    paths = sorted(path for path in options.queries.rglob("*") if path.is_file())[: options.count]
    filled, seconds = 0, []
    for path in paths:
        photo = load_photo(path).pixels
        hole = np.asarray(Image.fromarray(center_holes(1, 128)[0]).resize(photo.shape[1::-1], Image.Resampling.NEAREST))
        started = time.perf_counter()
        try:
            done = completer.complete(photo, hole)
        except CeretError:
            continue
        finally:
            seconds.append(time.perf_counter() - started)
        filled += 1
        best = done.candidates[0]
        print(f"{path}: {best.photo}, {best.scores}", flush=True)
    print(f"{len(paths)} photos: {filled} filled; {np.median(seconds):.2f} s each")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("real")
    command.add_argument("holes", type=Path)
    command.add_argument("photos", type=Path)
    command.add_argument("--out", type=Path)
    command.add_argument("--index", type=Path)
    command.add_argument("--seam", type=float, default=0.0)
    command.set_defaults(run=real)
    command = commands.add_parser("changed")
    command.add_argument("photos", type=Path)
    command.add_argument("--work", type=Path, required=True)
    command.add_argument("--count", type=int, default=300)
    command.set_defaults(run=changed)
    command = commands.add_parser("wrong")
    command.add_argument("queries", type=Path)
    command.add_argument("--index", type=Path, required=True)
    command.add_argument("--count", type=int, default=600)
    command.set_defaults(run=wrong)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
