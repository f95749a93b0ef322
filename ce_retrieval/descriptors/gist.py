"""Gist: oriented energies over a coarse grid, and the colour of each cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.descriptors.base import Descriptor
from ce_retrieval.descriptors.cells import cell_means, check_batch, grid_boxes
from ce_retrieval.errors import SettingsError, cut

GRID = 4
ORIENTATIONS = 6
SCALES = 5
MIN_SIZE = 64
TOP_FREQUENCY = 0.3  # cycles per pixel, of the finest scale
FREQUENCY_STEP = 1.85  # each scale's frequency over the next one's
RADIAL = 3.5  # transfer exp(-RADIAL (f / f0 - 1)^2), f0 the scale's frequency
ANGULAR = 2 * np.pi * 16 * ORIENTATIONS**2 / 32**2  # ... times exp(-ANGULAR angle^2), angle in radians
PREFILTER_CYCLES = 4  # cycles per photo at which the prefilter's low-pass has fallen by a half
PREFILTER_FLOOR = 0.2
REACH = 3.0  # standard deviations of a transfer function that are kept around its peak
MIN_SAMPLES = 5  # samples of a response along a cell: enough for the mean over its pixels
CHUNK = 8  # photos transformed at once: they bound the memory and fit the cache

# Measured on 2,000 photos of six kinds of scenes at 128 px, 50,000 random pairs: the mean energy of each scale, and the mean
# squared distance per cell between two photos, of the 30 energies and of L*a*b*.
ENERGY_MEAN = (0.069, 0.065, 0.062, 0.051, 0.029)
ENERGY_SPREAD = 0.0705
LAB_SPREAD = 1242.0
ENERGY_SCALE = float(np.sqrt(2 / 3 / ENERGY_SPREAD))
LAB_SCALE = float(np.sqrt(1 / 3 / LAB_SPREAD))
LAB_CENTRE = (50.0, 0.0, 0.0)


@dataclass(frozen=True)
class _Scale:
    """One scale's part of the spectrum: the side n of its boxes, their flat indices (6 * n * n,) and transfer (6, n, n)."""

    side: int
    index: NDArray[np.intp]
    transfer: NDArray[np.complex64]


