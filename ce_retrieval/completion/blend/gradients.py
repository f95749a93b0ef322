"""The gradients that a blend follows: P. Perez, M. Gangnet, A. Blake, "Poisson Image Editing", SIGGRAPH 2003, section 3.

Between two neighbours of which one at least is taken from the source, the guidance is the source's gradient (equation 11);
between others it is the photo's. With mixed gradients (equation 13), where the photo's gradient is known too, it is the larger
of the two by absolute value, each channel for itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Float64 = NDArray[np.float64]

# Each axis' pairs of neighbours: all that have a next one, and those next ones.
_PAIRS = ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:]))


def guided(
    source: NDArray[Any], photo: NDArray[Any], taken: Bools, hidden: Bools, *, mixed: bool
) -> tuple[Float64, Float64]:
    """The composite of two images, and how far its gradients are from the guidance.

    Args:
        source: float (h, w, 3), read where taken and at the neighbours of such pixels.
        photo: float (h, w, 3), never read where hidden.
        taken: bool (h, w), the pixels that come from the source: all hidden ones and perhaps more.
        hidden: bool (h, w), the hole: the photo is not known there.
        mixed: see above.

    Returns:
        (composite, divergence), both float64 (h, w, 3). The divergence at p is the sum over its neighbours q of v_pq minus
        (c_p - c_q), of guidance v and composite c: the right-hand side of the equations for what is to be added to c.
    """
    # float32 differences round; those of float64 copies do not, so that equal gradients cancel exactly.
    source, photo = source.astype(np.float64), photo.astype(np.float64)
    pasted = np.where(taken[..., None], source, photo)
    divergence = np.zeros_like(pasted)
    for near, far in _PAIRS:
        from_source = (taken[near] | taken[far])[..., None]
        of_source, of_photo = source[near] - source[far], photo[near] - photo[far]
        wanted = np.where(from_source, of_source, of_photo)
        if mixed:
            known = ~(hidden[near] | hidden[far])[..., None]
            wanted = np.where(from_source & known & (np.abs(of_photo) > np.abs(of_source)), of_photo, wanted)
        wanted -= pasted[near] - pasted[far]
        divergence[near] += wanted
        divergence[far] -= wanted
    return pasted, divergence
