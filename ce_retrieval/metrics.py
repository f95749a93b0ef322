"""Errors of fills over the pixels of the hole, and the precision of retrieval.

Every measure of a fill shares these arguments:

Parameters
----------
truth, fill : (..., H, W, C) of one shape
    uint8 (0..255) or float in [0, 1]. The type decides; no range is guessed.
hole : bool (H, W) or (..., H, W)
    True = missing; one hole for all photos, or one for each.

Returns
-------
float64 of the leading shape: () for a single photo, (B,) for a batch.

Raises
------
ValueError
    other shapes or types, or floats outside [0, 1].
MaskError
    a hole is empty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import EvaluationError, MaskError
from ce_retrieval.pixels import Bools, crop, hole_box

Floats = NDArray[np.float64]

SSIM_SIGMA = 1.5
SSIM_WINDOW = 11  # side of the window, px: scikit-image cuts its Gaussian at 3.5 sigma, 5 px to each side


def l1(truth: NDArray[Any], fill: NDArray[Any], hole: Bools) -> Floats:
    """Mean absolute difference over the hole's pixels and channels, in percent of the range (0..100).

    The "mean L1 loss" of Pathak et al. 2016, Table 1. Arguments: see the module.
    """
    return _each(lambda t, f, h: 100.0 * np.abs(t[h] - f[h]).mean(), truth, fill, hole)


def l2(truth: NDArray[Any], fill: NDArray[Any], hole: Bools) -> Floats:
    """Mean squared difference over the hole's pixels and channels of a [0, 1] photo, in percent (0..100).

    The "mean L2 loss" of Pathak et al. 2016, Table 1. Arguments: see the module.
    """
    return _each(lambda t, f, h: 100.0 * np.square(t[h] - f[h]).mean(), truth, fill, hole)


def psnr(truth: NDArray[Any], fill: NDArray[Any], hole: Bools) -> Floats:
    """Peak signal-to-noise ratio over the hole, dB: -10 log10 of the mean squared difference of a [0, 1] photo.

    Infinite where fill and truth are identical. Arguments: see the module.
    """
    return _decibels(l2(truth, fill, hole))


def psnr_of_mean_l2(l2_percent: Floats) -> float:
    """Return the PSNR (dB) of the mean of the photos' L2 errors (percent, as from `l2`); infinite if all are 0.

    It never exceeds the mean of the photos' PSNR, which the paper reports (Jensen's inequality). EvaluationError without
    a photo.
    """
    if np.size(l2_percent) == 0:
        raise EvaluationError("no photo was measured: nothing to average")
    return float(_decibels(np.mean(l2_percent)))


def ssim(truth: NDArray[Any], fill: NDArray[Any], hole: Bools) -> Floats:
    """Structural similarity: the mean of its map over the hole's pixels and channels; at most 1.

    Arguments: see the module. Photos must measure at least 11 px a side (ValueError).

    Notes
    -----
    Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment", 2004, as in scikit-image with the paper's settings:
    Gaussian windows of sigma 1.5, population covariance, range 1. Windows near the hole's edge include known pixels.
    """
    if min(truth.shape[-3:-1], default=0) < SSIM_WINDOW:
        raise ValueError(f"photos of {truth.shape[-3:-1]} px: SSIM needs at least {SSIM_WINDOW} px a side")
    return _each(_ssim_of_one, truth, fill, hole)


def sharpness(truth: NDArray[Any], fill: NDArray[Any], hole: Bools) -> Floats:
    """Ratio of the fill's detail to the truth's: 1 is as sharp, 0 is flat.

    Detail is the mean absolute horizontal difference plus the mean absolute vertical difference of neighbouring pixels
    that both lie in the hole; a direction without a pair counts 0. NaN where the truth has no detail: a hole of uniform
    colour or of single pixels. Arguments: see the module.
    """
    return _each(_sharpness_of_one, truth, fill, hole)


def precision_at_k(query_labels: NDArray[Any], neighbour_labels: NDArray[Any]) -> Floats:
    """Share of each query's k nearest neighbours that carry its label.

    Parameters
    ----------
    query_labels : strings or integers (Q,)
        "" marks a query without a label.
    neighbour_labels : (Q, k >= 1) of the same kind
        neighbours without a label count as misses.

    Returns
    -------
    float64 (Q,) in [0, 1]; NaN for a query without a label.
    """
    query, neighbours = np.asarray(query_labels), np.asarray(neighbour_labels)
    if query.ndim != 1 or neighbours.ndim != 2 or len(neighbours) != len(query) or neighbours.shape[1] < 1:
        raise ValueError(f"labels {query.shape} and {neighbours.shape}: expected (Q,) and (Q, k >= 1)")
    words = query.dtype.kind in "UO"
    if words != (neighbours.dtype.kind in "UO"):
        raise ValueError(f"labels {query.dtype} and {neighbours.dtype}: expected one kind")
    share = (neighbours == query[:, None]).mean(axis=1, dtype=np.float64)
    return np.where(query == "", np.nan, share) if words else share


@dataclass(frozen=True)
class Summary:
    """A method's figures over a set of photos; region: the hole, range: [0, 1]."""

    photos: int  # how many were measured
    l1: float  # percent, mean
    l2: float  # percent, mean
    psnr: float  # dB, mean without the identical photos; infinite if all are
    identical: int  # photos whose fill equals the truth, so that their PSNR is infinite
    psnr_of_mean_l2: float  # dB, of `l2`
    ssim: float  # mean
    sharpness: float  # median without the flat photos; NaN if all are
    flat: int  # photos whose truth has no detail in the hole, so that their sharpness is undefined


