"""Local features as a few bytes each: the cell of an inverted multi-index, a signature within it, angle and scale.

A. Babenko, V. Lempitsky, "The Inverted Multi-Index", CVPR 2012: each half of a descriptor has a codebook, and a cell is a pair
of codewords. H. Jegou, M. Douze, C. Schmid, "Hamming Embedding and Weak Geometric Consistency", ECCV 2008: a signature says on
which side of the cell's medians a descriptor lies, along 64 directions.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import CheckpointError
from ce_retrieval.pixels import Floats
from ce_retrieval.places.local_features import LocalFeatures

FILE = "places.safetensors"
FOLDER = Path(__file__).resolve().parents[1] / "weights"
WORDS = 256  # of a codebook
CELLS = WORDS * WORDS
HALF = 64  # numbers of half a descriptor
BITS = 32  # of a signature, from each half
NEAR_WORDS = 12  # of each half, whose pairs are looked at for the nearest cells
SCALE_STEPS = 16  # of the byte of a scale, an octave
SHAPES = {"words": (2, WORDS, HALF), "directions": (2, BITS, HALF), "medians": (2, WORDS, BITS)}


class CodedFeatures(NamedTuple):
    """Local features of a photo as they are stored: n of each.

    Attributes
    ----------
    cells : uint16 (n,)
    signatures : uint64 (n,)
    angles : uint8 (n,)
        In 1/256 of a turn.
    scales : uint8 (n,)
        SCALE_STEPS times the binary logarithm of the diameter in px, from 0.
    """

    cells: NDArray[np.uint16]
    signatures: NDArray[np.uint64]
    angles: NDArray[np.uint8]
    scales: NDArray[np.uint8]


NO_FEATURES = CodedFeatures(
    np.zeros(0, np.uint16), np.zeros(0, np.uint64), np.zeros(0, np.uint8), np.zeros(0, np.uint8)
)


class PlaceCodes:
    """The codebooks, directions and medians by which local features are coded; benchmarks/train_place_codes.py makes them.

    Parameters
    ----------
    words : float (2, WORDS, HALF)
        Codewords of the first and of the second half of a descriptor.
    directions : float (2, BITS, HALF)
    medians : float (2, WORDS, BITS)
        Of the descriptors of each word along each direction.
    sha256 : str
        Of the file that holds them: features coded by another one cannot be compared.
    """

    def __init__(self, words: Floats, directions: Floats, medians: Floats, sha256: str) -> None:
        self._words, self._directions, self._medians = words, directions, medians
        self._norms = np.square(words).sum(axis=2)
        self.sha256 = sha256

    def code(self, features: LocalFeatures) -> CodedFeatures:
        """Code the local features of a photo."""
        words = self._distances(features.descriptors).argmin(axis=2)
        angles = np.round(features.angles * (256 / 360)).astype(np.int64) % 256
        return CodedFeatures(
            (words[0] * WORDS + words[1]).astype(np.uint16),
            self._signatures(features.descriptors, words[:, :, None])[:, 0],
            angles.astype(np.uint8),
            scale_bytes(features.diameters),
        )

    def nearest(self, descriptors: Floats, count: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Return the `count` nearest cells of each descriptor, nearest first, and its signature in each: both (n, count)."""
        distances = self._distances(descriptors)
        near = np.argsort(distances, axis=2, kind="stable")[:, :, :NEAR_WORDS]
        first, second = np.take_along_axis(distances, near, axis=2)
        sums = (first[:, :, None] + second[:, None, :]).reshape(-1, NEAR_WORDS * NEAR_WORDS)
        best = np.argsort(sums, axis=1, kind="stable")[:, :count]
        pairs = best // NEAR_WORDS, best % NEAR_WORDS
        words = np.stack([np.take_along_axis(half, pair, axis=1) for half, pair in zip(near, pairs, strict=True)])
        return words[0] * WORDS + words[1], self._signatures(descriptors, words)

    def _distances(self, descriptors: Floats) -> Floats:
        """Return squared distances to the words, less what is the same for all words of a half: (2, n, WORDS)."""
        halves = descriptors.reshape(-1, 2, HALF).swapaxes(0, 1)
        distances: Floats = self._norms[:, None] - 2 * (halves @ self._words.swapaxes(1, 2))
        return distances

    def _signatures(self, descriptors: Floats, words: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Return the signatures (n, k) of descriptors (n, 2 * HALF) in cells given by their words (2, n, k)."""
        halves = descriptors.reshape(-1, 2, HALF).swapaxes(0, 1)
        along = halves @ self._directions.swapaxes(1, 2)
        above = [along[half][:, None] > self._medians[half][words[half]] for half in (0, 1)]
        packed = np.packbits(np.concatenate(above, axis=2), axis=2, bitorder="little")
        return np.ascontiguousarray(packed).view("<u8")[:, :, 0].astype(np.uint64)


def scale_bytes(diameters: Floats) -> NDArray[np.uint8]:
    """Return the bytes of scales: SCALE_STEPS an octave, from a diameter of 1 px."""
    steps = np.round(SCALE_STEPS * np.log2(np.maximum(diameters, 1)))
    return np.clip(steps, 0, 255).astype(np.uint8)


@functools.cache
def shipped_codes() -> PlaceCodes:
    """Return the codes that ship with the package; CheckpointError where their file is missing or damaged."""
    return load_codes(FOLDER / FILE)


def load_codes(path: Path) -> PlaceCodes:
    """Read a file of codes; CheckpointError where it is missing, or holds something else."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        data = path.read_bytes()
        tensors = load(data)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: no codes of local features ({error}): install ceret again") from None
    if {name: tensor.shape for name, tensor in tensors.items()} != SHAPES:
        raise CheckpointError(f"{path}: its arrays are not {', '.join(SHAPES)} of their shapes: install ceret again")
    arrays = {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
    return PlaceCodes(**arrays, sha256=hashlib.sha256(data).hexdigest())
