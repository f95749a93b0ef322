"""Reading PASCAL VOC: image sets, photos and palette masks of one folder such as VOCdevkit/VOC2007.

Notes
-----
M. Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge" (2010), and the documents of its development kits.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import PhotoError, SourceError, are, reason_of, shown, some
from ce_retrieval.photos.base import DEFAULT_MAX_PIXELS
from ce_retrieval.photos.decode import decode_photo
from ce_retrieval.pixels import Photo
from ce_retrieval.reading import read_regular
from ce_retrieval.transfer.sets.voc_objects import CLASSES, Annotation, parse_annotation

VOID = 255  # in a mask: the border of an object, or one that is hard to see; measures leave it out
SETS = "ImageSets"
_MASKS = "SegmentationClass"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_MOST_BYTES = 1 << 26  # of a text: a set of VOC 2012 has 300 kB


class VocFolder:
    """One year of PASCAL VOC, or a set of the same shape.

    Parameters
    ----------
    root : the folder that holds `ImageSets`, `JPEGImages` and, by task, `Annotations` and `SegmentationClass`.

    Raises
    ------
    SourceError : there is no such folder.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        if (self.root / SETS).is_dir():
            return
        years = sorted(path.parent.name for path in self.root.glob(f"VOC*/{SETS}"))
        remedy = f"give {self.root / years[0]}" if years else "give the folder that holds it, as VOCdevkit/VOC2007"
        raise SourceError(f"{self.root}: holds no folder {SETS}: {remedy}")

    def names(self, part: str, task: str = "Main") -> tuple[str, ...]:
        """Return the names of the photos of an image set, in its order.

        Parameters
        ----------
        part : "train", "val", "trainval", "test".
        task : folder of the set: "Main" (classification, detection) or "Segmentation".

        Raises
        ------
        SourceError : the file is missing, empty, or holds something else than a name a line, each once.
        """
        path = self.root / SETS / task / f"{part}.txt"
        return _once(path, [self._name(path, line, words) for line, words in _lines(path, 1)])

    def labels(self, part: str) -> tuple[tuple[str, ...], NDArray[np.int8]]:
        """Return what the photos of a set show, from Main/CLASS_PART.txt.

        Returns
        -------
        names : of the photos, N.
        labels : int8 (N, len(CLASSES)): 1 shown, -1 not shown, 0 shown, but only by objects marked as difficult.

        Raises
        ------
        SourceError : a file is missing, malformed, or lists other photos than the first one.
        """
        columns: list[list[int]] = []
        names: tuple[str, ...] = ()
        first = self._class_set(CLASSES[0], part)
        for name in CLASSES:
            path = self._class_set(name, part)
            listed, column = [], []
            for line, words in _lines(path, 2):
                listed.append(self._name(path, line, words))
                if words[1] not in ("1", "0", "-1"):
                    raise SourceError(
                        f"{path}: line {line} says {shown(words[1])}, expected 1, 0 or -1; copy the set again"
                    )
                column.append(int(words[1]))
            names = names or _once(path, listed)
            if tuple(listed) != names:
                raise SourceError(f"{path}: lists other photos than {first.name}, or in another order; copy both again")
            columns.append(column)
        return names, np.array(columns, np.int8).T.copy()

    def annotation(self, name: str) -> Annotation:
        """Return the objects of a photo, from Annotations/NAME.xml; SourceError as `parse_annotation`."""
        path = self.annotation_path(name)
        return parse_annotation(_read(path), path=str(path))

    def file_sizes(self, paths: Iterable[Path]) -> list[int]:
        """Return the sizes of files in bytes; SourceError where one is missing: a training should not end by it after hours."""
        # Reading what is not a file raises the error that says what stands there.
        return [path.stat().st_size if path.is_file() else len(_read(path)) for path in paths]

    def photo_path(self, name: str) -> Path:
        """Return the path of a photo."""
        return self.root / "JPEGImages" / f"{name}.jpg"

    def annotation_path(self, name: str) -> Path:
        """Return the path of the annotation of a photo."""
        return self.root / "Annotations" / f"{name}.xml"

    def mask_path(self, name: str) -> Path:
        """Return the path of a mask."""
        return self.root / _MASKS / f"{name}.png"

    def photo(self, name: str, size: int | None = None) -> Photo:
        """Return a photo: uint8 (H, W, 3), or resized whole to (size, size, 3).

        Raises
        ------
        SourceError : there is no such file.
        PhotoError : it cannot be decoded.
        """
        path = self.photo_path(name)
        return decode_photo(_read(path), name=str(path), size=size).pixels

    def mask(self, name: str) -> NDArray[np.uint8]:
        """Return the class of each pixel of a photo: uint8 (H, W), 0 background, 1 to 20 as in CLASSES, 255 (`VOID`) ignored.

        Raises
        ------
        SourceError : the file is missing, no PNG of palette entries (or grey values), or has a value that is no class.
        """
        path = self.mask_path(name)
        mask = _palette_entries(_read(path), path)
        wrong = np.setdiff1d(mask, [*range(len(CLASSES) + 1), VOID])
        if wrong.size:
            raise SourceError(
                f"{path}: has the value {wrong[0]}, expected 0 to {len(CLASSES)} or {VOID}; use a mask of {_MASKS}"
            )
        return mask

    def _class_set(self, name: str, part: str) -> Path:
        return self.root / SETS / "Main" / f"{name}_{part}.txt"

    @staticmethod
    def _name(path: Path, line: int, words: Sequence[str]) -> str:
        if not _NAME.fullmatch(words[0]):
            raise SourceError(f"{path}: line {line} names {shown(words[0])}, no photo of VOC; copy the set again")
        return words[0]


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, _MOST_BYTES)
    except OSError as error:
        reason = reason_of(error)
        raise SourceError(f"{path}: {reason}; unpack the archive of VOC again, or check the path") from None


