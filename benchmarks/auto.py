"""Fit the models of method `auto`: which fill of a hole looks best, and how sure a scene is of the photo's kind.

    python benchmarks/auto.py --scenes scenes/train train.ceret --photos half-of-bsds other-half.ceret
        --photos half-of-bsds train.ceret --photos places places.ceret --masks irregular_masks
        --perceptual onnx:FILE:LAYER,... [--count 120] [--rows rows.jsonl] [--out benchmarks/results/auto.md]

Of scenes/train a photo is never filled from itself (copies are left out), at the index's size, every second one with the
central hole, the others with irregular ones and blocks. The photos of each --photos keep their size and are filled from the
index behind them: of other photos of the sort, of another sort, of the very places. A photo is one row: the evidence, and for
each way to fill the perceptual distance (mean of the layers, in tiles of TILE px of the photo's own size) and the PSNR under
the hole. How much better a fill is: the drop of the perceptual distance, and DECIBEL for each dB. A row weighs what is at
stake in it. The labels of folders serve the kind alone. Rows are kept in --rows, so that a run that was cut off goes on.

Prints the models for completion/auto/choice.py. Figures of the report are of photos that the models have not seen: ten folds.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from ce_retrieval import make_completer
from ce_retrieval.completion.auto.choice import WIDE, wide_of_kind
from ce_retrieval.completion.auto.completer import refined
from ce_retrieval.completion.auto.evidence import FIRST, of_fill, of_kind, of_photo, of_scene, of_shape
from ce_retrieval.errors import CeretError
from ce_retrieval.evaluation.perceptual import Perceptual
from ce_retrieval.evaluation.queries import Queries
from ce_retrieval.holes.strategies import center_holes
from ce_retrieval.photos import load_photo
from ce_retrieval.pixels import resize

TILE = 224  # px
DECIBEL = 0.04  # of perceptual distance that a dB of PSNR is worth
FOLDS, RIDGE, HEAVIEST = 10, 2.0, 3.0
BEFORE = ("width", "alike")
AFTER = (
    *("width", "detail", "kind", "context"),
    *("sharp_patches", "border_patches", "sharp_scenes", "border_scenes"),
)
OWN_KIND = ("kind", "alike")


def irregular(files, shape, rng):
    mask = resize(load_photo(files[rng.integers(len(files))]).pixels, shape)[..., 0] > 127
    return mask[:, :: rng.choice([-1, 1])].copy()


def block(shape, rng):
    side, aspect = rng.uniform(0.1, 0.55) * min(shape), np.exp(rng.uniform(-0.5, 0.5))
    height, width = int(min(side / aspect, 0.8 * shape[0])), int(min(side * aspect, 0.8 * shape[1]))
    top, left = rng.integers(shape[0] - height + 1), rng.integers(shape[1] - width + 1)
    hole = np.zeros(shape, bool)
    hole[top : top + height, left : left + width] = True
    return hole


class Judge:
    """Perceptual distances at a photo's own size, tile by tile."""

    def __init__(self, spec):
        Perceptual(spec)  # a wrong one is named before any work
        self._spec = spec

    def __call__(self, truth, hole, fills):
        """Return the mean distance of each fill, by name; tiles weigh their pixels of the hole."""
        height, width = hole.shape
        side = min(height, width, TILE)
        tops, lefts = (np.linspace(0, n - side, -(-n // side)).astype(int) for n in (height, width))
        tiles = [np.s_[top : top + side, left : left + side] for top in tops for left in lefts]
        tiles = [tile for tile in tiles if hole[tile].any()]
        photos = np.stack([truth[tile] for tile in tiles])
        queries = Queries([""] * len(tiles), [""] * len(tiles), photos, np.stack([hole[tile] for tile in tiles]))
        judge, weights = Perceptual(self._spec), [hole[tile].sum() for tile in tiles]
        found = {}
        for name, fill in fills.items():
            distances = judge.distances(queries, np.stack([fill[tile] for tile in tiles]))
            found[name] = float(np.average(distances.mean(axis=1), weights=weights))
        return found


def row_of(photo, hole, label, completers, judge):
    """Return all that is known of a photo with this hole, JSON types."""
    seen = np.where(hole[..., None], np.uint8(0), photo)
    done = completers["scenes"].complete(seen, hole)
    patches = completers["patchmatch"].complete(seen, hole).best
    fills = {"patches": patches, "scenes": done.best, "both": refined(done.best, hole, 0, 1)}
    evidence = of_shape(hole, hole) | of_photo(seen, hole, hole) | of_scene(done.candidates, done.neighbors)
    (query,) = completers["scenes"].queries([seen], [hole], [None])
    evidence |= of_kind(completers["scenes"].most_alike(query, FIRST))
    for name in ("patches", "scenes"):
        evidence |= {f"{what}_{name}": value for what, value in of_fill(seen, hole, hole, fills[name]).items()}
    error = {name: np.square(photo[hole].astype(float) - fill[hole]).mean() for name, fill in fills.items()}
    return {
        "evidence": evidence,
        "perceptual": judge(photo, hole, fills),
        "psnr": {name: float(10 * np.log10(65025 / max(value, 1e-6))) for name, value in error.items()},
        "own": None if label is None else bool(done.candidates[0].label == label),
    }


def cases(options):
    """Yield (name, set, photo, hole, label, index) of every row, always the same ones."""
    rng = np.random.default_rng(1)
    masks = sorted(options.masks.iterdir())[::2]
    folder, index = options.scenes
    files = sorted(folder.glob("*/*"))
    for number, at in enumerate(rng.permutation(len(files))[: options.count]):
        photo = resize(load_photo(files[at]).pixels, (128, 128))
        made = (
            lambda: center_holes(1, 128)[0],
            lambda: irregular(masks, (128, 128), rng),
            lambda: block((128, 128), rng),
        )
        hole = made[(0, 1, 0, 2)[number % 4]]()
        yield f"scenes {files[at].name}", "scenes", photo, hole, files[at].parent.name, index
    for folder, index in options.photos:
        name, files = f"{folder.name} from {index.stem}", sorted(folder.iterdir())
        for number, at in enumerate(rng.permutation(len(files))[: options.count // 3]):
            photo = load_photo(files[at]).pixels
            shape = photo.shape[:2]
            hole = block(shape, rng) if number % 3 == 2 else irregular(masks, shape, rng)
            yield f"{name} {files[at].name}", name, photo, hole, None, index


def measured(options):
    """Return the rows, those of an earlier run first."""
    kept = {}
    if options.rows and options.rows.exists():
        kept = {row["name"]: row for row in map(json.loads, options.rows.read_text().splitlines())}
    judge, made, rows = Judge(options.perceptual), {}, []
    patches = make_completer("patchmatch", workers=1)
    for name, which, photo, hole, label, path in cases(options):
        if name not in kept:
            if path not in made:
                made[path] = make_completer("scenes", path, settings={"seam": 0})
            try:
                found = row_of(photo, hole, label, {"scenes": made[path], "patchmatch": patches}, judge)
            except CeretError as error:
                print(f"{name}: {error}")
                continue
            kept[name] = {"name": name, "set": which, **found}
            if options.rows:
                with options.rows.open("a") as file:
                    print(json.dumps(kept[name]), file=file)
        rows.append(kept[name])
    return rows


def values(rows, names):
    """Return the evidence, float (N, len(names)), with its mean and deviation; nan where there is none."""
    found = np.array([[row["evidence"].get(name, np.nan) for name in names] for row in rows])
    return found, np.nanmean(found, axis=0), np.nanstd(found, axis=0)


def fitted(inputs, truth, weights):
    """Return the bias and weights of a logistic regression with a ridge, by Newton's method."""
    ones = np.c_[np.ones(len(inputs)), inputs]
    ridge = np.diag([1e-9, *[RIDGE] * inputs.shape[1]])
    found = np.zeros(ones.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-np.clip(ones @ found, -30, 30)))
        slope = ones.T @ (weights * (chance - truth)) + ridge @ found
        bend = (ones.T * (weights * chance * (1 - chance))) @ ones + ridge
        found -= np.linalg.solve(bend, slope)
    return found


def model(rows, names, truth, weights):
    """Return a model as text, and the chance (N,) that each row has from the other nine folds."""
    raw, mean, deviation = values(rows, names)
    inputs = np.nan_to_num(np.clip((raw - mean) / deviation, -3, 3))
    folds, chances = np.arange(len(rows)) % FOLDS, np.empty(len(rows))
    for fold in range(FOLDS):
        others, these = folds != fold, folds == fold
        bias, *weight = fitted(inputs[others], truth[others], weights[others])
        chances[these] = 1 / (1 + np.exp(-(bias + inputs[these] @ np.array(weight))))
    bias, *weight = fitted(inputs, truth, weights)
    terms = [
        f'        "{name}": Weighed({m:.3f}, {d:.3f}, {w:+.3f}),'.replace("+", "")
        for name, m, d, w in zip(names, mean, deviation, weight, strict=True)
    ]
    return "\n".join([f"Model(\n    {bias:.3f},\n    {{", *terms, "    },\n)"]), chances


def way_of(row):
    """Return how `auto` would fill from a scene."""
    return "scenes" if row["evidence"]["width"] >= WIDE else "both"


def table(rows, chances):
    """Return the report's lines: fills by one way alone, by the choice, and by the better one."""
    names = ("patches", "scenes", "both")
    lines = [
        "| photos | n | patches | scenes | scenes' patches | chosen | the better | from scenes |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for which in dict.fromkeys(row["set"] for row in rows):
        here = np.array([row["set"] == which for row in rows])
        cells = []
        both = {m: np.array([[row[m][n] for n in names] for row in rows])[here] for m in ("perceptual", "psnr")}
        taken = (chances >= 0.5)[here] | [wide_of_kind(row["evidence"]) for row in rows if row["set"] == which]
        way = np.array([names.index(way_of(row)) for row in rows])[here]
        every = np.arange(len(way))
        pick = {m: both[m][every, np.where(taken, way, 0)] for m in both}
        best = np.minimum(both["perceptual"][:, 0], both["perceptual"][every, way]).mean()
        cells = [f"{both['perceptual'][:, k].mean():.3f}, {both['psnr'][:, k].mean():.2f}" for k in range(3)]
        cells += [f"{pick['perceptual'].mean():.3f}, {pick['psnr'].mean():.2f}", f"{best:.3f}", f"{taken.mean():.2f}"]
        lines.append(f"| {which} | {here.sum()} | {' | '.join(cells)} |")
    return lines


def reliability(chances, truth):
    """Return the report's lines: how often scenes are of the own kind, by how sure that was said to be."""
    lines = ["| said | n | mean said | own kind |", "|---|---:|---:|---:|"]
    for low, high in ((0, 0.5), (0.5, 0.7), (0.7, 0.85), (0.85, 1.01)):
        here = (chances >= low) & (chances < high)
        if here.any():
            told = f"{chances[here].mean():.2f} | {truth[here].mean():.2f}"
            lines.append(f"| {low:g} to {min(high, 1):g} | {here.sum()} | {told} |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", nargs=2, required=True, type=Path, metavar=("FOLDER", "INDEX"))
    parser.add_argument("--photos", nargs=2, action="append", required=True, type=Path, metavar=("FOLDER", "INDEX"))
    parser.add_argument("--masks", required=True, type=Path)
    parser.add_argument("--perceptual", required=True)
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--rows", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = measured(options)
    ours = [way_of(row) for row in rows]
    better = np.array([r["perceptual"]["patches"] - r["perceptual"][way] for r, way in zip(rows, ours, strict=True)])
    better += DECIBEL * np.array([r["psnr"][way] - r["psnr"]["patches"] for r, way in zip(rows, ours, strict=True)])
    stakes = np.minimum(np.abs(better) / np.abs(better).mean(), HEAVIEST)
    before, _ = model(rows, BEFORE, better > 0, stakes)
    after, chances = model(rows, AFTER, better > 0, stakes)
    labelled = [row for row in rows if row["own"] is not None]
    own = np.array([row["own"] for row in labelled])
    kind, sure = model(labelled, OWN_KIND, own, np.ones(len(own)))
    print(f"BEFORE = {before}\nAFTER = {after}\nOWN_KIND = {kind}")
    lines = [
        "# Method auto",
        "",
        "Perceptual distance and PSNR under the hole, by photos that the models have not seen.",
        "",
    ]
    lines += [
        *table(rows, chances),
        "",
        f"Scenes of the photo's own kind, {len(own)} photos:",
        "",
        *reliability(sure, own),
    ]
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
