"""The squared difference between a masked template and every place of an image, by Fourier transforms.

For features q (C channels) under a mask w (0 or 1) and an image s:

    sum w (q - s)^2 = sum w q^2 - 2 [corr(w q, s) - corr(w, sum_c s_c^2) / 2]

Channels are summed in the frequency domain, so that one inverse transform gives every translation. J. P. Lewis, "Fast
Normalized Cross-Correlation", Vision Interface 1995, for the correlations; the transforms are as large as the image alone,
since a template that lies inside it never wraps around.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.pixels import Bools, Floats

CACHED_SHAPES = 6  # sizes of transform whose spectra of the template are kept: 16 MB each at 1024x768
# Bound of the rounding error as a share of the energies that cancel: thirty times the largest loss seen on photos.
ROUNDING = 5e-6


class Errors(NamedTuple):
    """Mean squared differences at every valid translation.

    Attributes
    ----------
    values : float32 (rows, cols), 0 or more
    doubt : about the most that rounding may have added or taken.
    """

    values: Floats
    doubt: float


class MaskedMatch:
    """A template under a mask, ready to be looked for in images. Threads may share one.

    Parameters
    ----------
    features : float32 (C, bh, bw)
        0 outside the mask. The smaller the values, the less float32 loses: lower their means to near 0, and those of the
        images by the same numbers.
    mask : bool (bh, bw), at least one True.
    """

    def __init__(self, features: Floats, mask: Bools) -> None:
        self._features = features
        self._mask = mask
        self._pixels = int(mask.sum())
        self._energy = float(np.square(features, dtype=np.float64).sum())
        self._spectra: OrderedDict[tuple[int, int], tuple[NDArray[np.complex64], NDArray[np.complex64]]] = OrderedDict()
        self._lock = threading.Lock()

    def planes(self, size: tuple[int, int]) -> Floats:
        """Return room for an image of size (h, w): float32 (C + 1, >= h, >= w), undefined inside h x w, 0 beyond it."""
        planes = np.empty((len(self._features) + 1, *transform_size(size)), np.float32)
        planes[:, size[0] :] = 0
        planes[:, :, size[1] :] = 0
        return planes

    def errors(self, planes: Floats, size: tuple[int, int]) -> Errors:
        """Return the squared difference, summed over channels, mean over the mask, at each translation inside the image.

        Parameters
        ----------
        planes : as from `planes`, the first C filled with the image over (h, w); the last one is written to.
        size : (h, w) of the image, not smaller than the mask.

        Returns
        -------
        Errors : values (h - bh + 1, w - bw + 1).
        """
        from scipy.fft import ifft, irfft, rfft2

        image, squares = planes[:-1, : size[0], : size[1]], planes[-1, : size[0], : size[1]]
        np.einsum("chw,chw->hw", image, image, out=squares)
        # Without its mean, added after, there is less to lose in the transform.
        mean = float(squares.mean(dtype=np.float64))
        squares -= np.float32(mean)
        features, mask = self._spectra_for((planes.shape[1], planes.shape[2]))
        total = rfft2(planes[-1])
        total *= mask
        for plane, spectrum in zip(planes[:-1], features, strict=True):
            there = rfft2(plane)
            there *= spectrum
            total += there
        rows, cols = (size[axis] - self._mask.shape[axis] + 1 for axis in (0, 1))
        lines = ifft(total, axis=0, overwrite_x=True)[:rows]
        match = irfft(lines, n=planes.shape[2], axis=1)[:, :cols]
        base = self._energy / self._pixels + mean
        values = np.maximum(np.float32(base) - match * np.float32(2 / self._pixels), 0)
        return Errors(values, ROUNDING * base)

    def _spectra_for(self, transform: tuple[int, int]) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
        """Return the conjugate spectra of the features (C, ...), and of the mask times -1/2."""
        from scipy.fft import rfft2

        with self._lock:
            if transform not in self._spectra:
                features = np.conj(rfft2(self._features, s=transform))
                mask = np.conj(rfft2(self._mask.astype(np.float32), s=transform)) * np.float32(-0.5)
                self._spectra[transform] = (features, mask)
            self._spectra.move_to_end(transform)
            while len(self._spectra) > CACHED_SHAPES:
                self._spectra.popitem(last=False)
            return self._spectra[transform]


def transform_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the least (H, W) not under `size` whose transform is fast."""
    from scipy.fft import next_fast_len

    return next_fast_len(size[0], real=True), next_fast_len(size[1], real=True)