class Gist(Descriptor):
    """Oriented energies and mean colour of 4 x 4 cells.

    A cell has 33 channels: 30 oriented energies (5 scales of 6 orientations, finest scale first), then L*, a*, b*. The side
    of the photos is a multiple of 4 px, at least 64.

    Notes
    -----
    Oliva & Torralba, "Modeling the Shape of the Scene" (2001), with the colour layout of Hays & Efros (2007), section 3.

    Energies: grey is the mean of R, G, B in [0, 255]. log(1 + grey) passes a prefilter (local contrast normalisation, 4
    cycles per photo), then 30 log-polar Gabor transfer functions; an energy is the mean magnitude of a response over the
    cell. The constants are those of the authors' published code (LMgist) for 5 scales of 6 orientations. Deviations:

    - grey values are not stretched to the full range first;
    - the photo is mirrored at its border, exactly for the prefilter (cosine transform) and with a margin of a quarter of
      the photo for the filters;
    - each response is computed from the frequencies within 3 standard deviations of its filter's peak, at the resolution
      of that box. A mean magnitude needs no finer sampling; the result is within 1 % of the full computation.

    Colour: CIE L*a*b* (D65) of the mean sRGB colour of the cell's visible pixels, L* less 50.

    Weighting: energies count twice the colour, as in Hays & Efros. Each part is divided by its mean squared distance
    between two random scene photos and multiplied by 2/3 or 1/3, so unrelated photos lie about 1 apart per cell. The mean
    of each scale is subtracted from its energies, which changes no distance and keeps norms small.

    With a hole, the hole is filled with the mean colour of the visible pixels before the energies; the colours use visible
    pixels alone, and cells under half visible have weight 0. Leak: the filters overlap cells, so the step to the mean
    colour raises the energies of cells beside the hole, at coarse scales up to about a quarter of the photo away, and the
    prefilter divides by a contrast that is too low there.
    """

    spec = "gist"
    cells = GRID * GRID
    channels = SCALES * ORIENTATIONS + 3
    min_share = 0.5

    def __init__(self, size: int):
        if size < MIN_SIZE or size % GRID:
            raise SettingsError(f"gist: `size` is {size} px: use a multiple of {GRID} px, and at least {MIN_SIZE}")
        self.size = size
        self.boxes = grid_boxes(GRID, size // GRID, size // GRID)
        self._mirror = np.pad(np.arange(size), size // GRID, mode="symmetric")
        self._scales = [_scale(len(self._mirror), TOP_FREQUENCY / FREQUENCY_STEP**i) for i in range(SCALES)]
        self._low_pass = _low_pass(size)

    def describe(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Describe a batch, uint8 (B, S, S, 3) -> float32 (B, 16, 33), centred, about [-1, 1]."""
        check_batch(self.spec, self.size, photos, holes)
        out = np.empty((len(photos), self.cells, self.channels), np.float32)
        colours = cell_means(np.ascontiguousarray(photos), holes, GRID)
        out[:, :, -3:] = (_lab(colours) - np.array(LAB_CENTRE, np.float32)) * np.float32(LAB_SCALE)
        if holes is not None:
            from ce_retrieval.holes.strategies import fill_mean

            photos = fill_mean(photos, holes)
        means = np.repeat(np.array(ENERGY_MEAN, np.float32), ORIENTATIONS)
        for start in range(0, len(photos), CHUNK):
            part = slice(start, start + CHUNK)
            out[part, :, :-3] = (self._energies(photos[part]) - means) * np.float32(ENERGY_SCALE)
        return out

    def _energies(self, photos: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the mean magnitudes of the responses, float32 (B, 16, 30)."""
        from scipy import fft

        sharp = self._prefilter(photos)
        padded = sharp[:, self._mirror[:, None], self._mirror[None, :]]
        spectrum = fft.fft2(padded).reshape(len(photos), -1)
        out = np.empty((len(photos), self.cells, SCALES, ORIENTATIONS), np.float32)
        for i, scale in enumerate(self._scales):
            n, m = scale.side, scale.side // 6  # a cell and the margin are each a sixth of the padded photo
            boxes = spectrum.take(scale.index, axis=1).reshape(-1, ORIENTATIONS, n, n)
            boxes *= scale.transfer
            inside = fft.ifft2(boxes, overwrite_x=True)[:, :, m:-m, m:-m]
            magnitude = np.sqrt(inside.real**2 + inside.imag**2)
            cells = magnitude.reshape(-1, ORIENTATIONS, GRID, m, GRID, m).mean(axis=(3, 5))
            out[:, :, i] = cells.reshape(-1, ORIENTATIONS, self.cells).transpose(0, 2, 1)
        return out.reshape(len(photos), self.cells, -1)

    def _prefilter(self, photos: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return log grey values with their local contrast normalised: float32 (B, S, S)."""
        total = photos[..., 0].astype(np.uint16) + photos[..., 1] + photos[..., 2]
        sharp: Any = np.log1p(total.astype(np.float32) / 3)
        sharp -= self._blur(sharp)
        # The low-pass of a square is never negative in theory; rounding may take it just under 0.
        contrast = np.sqrt(np.maximum(self._blur(sharp**2), 0))
        quotient: NDArray[np.float32] = sharp / (contrast + np.float32(PREFILTER_FLOOR))
        return quotient

    def _blur(self, planes: NDArray[np.float32]) -> NDArray[np.float32]:
        from scipy import fft

        blurred: NDArray[np.float32] = fft.idctn(fft.dctn(planes, axes=(1, 2)) * self._low_pass, axes=(1, 2))
        return blurred


def _low_pass(size: int) -> NDArray[np.float32]:
    """Return the prefilter's Gaussian low-pass at the frequencies of a cosine transform (half cycles per photo): (S, S)."""
    cycles = np.arange(size) / 2
    line = np.exp(-(cycles**2) * np.log(2) / PREFILTER_CYCLES**2)
    return np.outer(line, line).astype(np.float32)


def _scale(n: int, frequency: float) -> _Scale:
    """Return the boxes of one scale's six filters in the spectrum of an n x n photo."""
    from scipy import fft

    # Both standard deviations of a transfer function are about frequency / sqrt(2 RADIAL) near its peak.
    wide = 2 * REACH * frequency / np.sqrt(2 * RADIAL) * n
    side = min(n, 6 * fft.next_fast_len(max(MIN_SAMPLES, int(np.ceil(wide / 6)))))
    index, transfers = [], []
    for j in range(ORIENTATIONS):
        angle = -np.pi / ORIENTATIONS * j  # the published code's order
        centre = np.round(frequency * n * np.array([np.sin(angle), np.cos(angle)])).astype(int)
        rows, columns = (np.arange(side) - side // 2 + c for c in centre)
        index.append((rows % n)[:, None] * n + (columns % n)[None, :])
        # Frequencies beyond the sampling limit wrap around.
        fy, fx = (((f + n // 2) % n - n // 2) / n for f in (rows, columns))
        transfer: Any = _transfer(fy[:, None], fx[None, :], frequency, angle)
        # Centre each coarse sample on the pixels that it stands for.
        shift = (n / side - 1) / 2
        transfers.append(transfer * np.exp(2j * np.pi * shift * (fy[:, None] + fx[None, :])) * (side / n) ** 2)
    return _Scale(side, np.stack(index).ravel(), np.stack(transfers).astype(np.complex64))


def _transfer(fy: Any, fx: Any, frequency: float, angle: float) -> Any:
    """Return the log-polar Gabor transfer function at frequencies in cycles per pixel: 1 at its peak (`frequency`, `angle`)."""
    turn = np.angle(np.exp(1j * (np.arctan2(fy, fx) - angle)))
    return np.exp(-RADIAL * (np.hypot(fy, fx) / frequency - 1) ** 2 - ANGULAR * turn**2)


def _lab(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return CIE L*a*b* (D65, 2 degrees) of sRGB colours in [0, 1], float32 (..., 3)."""
    linear = np.where(colours > 0.04045, ((colours + 0.055) / 1.055) ** 2.4, colours / 12.92)
    to_xyz = np.array(
        [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]], np.float32
    )
    xyz = linear @ (to_xyz / np.array([[0.95047], [1.0], [1.08883]], np.float32)).T
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)


def make_gist(argument: str | None, size: int) -> Gist:
    """Make ``gist``; SettingsError for an argument, or a size under 64 px or not a multiple of 4."""
    if argument is not None:
        raise SettingsError(f"{cut(f'gist:{argument}')}: gist takes no parameter: write gist")
    return Gist(size)
