"""The guidance field of a blend: P. Perez, M. Gangnet, A. Blake, "Poisson Image Editing", SIGGRAPH 2003, section 3.

Between two neighbours of which at least one comes from the source, the guidance is the source's gradient (equation 11),
elsewhere the photo's. With mixed gradients (equation 13) it is the stronger of the two wherever the photo is known, chosen for
each channel apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Float64 = NDArray[np.float64]

# For each axis the slices of the first and of the second pixel of all pairs of neighbours.
_PAIRS = ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:]))


def composite_and_divergence(
    source: NDArray[Any], photo: NDArray[Any], taken: Bools, hidden: Bools, *, mixed: bool
) -> tuple[Float64, Float64]:
    """Return the composite of two images and the divergence of its gradients' error against the guidance field.

    Parameters
    ----------
    source : float (h, w, 3)
        Read where taken, and at the 4-neighbours of these pixels.
    photo : float (h, w, 3)
        Never read where hidden.
    taken : bool (h, w)
        Pixels that come from the source: all hidden ones, and any others.
    hidden : bool (h, w)
        The hole: pixels that the photo lacks.
    mixed : bool
        Whether to follow the stronger gradient where the photo is known.

    Returns
    -------
    composite : float64 (h, w, 3)
        The source where taken, else the photo.
    divergence : float64 (h, w, 3)
        At p the sum over 4-neighbours q of v_pq - (c_p - c_q), for guidance v and composite c. It is the right-hand side of
        the equations for the correction of c.
    """
    # Differences of float64 copies are exact, those of float32 values are not: equal gradients must cancel.
    source, photo = source.astype(np.float64), photo.astype(np.float64)
    composite = np.where(taken[..., None], source, photo)
    divergence = np.zeros_like(composite)
    for near, far in _PAIRS:
        from_source = (taken[near] | taken[far])[..., None]
        of_source, of_photo = source[near] - source[far], photo[near] - photo[far]
        guidance = np.where(from_source, of_source, of_photo)
        if mixed:
            known = ~(hidden[near] | hidden[far])[..., None]
            guidance = np.where(from_source & known & (np.abs(of_photo) > np.abs(of_source)), of_photo, guidance)
        guidance -= composite[near] - composite[far]
        divergence[near] += guidance
        divergence[far] -= guidance
    return composite, divergence
