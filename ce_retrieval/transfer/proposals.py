"""Proposals of detection: boxes of each photo that may hold an object, from files.

Two kinds of file: .npz, with an array (N, 4) for each photo under its name; and .mat as published with Fast R-CNN, with the
names in `images` and the boxes in `boxes`, as ymin, xmin, ymax, xmax. In both, the first pixel of a photo is 1 and both ends
belong to the box.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import SourceError, counted, some
from ce_retrieval.reading import read_regular
from ce_retrieval.transfer.voc_measures import Numbers

_REMEDY = "make the file again, as docs/transfer.md says"


class Proposals:
    """The boxes of photos.

    Parameters
    ----------
    paths : of files, each of some of the photos.

    Raises
    ------
    SourceError : a file is missing, of neither kind, or malformed, or two of them have the same photo.

    Attributes
    ----------
    sha256 : of the files, in their order.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self._boxes: dict[str, tuple[Path, NDArray[np.float32]]] = {}
        self.sha256 = []
        self._paths = [Path(path) for path in paths]
        for path in self._paths:
            data = _read(path)
            self.sha256.append(hashlib.sha256(data).hexdigest())
            for name, boxes in _parsed(path, data):
                if name in self._boxes:
                    raise SourceError(f"{path}: has the photo {name}, as {self._boxes[name][0]} has; leave one out")
                self._boxes[name] = path, _checked(path, name, boxes)

    def check(self, names: Sequence[str]) -> None:
        """Raise SourceError where a photo has no boxes."""
        missing = [name for name in names if name not in self._boxes or not len(self._boxes[name][1])]
        if missing:
            files = ", ".join(str(path) for path in self._paths)
            raise SourceError(f"{files}: no boxes of {counted(len(missing), 'photo')}, {some(missing, 1)}; {_REMEDY}")

    def boxes(self, name: str, width: int, height: int) -> Numbers:
        """Return the boxes of a photo: float64 (N, 4) of xmin, ymin, xmax, ymax; SourceError where one lies outside it."""
        path, boxes = self._boxes[name]
        if (boxes[:, 2:] > [width, height]).any():
            raise SourceError(f"{path}: a box of {name} is not within its {width}x{height} px; {_REMEDY}")
        return boxes.astype(np.float64)


def _read(path: Path) -> bytes:
    try:
        return read_regular(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SourceError(f"{path}: {reason}; give a file of proposals") from None


def _parsed(path: Path, data: bytes) -> Iterator[tuple[str, NDArray[np.generic]]]:
    """Yield names of photos and their boxes, not yet checked."""
    match path.suffix.lower():
        case ".npz":
            reader = _npz
        case ".mat":
            reader = _mat
        case _:
            raise SourceError(f"{path}: is no file of proposals; give a .npz or .mat file")
    try:
        yield from reader(data)
    except Exception as error:  # hostile bytes make the parsers raise nearly anything
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise SourceError(f"{path}: cannot be read ({reason}); {_REMEDY}") from None


def _npz(data: bytes) -> Iterator[tuple[str, NDArray[np.generic]]]:
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise ValueError("no zip archive")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        for name in arrays.files:
            yield name, arrays[name]


def _mat(data: bytes) -> Iterator[tuple[str, NDArray[np.generic]]]:
    from scipy.io import loadmat

    found = loadmat(io.BytesIO(data), variable_names=["images", "boxes"])
    images, boxes = found["images"].ravel(), found["boxes"].ravel()
    for image, box in zip(images, boxes, strict=True):
        # An image without boxes has an empty array, of whatever shape.
        yield str(np.ravel(image)[0]), box[:, [1, 0, 3, 2]] if box.size else np.empty((0, 4))


def _checked(path: Path, name: str, boxes: NDArray[np.generic]) -> NDArray[np.float32]:
    if boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.dtype.kind not in "iuf":
        raise SourceError(
            f"{path}: {name} has {boxes.dtype} {boxes.shape}, expected numbers (N, 4) of xmin, ymin, xmax, ymax; {_REMEDY}"
        )
    values = boxes.astype(np.float32)
    if not (np.isfinite(values).all() and (values >= 1).all() and (values[:, :2] <= values[:, 2:]).all()):
        raise SourceError(f"{path}: a box of {name} has ends below 1 or in the wrong order; {_REMEDY}")
    return values
