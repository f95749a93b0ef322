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

from ce_retrieval.errors import SettingsError, SourceError, counted, cut, reason_of, some
from ce_retrieval.reading import LongFileError, read_regular
from ce_retrieval.transfer.sets.mat_files import LargeFileError, read_cells
from ce_retrieval.transfer.voc_measures import Numbers

_REMEDY = "make the file again, as docs/transfer.md says"
_MOST_BYTES = 1 << 31  # of a file, also unpacked: VOC 2012 with 2000 boxes a photo has 0.7 GB


class Proposals:
    """The boxes of photos.

    Parameters
    ----------
    paths : of files, each of some of the photos.

    Raises
    ------
    SettingsError : no file is given.
    SourceError : a file is missing, of neither kind, too large, or malformed, or two of them have the same photo.

    Attributes
    ----------
    sha256 : of the files, in their order.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        if not paths:
            raise SettingsError("`proposals` is missing: give a file of boxes that may hold objects")
        self._boxes: dict[str, tuple[Path, NDArray[np.float32]]] = {}
        self.sha256 = []
        self._paths = [Path(path) for path in paths]
        for path in self._paths:
            data = _read(path)
            self.sha256.append(hashlib.sha256(data).hexdigest())
            held = 0
            for name, boxes in _parsed(path, data):
                if name in self._boxes:
                    raise SourceError(f"{path}: has the photo {name}, as {self._boxes[name][0]} has; leave one out")
                self._boxes[name] = path, _checked(path, name, boxes)
                held += self._boxes[name][1].nbytes
                if held > _MOST_BYTES:
                    raise _too_large(path)

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
        return read_regular(path, _MOST_BYTES)
    except LongFileError:
        raise _too_large(path) from None
    except OSError as error:
        reason = reason_of(error)
        raise SourceError(f"{path}: {reason}; give a file of proposals") from None


def _too_large(path: Path) -> SourceError:
    return SourceError(f"{path}: holds more than {_MOST_BYTES >> 20} MiB of boxes; give several files")


def _parsed(path: Path, data: bytes) -> Iterator[tuple[str, object]]:
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
    except LargeFileError:
        raise _too_large(path) from None
    except Exception as error:  # hostile bytes make the parsers raise nearly anything
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise SourceError(f"{path}: cannot be read ({reason}); {_REMEDY}") from None


def _npz(data: bytes) -> Iterator[tuple[str, object]]:
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise ValueError("no zip archive")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:  # a member unpacks to what its entry says, at most
        if sum(member.file_size for member in archive.infolist()) > _MOST_BYTES:
            raise LargeFileError
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        for name in arrays.files:
            yield name, arrays[name]


def _mat(data: bytes) -> Iterator[tuple[str, object]]:
    found = read_cells(data, ("images", "boxes"), _MOST_BYTES)
    missing = [name for name in ("images", "boxes") if name not in found]
    if missing:
        raise ValueError(f"no variable {missing[0]}")
    images, boxes = found["images"], found["boxes"]
    if len(images) != len(boxes):
        raise ValueError(f"{len(images)} images, but boxes of {len(boxes)}")
    for image, box in zip(images, boxes, strict=True):
        if not isinstance(image, str) or not image:
            raise ValueError("an image is not a name")
        if isinstance(box, str) or (box.size and box.shape[1:] != (4,)):
            yield image, box
        else:  # an image without boxes has an empty array, of whatever shape
            yield image, box[:, [1, 0, 3, 2]] if box.size else np.empty((0, 4))


def _checked(path: Path, name: str, boxes: object) -> NDArray[np.float32]:
    """Return boxes as float32; SourceError where they are not boxes."""
    found = f"{boxes.dtype} {boxes.shape}" if isinstance(boxes, np.ndarray) else type(boxes).__name__
    if not isinstance(boxes, np.ndarray) or boxes.shape[1:] != (4,) or boxes.dtype.kind not in "iuf":
        raise SourceError(
            f"{path}: {name} has {cut(found)}, expected numbers (N, 4) of xmin, ymin, xmax, ymax; {_REMEDY}"
        )
    with np.errstate(over="ignore"):  # too large a number becomes an infinite one
        values = boxes.astype(np.float32)
    if not (np.isfinite(values).all() and (values >= 1).all() and (values[:, :2] <= values[:, 2:]).all()):
        raise SourceError(f"{path}: a box of {name} has ends below 1, not finite, or in the wrong order; {_REMEDY}")
    return values