def _lines(path: Path, words: int) -> list[tuple[int, list[str]]]:
    """Return the lines of a set that are not blank, with their numbers from 1; SourceError for another count of words."""
    try:
        text = _read(path).decode("ascii")
    except UnicodeDecodeError:
        raise SourceError(f"{path}: is not a text of names; copy the set again") from None
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    for number, found in lines:
        if len(found) != words:
            wanted = "the name of a photo" if words == 1 else "the name of a photo and 1, 0 or -1"
            raise SourceError(f"{path}: line {number} has {len(found)} words, expected {wanted}; copy the set again")
    if not lines:
        raise SourceError(f"{path}: is empty; copy the set again")
    return lines


def _once(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise SourceError(f"{path}: lists photos twice ({some(twice, 1)}); copy the set again")
    return tuple(names)


def check_names_apart(root: Path, sets: Mapping[str, Sequence[str]]) -> None:
    """Raise SourceError where a photo is in both of two sets of a folder; sets: their names, and those of their photos."""
    (one, photos), (other, others) = sets.items()
    shared = sorted(set(photos) & set(others))
    if shared:
        raise SourceError(f"{root}: {some(shared, 1)} {are(shared)} in the sets {one} and {other}; copy the sets again")


def _palette_entries(data: bytes, path: Path) -> NDArray[np.uint8]:
    """Return the stored numbers of a PNG, without its palette's colours."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.mode not in ("P", "L"):
                raise SourceError(
                    f"{path}: holds {image.mode} colours, expected the entries of a palette; use the file of VOC itself"
                )
            if image.width * image.height > DEFAULT_MAX_PIXELS:
                raise PhotoError("too large")
            return np.array(image)
    except SourceError:
        raise
    except Exception as error:  # hostile bytes make Pillow's parsers raise nearly anything
        unknown = isinstance(error, UnidentifiedImageError)  # its text names an object of Python
        reason = "" if unknown else f" ({' '.join(str(error).split())[:80] or type(error).__name__})"
        raise SourceError(f"{path}: is not a PNG that can be read{reason}; copy the file again") from None
