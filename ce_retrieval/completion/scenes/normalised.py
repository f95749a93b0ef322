"""Which candidate comes first: several distances of different units, brought to one scale and added.

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, section 5: the composites are ordered by
the sum of the scene distance, the local context distance, the local texture distance and the cost of the seam, "normalized
[...] to contribute roughly equally". The paper does not say how; here each term is shifted to median 0 and scaled by its
median absolute deviation over the candidates, so that bad ones do not squeeze the others together, and one that is
far better than all others in one term is not held to what that term contributes elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

NORMAL = 1.4826  # standard deviation over median absolute deviation, of a normal distribution


class Ranking(NamedTuple):
    """order: int (M,), the candidates that can be used, best first. total: float (K,), infinite for the others."""

    order: NDArray[np.intp]
    total: NDArray[np.float64]


def rank(
    scores: Mapping[str, NDArray[Any]], weights: Mapping[str, float] | None = None, *, as_is: Collection[str] = ()
) -> Ranking:
    """Order K candidates by the weighted sum of their normalised scores.

    Args:
        scores: name -> (K,), each a distance: lower is better, in any unit. Any names.
        weights: name -> weight >= 0, for names of `scores`; those left out weigh 1. 0 leaves a term out altogether.
        as_is: names whose unit means something by itself: added without being normalised.

    Returns:
        A candidate with a score that is not finite, in a term of positive weight, is left out; median and deviation are
        those of the others. A term equal for all of them adds 0. Equal totals keep the candidates' order.

    Raises:
        ValueError: no scores, scores of different lengths, a weight for an unknown term, or one not finite or negative.
    """
    weights = dict(weights or {})
    terms = {name: np.asarray(values, dtype=np.float64) for name, values in scores.items()}
    shapes = {values.shape for values in terms.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        found = ", ".join(f"{name} {values.shape}" for name, values in terms.items()) or "none"
        raise ValueError(f"scores: arrays of one length (K,) are needed, not {found}")
    for name, weight in weights.items():
        if name not in terms:
            raise ValueError(f"weight of {name!r}: no such term; choose among {', '.join(terms)}")
        if not (np.isfinite(weight) and weight >= 0):
            raise ValueError(f"weight of {name!r} is {weight}: 0 or more is needed")
    active = {name: values for name, values in terms.items() if weights.get(name, 1.0) > 0}
    total = np.zeros(next(iter(shapes)))
    usable = np.ones(len(total), dtype=bool)
    for values in active.values():
        usable &= np.isfinite(values)
    total[~usable] = np.inf
    for name, values in active.items():
        total[usable] += weights.get(name, 1.0) * (values[usable] if name in as_is else _normalised(values[usable]))
    order = np.argsort(total, kind="stable")
    return Ranking(order[: int(usable.sum())], total)


def not_finite(scores: Mapping[str, NDArray[Any]], weights: Mapping[str, float]) -> dict[int, str]:
    """The candidates that `rank` leaves out, and for each the first term of positive weight that is not finite."""
    found: dict[int, str] = {}
    for name, values in scores.items():
        if weights.get(name, 1.0) > 0:
            for candidate in np.flatnonzero(~np.isfinite(values)).tolist():
                found.setdefault(candidate, name)
    return found


def distinct(patches: NDArray[np.uint8], threshold: float, *, limit: int | None = None) -> NDArray[np.intp]:
    """Drop near-duplicates: a patch is kept when it differs enough from every one kept before it.

    Args:
        patches: uint8 (K, h, w, 3) in the order of preference: what each candidate shows of one place. Compared
            as they are: bring them to some 32 px a side first, by means, so that grain and JPEG noise count little.
        threshold: root mean square difference per value, of images in [0, 1], from which two patches are different. 0
            keeps all.
        limit: stop after this many kept. None: all.

    Returns:
        int (M,), the places of the kept patches in `patches`, ascending.

    Raises:
        ValueError: patches of another shape or type, or a negative threshold or limit.
    """
    if patches.ndim != 4 or patches.shape[-1] != 3 or patches.dtype != np.uint8:
        raise ValueError(f"patches: uint8 (K, h, w, 3) is needed, not {patches.dtype} {patches.shape}")
    if not threshold >= 0 or (limit is not None and limit < 0):
        raise ValueError(f"threshold {threshold}, limit {limit}: neither may be negative")
    kept: list[int] = []
    values: list[NDArray[np.float32]] = []
    for place, patch in enumerate(patches):
        if limit is not None and len(kept) >= limit:
            break
        value = patch.astype(np.float32) / np.float32(255)
        if all(np.sqrt(np.mean((value - other) ** 2)) >= threshold for other in values):
            kept.append(place)
            values.append(value)
    return np.array(kept, dtype=np.intp)


def _normalised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shift to median 0 and scale to a median absolute deviation as of a normal distribution of deviation 1.

    Where more than half are equal, by the standard deviation; all 0 where the values differ by rounding alone.
    """
    if not len(values):
        return values
    # Scaled first: squares of large scores would overflow, those of small ones vanish.
    largest = np.abs(values).max()
    if largest == 0:
        return np.zeros_like(values)
    values = values / largest
    centred = values - np.median(values)
    spread = NORMAL * np.median(np.abs(centred))
    if spread <= 1e-12:
        spread = values.std()
    return centred / spread if spread > 1e-12 else np.zeros_like(values)