PHOTO_METRICS: dict[str, Callable[[NDArray[Any], NDArray[Any], Bools], Floats]] = {
    "l1": l1,
    "l2": l2,
    "psnr": psnr,
    "ssim": ssim,
    "sharpness": sharpness,
}


def measure(truth: NDArray[Any], fill: NDArray[Any], hole: Bools) -> dict[str, Floats]:
    """Return every measure of `PHOTO_METRICS` by its name. Arguments: see the module."""
    measured = {name: metric(truth, fill, hole) for name, metric in PHOTO_METRICS.items() if metric is not psnr}
    return {**measured, "psnr": _decibels(measured["l2"])}


def summarise(*, l1: Floats, l2: Floats, psnr: Floats, ssim: Floats, sharpness: Floats) -> Summary:
    """Summarise the photos' numbers, each (B,) and named as by `measure`; EvaluationError without a photo."""
    shapes = {np.shape(values) for values in (l1, l2, psnr, ssim, sharpness)}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise ValueError(f"measures of shapes {sorted(shapes)}: expected one number a photo from each")
    if len(l1) == 0:
        raise EvaluationError("no photo was measured: nothing to summarise")
    finite, defined = ~np.isposinf(psnr), ~np.isnan(sharpness)
    return Summary(
        photos=len(l1),
        l1=float(np.mean(l1)),
        l2=float(np.mean(l2)),
        psnr=float(np.mean(psnr[finite])) if finite.any() else float("inf"),
        identical=int((~finite).sum()),
        psnr_of_mean_l2=psnr_of_mean_l2(l2),
        ssim=float(np.mean(ssim)),
        sharpness=float(np.median(sharpness[defined])) if defined.any() else float("nan"),
        flat=int((~defined).sum()),
    )


def _each(
    score: Callable[[Floats, Floats, Bools], float], truth: NDArray[Any], fill: NDArray[Any], hole: Bools
) -> Floats:
    """Apply a score photo by photo, on [0, 1] doubles, so that a batch needs the memory of one photo.

    A score sees the box around the hole, grown by SSIM_WINDOW: the windows of its pixels, which reach half of that, and a
    margin to the crop's edge.
    """
    if truth.shape != fill.shape or truth.ndim < 3:
        raise ValueError(f"truth {truth.shape} and fill {fill.shape}: expected one shape (..., H, W, C)")
    if hole.dtype != np.bool_ or hole.shape not in (truth.shape[-3:-1], truth.shape[:-1]):
        raise ValueError(
            f"hole {hole.dtype} {hole.shape} for photos {truth.shape}: expected bool (H, W) or (..., H, W)"
        )
    holes = np.broadcast_to(hole, truth.shape[:-1])
    result = np.empty(truth.shape[:-3], dtype=np.float64)
    for place in np.ndindex(result.shape):
        if not holes[place].any():
            raise MaskError("a hole is empty: there is no pixel to measure")
        box = crop(hole_box(holes[place], SSIM_WINDOW))
        result[place] = score(_unit_range(truth[place][box]), _unit_range(fill[place][box]), holes[place][box])
    return result


def _unit_range(photo: NDArray[Any]) -> Floats:
    """Return a photo as doubles in [0, 1], or raise ValueError."""
    if photo.dtype == np.uint8:
        return photo / 255.0
    if photo.dtype.kind != "f":
        raise ValueError(f"photo {photo.dtype}: expected uint8, or floats in [0, 1]")
    # Written so that NaN fails it too.
    if not (photo.min() >= 0.0 and photo.max() <= 1.0):
        raise ValueError(f"photo of floats in {photo.min():g}..{photo.max():g}: expected [0, 1]")
    return photo.astype(np.float64)


def _decibels(l2_percent: Any) -> Any:
    with np.errstate(divide="ignore"):
        return -10.0 * np.log10(np.asarray(l2_percent) / 100.0)


def _ssim_of_one(truth: Floats, fill: Floats, hole: Bools) -> float:
    from skimage.metrics import structural_similarity

    _, similarity = structural_similarity(
        truth,
        fill,
        data_range=1.0,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=SSIM_SIGMA,
        use_sample_covariance=False,
        full=True,
    )
    return float(similarity[hole].mean())


def _sharpness_of_one(truth: Floats, fill: Floats, hole: Bools) -> float:
    across = hole[:, 1:] & hole[:, :-1]
    down = hole[1:] & hole[:-1]

    def detail(photo: Floats) -> float:
        horizontal, vertical = np.abs(np.diff(photo, axis=1))[across], np.abs(np.diff(photo, axis=0))[down]
        return sum(float(steps.mean()) for steps in (horizontal, vertical) if steps.size)

    of_truth = detail(truth)
    return detail(fill) / of_truth if of_truth > 0 else float("nan")
