"""Photos with the classes that they show, to train on and to measure: PASCAL VOC 2007, or folders with a subfolder a class."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import SettingsError, SourceError, are, counted, reason_of, some
from ce_retrieval.photos import PhotoItem, PhotoSource, decode_photo, open_sources
from ce_retrieval.pixels import Photo
from ce_retrieval.pool import worker_pool
from ce_retrieval.transfer.draws import PHOTOS
from ce_retrieval.transfer.sets.voc import SETS, VocFolder, check_names_apart
from ce_retrieval.transfer.sets.voc_objects import CLASSES


@dataclass(frozen=True)
class LabelledPhotos:
    """Photos that are decoded when they are needed.

    Attributes
    ----------
    names : N, for messages.
    sizes : N, of their files in bytes.
    targets : int64 (N,), the number of each photo's class; or int8 (N, classes) of 1 shown, -1 not shown, 0 does not count.
    decode : from a row and a side in px to uint8 (side, side, 3), the photo resized whole; PhotoError, SourceError.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    targets: NDArray[np.integer]
    decode: Callable[[int, int], Photo]

    def __len__(self) -> int:
        return len(self.names)

    def pixels(self, rows: Sequence[int] | NDArray[np.int64], side: int) -> Photo:
        """Return some photos: uint8 (len(rows), side, side, 3)."""
        with worker_pool(os.cpu_count() or 1) as pool:
            return np.stack(list(pool.map(lambda row: self.decode(int(row), side), rows)))


