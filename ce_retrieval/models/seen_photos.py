"""The photos that a network was trained on, as short signatures in a file beside its weights.

So an evaluation can say which of its photos a network has seen. A signature survives a change of size and of quality; no photo
can be made from it.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import CheckpointError
from ce_retrieval.reading import read_regular
from ce_retrieval.storage import replace_file

SEEN = "seen-photos.npy"  # of all weights in its folder
LONG, SHORT = 16, 4  # cells of a photo, along and across the direction of the differences
BYTES = 2 * LONG * SHORT // 8
MOST_BITS = 12  # of 128 in which the signatures of one photo may differ
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
AT_ONCE = 1 << 24  # comparisons of a step


def signatures(photos: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the signature of square photos uint8 (B, S, S, 3): uint8 (B, 16).

    Notes
    -----
    Whether a cell is brighter than its neighbour, for cells of 1/17 of the width and 1/4 of the height, and the other way
    round (after N. Krawetz, "Kind of like that", 2013: dHash). Of 1,000 photos written again as WebP of quality 80 and 144 px
    none differed in more than MOST_BITS; of 600 others none was as near to one of 14,008.
    """
    import cv2

    made = np.empty((len(photos), 2 * LONG * SHORT), bool)
    for row, photo in enumerate(photos):
        grey = photo.astype(np.float32) @ GREY
        across = cv2.resize(grey, (LONG + 1, SHORT), interpolation=cv2.INTER_AREA)
        down = cv2.resize(grey, (SHORT, LONG + 1), interpolation=cv2.INTER_AREA)
        made[row] = np.concatenate([(np.diff(across, axis=1) > 0).ravel(), (np.diff(down, axis=0) > 0).ravel()])
    return np.packbits(made, axis=1)


def write_seen(folder: Path, photos: NDArray[np.uint8]) -> None:
    """Write the signatures of photos uint8 (N, S, S, 3), an array or a mapped file, for the weights in a folder."""
    parts = [signatures(photos[start : start + 1024]) for start in range(0, len(photos), 1024)]
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.concatenate(parts), version=(1, 0), allow_pickle=False)
    replace_file(folder / SEEN, buffer.getbuffer())


def read_seen(weights: Path) -> NDArray[np.uint8] | None:
    """Return the signatures of the photos that weights were trained on, uint8 (N, 16); None where no file tells.

    CheckpointError where the file is damaged.
    """
    path = weights.parent / SEEN
    if not path.is_file():
        return None
    try:
        found = np.lib.format.read_array(io.BytesIO(read_regular(path)), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): remove it, or put the right one back") from error
    if found.dtype != np.uint8 or found.ndim != 2 or found.shape[1] != BYTES:
        raise CheckpointError(f"{path} holds {found.dtype} {found.shape}, not signatures: remove it")
    return found


def were_seen(asked: NDArray[np.uint8], seen: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which signatures uint8 (B, 16) are of a photo among `seen` (N, 16): bool (B,)."""
    if not len(seen):
        return np.zeros(len(asked), bool)
    bits = [np.unpackbits(one, axis=1).astype(np.float32) * 2 - 1 for one in (asked, seen)]
    step = max(1, AT_ONCE // len(seen))
    most = [(bits[0][start : start + step] @ bits[1].T).max(axis=1) for start in range(0, len(asked), step)]
    width = 8 * BYTES
    return (width - np.concatenate(most or [np.empty(0, np.float32)])) / 2 <= MOST_BITS
