"""A file of FAISS's exact inner-product index, written part by part: the vectors need not fit into memory."""

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from indexes.base import EngineError, check_vectors
from indexes.faiss_index import load_faiss


def write_flat(path: Path, dimension: int, count: int, parts: Iterable[np.ndarray]) -> None:
    """Write vectors as a file that `faiss.read_index` reads as an `IndexFlatIP`.

    Parameters
    ----------
    path : Path
    dimension, count : int
        Of all vectors.
    parts : float32 arrays (n, dimension)
        Of `count` rows together.

    Raises
    ------
    EngineError
        FAISS is not installed, or writes such files in another way than this.
    """
    faiss = load_faiss()
    sample = faiss.IndexFlatIP(dimension)
    sample.add(np.zeros((1, dimension), np.float32))
    if faiss.serialize_index(sample).tobytes() != _header(dimension, 1) + bytes(4 * dimension):
        raise EngineError(
            f"FAISS {faiss.__version__} writes flat indexes in another format: export as parquet, or use 1.15"
        )
    written = 0
    with open(path, "wb") as file:
        file.write(_header(dimension, count))
        for part in parts:
            file.write(np.ascontiguousarray(check_vectors(part, dimension), "<f4").data)
            written += len(part)
    if written != count:
        raise EngineError(f"{written} vectors were given to write, expected {count}")


def _header(dimension: int, count: int) -> bytes:
    """Return what stands before the vectors: kind, dimension, count, two unused numbers, trained, inner product, numbers."""
    return struct.pack("<4siqqqBiQ", b"IxFI", dimension, count, 1 << 20, 1 << 20, 1, 0, count * dimension)
