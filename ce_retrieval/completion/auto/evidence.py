"""What speaks for a way to fill a part of a hole, without the truth.

How wide is the part; how alike in kind are the scenes of the collection, and how well does the best fit around the hole; and how
do the fills look beside the photo around them. How well patches beside the hole repeat elsewhere in the photo, and how strange
those of a fill are to it, were tried and tell no more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ce_retrieval.completion.candidate import Candidate
from ce_retrieval.completion.parts import radius_of
from ce_retrieval.pixels import Bools, Photo, distance_from, to_grey
from ce_retrieval.retrieval.search import Neighbor

FIRST = 3  # scenes most alike that are averaged: a small collection has no more of a place
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

    detail : log of the mean gradient beside the part, in grey values.
    """
    return {"detail": math.log(_around(photo, hole, part))}


def of_fill(photo: Photo, hole: Bools, part: Bools, filled: Photo) -> Evidence:
    """Return what a fill looks like beside the photo around it.

    sharp : log of the mean gradient in the fill over that beside it.
    border : log of the mean step over the part's border over the mean gradient beside it.
    """
    around = _around(photo, hole, part)
    return {
        "sharp": math.log((_gradient(filled, part) + TINY) / around),
        "border": math.log((_step(filled, part) + TINY) / around),
    }


def of_kind(neighbors: Sequence[Neighbor]) -> Evidence:
    """Return how alike in kind the most alike scenes are, most first; nothing where there are none.

    alike : mean similarity in kind.
    nearest : that of the most alike.
    """
    kinds = [one.kind for one in neighbors if one.kind is not None]
    return {"alike": float(np.mean(kinds)), "nearest": kinds[0]} if kinds else {}


def of_scene(candidates: Sequence[Candidate], neighbors: Sequence[Neighbor]) -> Evidence:
    """Return how well the best scene fits.

    kind : its similarity in kind, where that is known.
    context : log of its distance in the context, as in its scores.
    """
    best = candidates[0]
    found = {"context": math.log(best.scores["context"] + CONTEXT)}
    if neighbors and (kind := neighbors[0].kind) is not None:
        found["kind"] = kind
    return found


CONTEXT = 1.0  # added to a distance before its logarithm


def _around(photo: Photo, hole: Bools, part: Bools) -> float:
    """Return the mean gradient of the known pixels beside a part, above 0."""
    reach = max(4.0, 0.03 * max(part.shape))
    return _gradient(photo, ~hole & (distance_from(part) <= reach)) + TINY


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
