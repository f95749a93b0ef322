"""Photos that are files: all of a folder, some of a folder, or one."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from ce_retrieval.errors import PhotoError, SourceError
from ce_retrieval.photos.base import (
    IMAGE_SUFFIXES,
    PassedOver,
    PhotoItem,
    first_folder,
    is_image_name,
    plain_text,
    stamp_of,
    unread_suffix,
)
from ce_retrieval.photos.files import read_bytes
from ce_retrieval.photos.walk import Found, is_hidden, not_photos, walk

PARQUET_SUFFIXES = (".parquet", ".parq", ".pq")
SHARD_SUFFIXES = (".tar", *PARQUET_SUFFIXES)


def shard_suffix(name: str) -> str:
    """Return the suffix (lower case) of a file name if it is a shard's, else ""."""
    suffix = os.path.splitext(name)[1].lower()
    return suffix if suffix in SHARD_SUFFIXES else ""


def check_name(path: str | os.PathLike[str]) -> None:
    """Raise PhotoError where a path holds the key of a file whose name is not valid UTF-8, under which it is not found."""
    if "\\x" in os.fspath(path) and not os.path.lexists(path):
        raise PhotoError(f"{os.fspath(path)}: its name is not valid UTF-8; rename the file")


class FileSources:
    """What sources of files know of each other, so that a file is read once whatever paths and links lead to it.

    A file belongs to the source that holds it; what links alone lead to, to the first link.
    """

    def __init__(self) -> None:
        self.sources: list[FolderSource | FilesSource | FileSource] = []
        self._first_links: dict[str, tuple[object, str]] = {}

    def begin(self, source: FolderSource) -> None:
        """Forget the links of a source that is about to be walked again."""
        self._first_links = {path: own for path, own in self._first_links.items() if own[0] is not source}

    def hold_folder(self, path: str) -> bool:
        """Return whether one of the sources reads the folder with this real path at its own place."""
        return any(isinstance(source, FolderSource) and source.holds_folder(path) for source in self.sources)

    def owns(self, source: FolderSource, found: Found) -> bool:
        """Return whether a file that a source has found is its item."""
        if not found.linked:
            return True
        if any(one.holds(found.path) for one in self.sources) and os.path.isfile(found.path):
            return False
        own = source, found.relative
        return self._first_links.setdefault(found.path, own) == own


