"""Whether fills look like photos as a whole: the kernel distance between the features of fills and of truths (KID)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEAST = 3  # photos
AT_ONCE = 1 << 22  # numbers of a step


def kernel_distances(truth: NDArray[np.float32], fills: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return what each photo adds to the kernel distance of two sets of features; the distance is the mean.

    Parameters
    ----------
    truth, fills : float32 (Q, C)
        Of the same photos, in the same order; 3 or more.

    Returns
    -------
    float64 (Q,), NaN with fewer photos. The mean may be below 0: the estimate has no bias.

    Notes
    -----
    M. Bińkowski et al., "Demystifying MMD GANs", ICLR 2018: the unbiased squared maximum mean discrepancy with the kernel
    (x.y / C + 1)^3. Over all photos at once, in place of a mean over random subsets. The estimator is that for pairs, as a
    fill and its truth depend on each other: Gretton et al., "A Kernel Two-Sample Test" (2012), equation 4. The values are its
    jackknife pseudo-values, whose mean is the estimate, so that it has intervals and paired differences as other measures.
    """
    count = len(truth)
    if count < LEAST:
        return np.full(count, np.nan)
    x, y = truth.astype(np.float64), fills.astype(np.float64)
    sums = np.empty(count)  # of h over the other photos
    step = max(1, AT_ONCE // count)
    for start in range(0, count, step):
        rows = slice(start, start + step)
        h = _kernel(x[rows], x) + _kernel(y[rows], y) - _kernel(x[rows], y) - _kernel(y[rows], x)
        sums[rows] = h.sum(axis=1) - np.diagonal(h, offset=start)
    whole = sums.sum()
    return whole / (count - 1) - (whole - 2 * sums) / (count - 2)


def _kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    cubed: NDArray[np.float64] = (a @ b.T / a.shape[1] + 1.0) ** 3
    return cubed