@dataclass(frozen=True)
class Task:
    """Photos to train on and photos to measure.

    Attributes
    ----------
    kind : "voc" (several classes a photo, sigmoid) or "folders" (one class a photo, softmax).
    classes : names.
    train, test : LabelledPhotos
    passed_over : (path, line) for each kind of file that was not taken for a photo.
    """

    kind: str
    classes: tuple[str, ...]
    train: LabelledPhotos
    test: LabelledPhotos
    passed_over: Sequence[tuple[str, str]] = ()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of names, classes and sizes in bytes of all photos."""
        digest = hashlib.sha256(repr((self.kind, self.classes)).encode("utf-8", "backslashreplace"))
        for part in (self.train, self.test):
            digest.update(repr((part.names, part.sizes)).encode("utf-8", "backslashreplace"))
            digest.update(part.targets.tobytes())
        return digest.hexdigest()

    def chosen(self, labels: int | None, seed: int) -> NDArray[np.int64]:
        """Return the rows of the photos to train on: all, or `labels` of each class, drawn by the seed.

        A photo that shows several classes may be drawn for one of them; all that it shows is learned from it.

        Raises
        ------
        SettingsError : a class has fewer photos.
        """
        if labels is None:
            return np.arange(len(self.train))
        rng, rows = np.random.default_rng([seed, PHOTOS]), set()
        for number, name in enumerate(self.classes):
            targets = self.train.targets
            found = np.flatnonzero(targets[:, number] == 1 if targets.ndim == 2 else targets == number)
            if len(found) < labels:
                raise SettingsError(
                    f"`labels` is {labels}, but {counted(len(found), 'photo', 'shows', 'show')} the class {name}: use "
                    f"{len(found)} or less"
                    if len(found)
                    else f"no photo to train on shows the class {name}: leave `labels` out"
                )
            rows.update(rng.permutation(found)[:labels].tolist())
        return np.array(sorted(rows), np.int64)


@contextlib.contextmanager
def open_task(data: str | Path, val: str | Path | None, apart: Sequence[str | Path]) -> Iterator[Task]:
    """Open the photos of a task until the block ends.

    Parameters
    ----------
    data : a folder of PASCAL VOC (trainval to train on, test to measure), or photos in a subfolder a class.
    val : photos to measure, in subfolders of the same names; None for VOC.
    apart : subfolders that are not read: where the results go.

    Raises
    ------
    SettingsError : `val` is missing, or given for VOC.
    SourceError : a folder has no photo or no classes, a class of `val` is unknown, or a photo is in both.
    """
    if (Path(data) / SETS).is_dir():
        if val is not None:
            raise SettingsError("`val` is given, but PASCAL VOC has a test set of its own: leave `val` out")
        yield _voc_task(VocFolder(data))
        return
    if val is None:
        if any(Path(data).glob(f"*/{SETS}")):
            VocFolder(data)  # says which of its folders to give
        raise SettingsError("`val` is missing: give a folder of photos to measure, with the same subfolders as `data`")
    with contextlib.ExitStack() as stack:
        (train, some_notes), (test, more_notes) = (_labelled(path, apart, stack) for path in (data, val))
        yield replace(_folder_task(str(data), str(val), train, test), passed_over=[*some_notes, *more_notes])


def _voc_task(folder: VocFolder) -> Task:
    train, test = (_voc_photos(folder, part) for part in ("trainval", "test"))
    check_names_apart(folder.root, {"trainval": train.names, "test": test.names})
    if not (test.targets == 1).any():
        raise SourceError(f"{folder.root}: no photo of the set test shows a class; copy the sets again")
    return Task("voc", CLASSES, train, test)


def _voc_photos(folder: VocFolder, part: str) -> LabelledPhotos:
    names, labels = folder.labels(part)
    sizes = folder.file_sizes(map(folder.photo_path, names))
    return LabelledPhotos(names, tuple(sizes), labels, lambda row, side: folder.photo(names[row], side))


_Entry = tuple[PhotoSource, PhotoItem]


def _labelled(
    path: str | Path, apart: Sequence[str | Path], stack: contextlib.ExitStack
) -> tuple[list[_Entry], list[tuple[str, str]]]:
    """Return the photos below a path, each of which must have a label, and (path, line) for what was passed over."""
    sources = open_sources([path], apart=apart)
    stack.callback(sources.close)
    entries = [(source, item) for source in sources for item in source.items()]
    for source in sources:
        for folder, reason in source.passed_over.folders.items():
            raise SourceError(f"{source.root}/{folder}: {reason}; make it readable, or move it away")
    bare = [item.key for _, item in entries if not item.label]
    if bare:
        raise SourceError(
            f"{path}: {some(bare, 1)} {are(bare)} in no subfolder: give each class a subfolder with its photos"
        )
    return entries, sources.notes()


def _folder_task(data: str, val: str, train: list[_Entry], test: list[_Entry]) -> Task:
    classes = tuple(sorted({item.label for _, item in train}))
    if len(classes) < 2:
        raise SourceError(
            f"{data}: has photos of {some(classes, 1)} alone: give each class a subfolder, two or more in all"
        )
    unknown = sorted({item.label for _, item in test} - set(classes))
    if unknown:
        raise SourceError(
            f"{val}: the class {some(unknown, 1)} {are(unknown)} not in {data}: name the subfolders of both alike"
        )
    known = {_place(*entry) for entry in train}
    shared = [place for entry in test if (place := _place(*entry)) in known]
    if shared:
        raise SourceError(
            f"{some(shared, 1)} {are(shared)} in both {data} and {val}: measure photos that are not trained on"
        )
    numbers = {name: number for number, name in enumerate(classes)}
    return Task("folders", classes, _folder_photos(train, numbers), _folder_photos(test, numbers))


def _place(source: PhotoSource, item: PhotoItem) -> str:
    """Return where a photo lies: the path of its file, or its key in a shard."""
    return item.path or f"{os.path.realpath(source.root)}/{item.key}"


def _size(source: PhotoSource, item: PhotoItem) -> int:
    """Return the size of a photo's file in bytes; -1 of a row of a table."""
    if not item.path:
        return item.length
    try:
        return os.path.getsize(item.path)
    except OSError as error:
        place = f"{source.root}/{item.key}"
        remedy = "remove the link" if os.path.islink(place) else "copy the photo again"
        raise SourceError(f"{place}: {reason_of(error)}; {remedy}") from None


def _folder_photos(entries: list[_Entry], numbers: dict[str, int]) -> LabelledPhotos:
    def decode(row: int, side: int) -> Photo:
        source, item = entries[row]
        return decode_photo(source.read(item), name=f"{source.root}/{item.key}", size=side).pixels

    targets = np.array([numbers[item.label] for _, item in entries], np.int64)
    names = tuple(item.key for _, item in entries)
    sizes = tuple(_size(*entry) for entry in entries)
    return LabelledPhotos(names, sizes, targets, decode)
