"""What speaks for a way to fill a part of a hole, without the truth.

Three questions: how wide is the part; does the photo repeat what lies around it, so that its own patches can go on; and how
well do the scenes of the collection fit, by their kind and next to the hole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ce_retrieval.completion.auto.parts import radius_of
from ce_retrieval.completion.result import Candidate
from ce_retrieval.pixels import Bools, Floats, Photo, distance_from, resize_area, to_grey, to_unit
from ce_retrieval.retrieval.search import Neighbor

SMALL = 96  # px, longer side at which a photo is compared with itself
PATCH = 5  # px of that size
BESIDE = 6.0  # px of that size: patches so near to a part lie beside it
LOOKED_AT = 192  # patches beside a part, or over it, that are compared
FIRST = 10  # scenes of one kind that are averaged
TINY = 1e-3

Evidence = dict[str, float]


def of_shape(hole: Bools, part: Bools) -> Evidence:
    """Return what the shape of a part says.

    width : log of the diameter of its largest circle, in sides of a square of the photo's area.
    share : log of its share of the photo.
    known : share of the photo that is known.
    """
    side = math.sqrt(hole.size)
    return {
        "width": math.log(2 * radius_of(part) / side),
        "share": math.log(part.sum() / hole.size),
        "known": 1 - float(hole.mean()),
    }


def of_photo(photo: Photo, hole: Bools, part: Bools) -> Evidence:
    """Return what the photo says, by its known pixels alone.

    repeats : log of how much nearer the nearest other patch of the photo is to a patch beside the part than the usual one.
    detail : log of the mean gradient beside the part, in grey values.
    """
    small, missing, wanted = _small(photo, hole, part)
    beside = (distance_from(wanted) <= BESIDE + PATCH / 2) & ~missing
    return {
        "repeats": _unlike(small, missing, beside, missing),
        "detail": math.log(_gradient(photo, ~hole & (distance_from(part) <= _reach(part))) + TINY),
    }


def of_fill(photo: Photo, hole: Bools, part: Bools, filled: Photo) -> Evidence:
    """Return what a fill looks like beside the photo around it.

    strange : log of how much nearer the nearest known patch of the photo is to a patch of the fill than the usual one.
    sharp : log of the mean gradient in the fill over that beside it.
    border : log of the mean step over the part's border over the mean gradient beside it.
    """
    small, missing, wanted = _small(filled, hole, part)
    around = _gradient(photo, ~hole & (distance_from(part) <= _reach(part))) + TINY
    return {
        "strange": _unlike(small, missing, wanted, np.zeros_like(missing)),
        "sharp": math.log((_gradient(filled, part) + TINY) / around),
        "border": math.log((_step(filled, part) + TINY) / around),
    }


def of_kind(neighbors: Sequence[Neighbor]) -> Evidence:
    """Return how alike in kind the scenes are that were found; nothing where kind played no part.

    alike : mean similarity in kind of the FIRST most alike.
    nearest : that of the most alike.
    """
    kinds = sorted((one.kind for one in neighbors if one.kind is not None), reverse=True)
    return {"alike": float(np.mean(kinds[:FIRST])), "nearest": kinds[0]} if kinds else {}


def of_scene(candidates: Sequence[Candidate], neighbors: Sequence[Neighbor]) -> Evidence:
    """Return how well the best scene fits.

    kind : its similarity in kind, where that is known.
    agree : mean of that of the FIRST best.
    context, rim, texture, gist : logs of its distances, as in its scores.
    """
    best, kinds = candidates[0], [one.kind for one in neighbors[:FIRST] if one.kind is not None]
    found = {name: math.log(best.scores[name] + least) for name, least in FLOORS.items() if name in best.scores}
    if kinds and (first := neighbors[0].kind) is not None:
        found |= {"kind": first, "agree": float(np.mean(kinds))}
    return found


FLOORS = {"context": 1.0, "rim": 1e-5, "texture": 0.1, "gist": 1e-3}  # added to a distance before its logarithm


def _small(photo: Photo, hole: Bools, part: Bools) -> tuple[Floats, Bools, Bools]:
    """Return a photo at the small size in [0, 1], and the pixels that cover any of its hole and of the part."""
    share = min(1.0, SMALL / max(hole.shape))
    size = max(1, round(hole.shape[0] * share)), max(1, round(hole.shape[1] * share))
    missing, wanted = (resize_area(mask.astype(np.float32), size) > 0 for mask in (hole, part))
    return to_unit(resize_area(photo, size)), missing, wanted


def _unlike(small: Floats, missing: Bools, where: Bools, unread: Bools) -> float:
    """Return how unlike the known patches those at `where` are: log squared distance from the nearest over the usual one.

    unread: pixels that none of the patches at `where` may hold.
    """
    known, at = _patches(small, missing)
    if not len(known):
        return 0.0
    every, centres = _patches(small, unread)
    chosen = np.flatnonzero(where[centres[:, 0], centres[:, 1]])
    if not len(chosen):
        return 0.0
    chosen = chosen[np.linspace(0, len(chosen) - 1, min(len(chosen), LOOKED_AT)).astype(int)]
    ours, places = every[chosen], centres[chosen]
    square = (known**2).sum(axis=1)
    distances = np.maximum(square - 2 * ours @ known.T + (ours**2).sum(axis=1)[:, None], 0)
    usual = float(np.median(distances))
    distances[np.abs(places[:, None] - at).max(axis=2) < PATCH] = np.inf  # a patch is like those that overlap it
    nearest = distances.min(axis=1)
    nearest = nearest[np.isfinite(nearest)]
    return math.log((float(nearest.mean()) + TINY) / (usual + TINY)) if len(nearest) else 0.0


def _patches(small: Floats, missing: Bools) -> tuple[Floats, np.ndarray]:
    """Return the patches without a missing pixel, float32 (N, PATCH * PATCH * 3), and their centres, int (N, 2)."""
    if min(missing.shape) < PATCH:
        return np.empty((0, PATCH * PATCH * 3), np.float32), np.empty((0, 2), int)
    window = np.lib.stride_tricks.sliding_window_view
    whole = ~window(missing, (PATCH, PATCH)).any(axis=(2, 3))
    patches = window(small, (PATCH, PATCH), axis=(0, 1))[whole]
    return patches.reshape(len(patches), -1), np.argwhere(whole) + PATCH // 2


def _reach(part: Bools) -> float:
    return max(4.0, 0.03 * max(part.shape))


def _gradient(photo: Photo, where: Bools) -> float:
    """Return the mean absolute difference of neighbouring pixels that both lie `where`; 0 where none do."""
    grey = to_grey(photo).astype(np.float32)
    total, count = 0.0, 0
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        both = where[here] & where[there]
        total += float(np.abs(grey[there] - grey[here])[both].sum())
        count += int(both.sum())
    return total / count if count else 0.0


def _step(photo: Photo, part: Bools) -> float:
    """Return the mean absolute difference of neighbouring pixels on the two sides of a part's border."""
    grey = to_grey(photo).astype(np.float32)
    steps = [
        np.abs(grey[there] - grey[here])[part[here] != part[there]]
        for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:]))
    ]
    joined = np.concatenate(steps)
    return float(joined.mean()) if len(joined) else 0.0