class FolderSource:
    """The photos of a folder and its subfolders.

    An item's key is its relative posix path, and its label the first folder of the key. Items are sorted by key (code
    points). Links are followed, but a file is an item once, at its own place where the folder holds it. Hidden files and
    folders (leading dot), files without a photo's suffix, subfolders that cannot be listed, results of ceret, masks beside
    their photos, and the subfolders `apart` are passed over (`passed_over`). A photo that cannot be read is still an item:
    `read` says why.
    """

    kind = "folder"

    def __init__(self, path: str | os.PathLike[str], apart: Iterable[str | os.PathLike[str]] = ()) -> None:
        self.root = os.path.abspath(path)
        self._apart = frozenset(map(os.path.realpath, apart))
        self._not_photos: dict[str, dict[str, str]] = {}  # of folders that `holds` has asked about
        self.passed_over = PassedOver()
        self.beside = FileSources()
        self.beside.sources.append(self)
        self._path = os.path.realpath(self.root)
        if not os.path.isdir(self.root):
            raise SourceError(f"{self.root}: not a folder; give the folder that holds the photos")

    def items(self) -> Iterator[PhotoItem]:
        """Yield the photos in the order of their keys; SourceError if the folder cannot be listed."""
        self.passed_over = passed_over = PassedOver()
        self.beside.begin(self)

        def chosen(name: str) -> bool:
            if is_image_name(name):
                return True
            if suffix := unread_suffix(name) or shard_suffix(name):
                passed_over.suffixes[suffix] += 1
            return False

        for found in walk(self.root, chosen, passed_over, self.beside.hold_folder, apart=self._apart):
            if self.beside.owns(self, found):
                key = plain_text(found.relative)
                yield PhotoItem(key, first_folder(key), path=found.path)
            else:
                passed_over.repeats += 1

    def count(self) -> int:
        """Return the number of photos: lists every folder once, opens no file."""
        return sum(1 for _ in self.items())

    def read(self, item: PhotoItem) -> bytes:
        """Return the file's bytes; PhotoError if it cannot be read, or its key leads out of the folder."""
        name = f"{self.root}/{item.key}"
        if item.key.startswith("/") or ".." in item.key.split("/"):
            raise PhotoError(f"{name}: leads out of the folder {self.root}")
        check_name(name)
        return read_bytes(name)

    def stamp(self, item: PhotoItem) -> tuple[int, int]:
        """Return size and time of change of the file."""
        return stamp_of(f"{self.root}/{item.key}")

    def holds(self, path: str) -> bool:
        """Return whether the walk reaches the photo with this real path without a link."""
        folder, name = os.path.split(path)
        return is_image_name(name) and self.holds_folder(folder) and not is_hidden(name) and self._takes(folder, name)

    def holds_folder(self, path: str) -> bool:
        """Return whether the walk reaches the folder with this real path without a link."""
        if path == self._path:
            return True
        folder, name = os.path.split(path)
        if not path.startswith(self._path.rstrip("/") + "/") or is_hidden(name) or path in self._apart:
            return False
        return self.holds_folder(folder) and self._takes(folder, f"{name}/")

    def _takes(self, folder: str, name: str) -> bool:
        """Return whether an entry of a folder is not passed over by its name."""
        if folder not in self._not_photos:
            try:
                with os.scandir(folder) as entries:
                    names = {f"{one.name}/" if one.is_dir() else one.name for one in entries}
            except OSError:
                names = set()
            self._not_photos[folder] = not_photos(folder, names)
        return name not in self._not_photos[folder]

    def rest(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held open."""


class FilesSource(FolderSource):
    """Some photos of one folder, given one by one; keys are their names.

    To read photos that are known already, it is opened without names. `unread` are the suffixes of images among the given
    files that are not read.
    """

    kind = "files"

    def __init__(self, path: str | os.PathLike[str], names: Iterable[str] = (), unread: Iterable[str] = ()) -> None:
        super().__init__(path)
        self._unread = Counter(unread)
        self._names = sorted(set(names))
        paths = {name: os.path.join(self.root, name) for name in self._names}
        linked = {name for name, path in paths.items() if os.path.islink(path)}
        self._found = [
            Found(name, os.path.realpath(path) if name in linked else os.path.join(self._path, name), name in linked)
            for name, path in paths.items()
        ]
        self._held = {found.path for found in self._found if not found.linked}

    def items(self) -> Iterator[PhotoItem]:
        """Yield the photos in the order of their names."""
        self.passed_over = PassedOver(suffixes=self._unread.copy())
        self.beside.begin(self)
        for found in self._found:
            if self.beside.owns(self, found):
                yield PhotoItem(plain_text(found.relative), path=found.path)
            else:
                self.passed_over.repeats += 1

    def holds(self, path: str) -> bool:
        """Return whether a real path is one of the files."""
        return path in self._held

    def holds_folder(self, path: str) -> bool:
        """Return False: other files of the folder are not read."""
        return False


class FileSource:
    """One photo file; its key is the file name."""

    kind = "file"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.root = os.path.abspath(path)
        self.passed_over = PassedOver()
        self._path = os.path.realpath(self.root)
        if not os.path.isfile(self.root):
            raise SourceError(f"{self.root}: not a photo file; give a file with one of {', '.join(IMAGE_SUFFIXES)}")

    def items(self) -> Iterator[PhotoItem]:
        """Yield the photo."""
        yield PhotoItem(plain_text(os.path.basename(self.root)), path=self._path)

    def count(self) -> int:
        """Return 1."""
        return 1

    def read(self, item: PhotoItem) -> bytes:
        """Return the file's bytes; PhotoError if it cannot be read, or `item` is from another source."""
        if item.key != plain_text(os.path.basename(self.root)):
            raise PhotoError(f"{item.key}: not in {plain_text(self.root)}, which is a single photo")
        return read_bytes(self.root, name=plain_text(self.root))

    def stamp(self, item: PhotoItem) -> tuple[int, int]:
        """Return size and time of change of the file."""
        return stamp_of(self.root)

    def holds(self, path: str) -> bool:
        """Return whether a real path is the file's."""
        return path == self._path

    def rest(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held open."""


def connect(sources: Sequence[object]) -> None:
    """Make sources of files know of each other: a file that several of them reach is an item of one."""
    together = FileSources()
    together.sources = [source for source in sources if isinstance(source, FolderSource | FileSource)]
    for source in together.sources:
        if isinstance(source, FolderSource):
            source.beside = together
