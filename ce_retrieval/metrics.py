"""How near a fill is to the truth, over the pixels of the hole, and how much of the retrieved is of the right kind.

Every measure of a fill takes (truth, fill, hole) and gives one number a photo:

    truth, fill: (..., H, W, C) of the same shape, each uint8 (0..255) or float in [0, 1]: the type decides, no range is
        ever guessed, and floats outside [0, 1] are an error;
    hole: bool (H, W) for all photos or (..., H, W) for each its own; True = missing;
    returns float64 of the leading shape: () for a single photo, (B,) for a batch.

Raises ValueError for shapes, types or ranges other than these, and MaskError for a hole without a pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import EvaluationError, MaskError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SSIM_SIGMA = 1.5
# Side of the SSIM window: scikit-image cuts its Gaussian at 3.5 sigma, 5 px to each side.
SSIM_WINDOW = 11


def l1(truth: NDArray[Any], fill: NDArray[Any], hole: Bools) -> Floats:
    """Mean absolute difference over the hole's pixels and channels, in percent of the range (0..100).

    The "mean L1 loss" of Pathak et al. 2016, Table 1. Arguments and errors: see the module.
    """
    return _each(lambda t, f, h: 100.0 * np.abs(t[h] - f[h]).mean(), truth, fill, hole)


def l2(truth: NDArray[Any], fill: NDArray[Any], hole: Bools) -> Floats:
    """Mean squared difference over the hole's pixels and channels of a [0, 1] photo, in percent (0..100).

    The "mean L2 loss" of Pathak et al. 2016, Table 1. Arguments and errors: see the module.
    """
    return _each(lambda t, f, h: 100.0 * np.square(t[h] - f[h]).mean(), truth, fill, hole)


def psnr(truth: NDArray[Any], fill: NDArray[Any], hole: Bools) -> Floats:
    """Peak signal-to-noise ratio over the hole, dB: -10 log10 of the mean squared difference of a [0, 1] photo.

    Infinite where fill and truth are identical. Arguments and errors: see the module.
    """
    return _decibels(l2(truth, fill, hole))


def psnr_of_mean_l2(l2_percent: Floats) -> float:
    """PSNR (dB) of the mean of the photos' L2 errors (percent, as from `l2`); infinite when all of them are 0.

    Never above the mean of the photos' own PSNR, which the paper reports (Jensen's inequality).
    """
    if np.size(l2_percent) == 0:
        raise EvaluationError("no photo was measured: nothing to average")
    return float(_decibels(np.mean(l2_percent)))


def ssim(truth: NDArray[Any], fill: NDArray[Any], hole: Bools) -> Floats:
    """Structural similarity (Wang, Bovik, Sheikh, Simoncelli 2004), mean of its map over the hole's pixels; at most 1.

    scikit-image's map with the paper's settings: Gaussian windows of sigma 1.5, population covariance, range 1; the mean
    over channels. Windows of pixels near the hole's edge see known pixels too. Arguments and errors: see the module;
    ValueError too for a photo of under 11 px a side.
    """
    if min(truth.shape[-3:-1], default=0) < SSIM_WINDOW:
        raise ValueError(f"SSIM needs photos of at least {SSIM_WINDOW} px a side, not {truth.shape[-3:-1]}")
    return _each(_ssim_of_one, truth, fill, hole)


def sharpness(truth: NDArray[Any], fill: NDArray[Any], hole: Bools) -> Floats:
    """How much of the truth's detail the fill has: the fill's gradients over the truth's; 1 is equal, 0 is flat.

    Gradients: mean absolute horizontal difference plus mean absolute vertical difference, over the neighbouring pixels
    that both lie inside the hole (a direction without such a pair counts 0). NaN where the truth has none: a hole of
    uniform colour or of single pixels. Arguments and errors: see the module.
    """
    return _each(_sharpness_of_one, truth, fill, hole)


def precision_at_k(query_labels: NDArray[Any], neighbour_labels: NDArray[Any]) -> Floats:
    """Share of each query's k nearest that carry its own label.

    Args:
        query_labels: (Q,) strings or integers. A query with the empty string has no label.
        neighbour_labels: (Q, k) of the same kind, k at least 1. Neighbours without a label count as misses.

    Returns:
        float64 (Q,) in [0, 1]; NaN for a query without a label.

    Raises:
        ValueError: shapes that do not match, or labels of different kinds.
    """
    query, neighbours = np.asarray(query_labels), np.asarray(neighbour_labels)
    if query.ndim != 1 or neighbours.ndim != 2 or len(neighbours) != len(query) or neighbours.shape[1] < 1:
        raise ValueError(f"labels (Q,) and (Q, k >= 1) are needed, not {query.shape} and {neighbours.shape}")
    words = query.dtype.kind in "UO"
    if words != (neighbours.dtype.kind in "UO"):
        raise ValueError(f"labels of one kind are needed, not {query.dtype} and {neighbours.dtype}")
    share = (neighbours == query[:, None]).mean(axis=1, dtype=np.float64)
    return np.where(query == "", np.nan, share) if words else share


@dataclass(frozen=True)
class Summary:
    """A method's figures over a set of photos; region: the hole, range: [0, 1].

    Attributes:
        photos: how many were measured.
        l1, l2: means over the photos, percent.
        psnr: mean over the photos of each one's own PSNR, dB, without the identical ones; infinite if all are.
        identical: photos whose fill equals the truth: their PSNR is infinite, so they are not in `psnr`.
        psnr_of_mean_l2: PSNR of `l2`, dB, over all photos.
        ssim: mean over the photos.
        sharpness: median over the photos without the flat ones; NaN if all are.
        flat: photos whose truth has no gradient inside the hole, so that their sharpness is undefined.
    """

    photos: int
    l1: float
    l2: float
    psnr: float
    identical: int
    psnr_of_mean_l2: float
    ssim: float
    sharpness: float
    flat: int


PHOTO_METRICS: dict[str, Callable[[NDArray[Any], NDArray[Any], Bools], Floats]] = {
    "l1": l1,
    "l2": l2,
    "psnr": psnr,
    "ssim": ssim,
    "sharpness": sharpness,
}


def measure(truth: NDArray[Any], fill: NDArray[Any], hole: Bools) -> dict[str, Floats]:
    """Every measure of `PHOTO_METRICS`, by name. Arguments and errors: see the module."""
    measured = {name: metric(truth, fill, hole) for name, metric in PHOTO_METRICS.items() if metric is not psnr}
    return {**measured, "psnr": _decibels(measured["l2"])}


def summarise(*, l1: Floats, l2: Floats, psnr: Floats, ssim: Floats, sharpness: Floats) -> Summary:
    """One line of a table from the photos' own numbers: each (B,), named as `measure` names them.

    Raises:
        EvaluationError: no photo was measured.
        ValueError: arrays of different lengths.
    """
    shapes = {np.shape(values) for values in (l1, l2, psnr, ssim, sharpness)}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise ValueError(f"one number a photo is needed from every measure, not shapes {sorted(shapes)}")
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
    """Apply a score photo by photo, on [0, 1] doubles: memory stays that of one photo, however large the batch.

    A score sees the hole's bounding box and what SSIM's windows reach around it: all that counts, at a fraction of the cost.
    """
    if truth.shape != fill.shape or truth.ndim < 3:
        raise ValueError(f"truth and fill (..., H, W, C) of one shape are needed, not {truth.shape} and {fill.shape}")
    if hole.dtype != np.bool_ or hole.shape not in (truth.shape[-3:-1], truth.shape[:-1]):
        raise ValueError(
            f"hole: boolean (H, W) or (..., H, W) is needed for {truth.shape}, not {hole.dtype} {hole.shape}"
        )
    holes = np.broadcast_to(hole, truth.shape[:-1])
    result = np.empty(truth.shape[:-3], dtype=np.float64)
    for place in np.ndindex(result.shape):
        if not holes[place].any():
            raise MaskError("a hole is empty: there is no pixel to measure")
        box = _box_around(holes[place])
        result[place] = score(_unit_range(truth[place][box]), _unit_range(fill[place][box]), holes[place][box])
    return result


def _box_around(hole: Bools) -> tuple[slice, slice]:
    """The hole's rows and columns, and SSIM_WINDOW more to each side: its windows' halves with a margin at the crop's edge."""
    rows, cols = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    row_box, col_box = (slice(max(seen[0] - SSIM_WINDOW, 0), seen[-1] + SSIM_WINDOW + 1) for seen in (rows, cols))
    return row_box, col_box


def _unit_range(photo: NDArray[Any]) -> Floats:
    if photo.dtype == np.uint8:
        return photo / 255.0
    if photo.dtype.kind != "f":
        raise ValueError(f"photos to compare: uint8 or floats in [0, 1] are needed, not {photo.dtype}")
    # Written so that NaN fails it too.
    if not (photo.min() >= 0.0 and photo.max() <= 1.0):
        raise ValueError(f"photos to compare: floats must lie in [0, 1], not {photo.min():g}..{photo.max():g}")
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

    wanted = detail(truth)
    return detail(fill) / wanted if wanted > 0 else float("nan")
