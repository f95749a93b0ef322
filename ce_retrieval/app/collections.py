"""The indexes that the page serves: each is opened once, and again when it has changed on disk."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ce_retrieval.app.messages import NO_COLLECTION, PageError
from ce_retrieval.completion.completer import Completer
from ce_retrieval.completion.methods import METHODS, make_completer
from ce_retrieval.errors import CeretError, SettingsError, shown
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.photo_index.manifest import MANIFEST
from ce_retrieval.photo_index.photo_cache import PhotoCache

CACHE_BYTES = 512 << 20  # decoded photos of each index
COMPLETERS = 6  # that are kept ready, over all indexes

Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Collection:
    """An index as it stands.

    Attributes
    ----------
    name : what the page calls it.
    index : opened.
    scenes : its decoded photos, which all completers share.
    """

    name: str
    index: PhotoIndex
    scenes: PhotoCache


class Collections:
    """The indexes of the page. Threads may share it.

    Parameters
    ----------
    paths : of the indexes; none: the page fills from the photo itself and from other photos of the place.
    workers : threads for one photo.

    Raises
    ------
    SettingsError : one index is given twice.
    CeretError : the errors of opening an index.
    """

    def __init__(self, paths: Sequence[Path], workers: int) -> None:
        self._paths = _named(paths)
        self._workers = workers
        self._lock = threading.Lock()
        self._opened: dict[str, tuple[Stamp, Collection]] = {}
        self._completers: OrderedDict[tuple[Any, ...], Completer] = OrderedDict()
        for name, path in self._paths.items():
            stamp = _stamp(path)
            opened = self._open(name, path)  # it says what is wrong where there is none
            if stamp is not None:
                self._opened[name] = stamp, opened

    @property
    def first(self) -> str | None:
        """The name of the first index, None where there is none."""
        return next(iter(self._paths), None)

    @property
    def names(self) -> list[str]:
        """The names of the indexes, in the given order."""
        return list(self._paths)

    def get(self, name: str) -> Collection:
        """Return an index as it stands on disk now.

        Raises
        ------
        PageError : there is none of that name, or it has gone.
        CeretError : it has changed and cannot be opened any more.
        """
        if not self._paths:
            raise PageError(NO_COLLECTION)
        path = self._paths.get(name) if isinstance(name, str) else None
        if path is None:
            raise PageError(f"There is no collection {shown(name)}: choose one of {', '.join(self._paths)}.")
        with self._lock:
            stamp = _stamp(path)
            if stamp is None:
                self._opened.pop(name, None)
                raise PageError(
                    f"The collection “{name}” is no longer there: whoever runs this page has to put it back."
                )
            known = self._opened.get(name)
            if known is None or known[0] != stamp:
                known = stamp, self._open(name, path)
                self._opened[name] = known
                for key in [key for key in self._completers if key[0] == name]:
                    del self._completers[key]
            return known[1]

    def completer(
        self, method: str, name: str | None, settings: Mapping[str, Any], others: Path | None = None
    ) -> Completer:
        """Return what completes photos by a method from an index; several users share it, unless there are other photos.

        Parameters
        ----------
        name : of the index; None: without one.
        others : folder of other photos of the place.

        Raises
        ------
        CeretError : as `get` and `make_completer`.
        """
        collection = self.get(name) if name is not None and METHODS[method].index != "none" else None
        key = (collection and collection.name, collection and id(collection.index), method, _frozen(settings))
        with self._lock:
            if others is None and key in self._completers:
                self._completers.move_to_end(key)
                return self._completers[key]
        made = make_completer(
            method,
            collection.index if collection else None,
            workers=self._workers,
            settings=settings,
            scenes=collection.scenes if collection else None,
            others=others,
        )
        if others is not None:  # they are one user's, and may be others the next time
            return made
        with self._lock:
            self._completers[key] = made
            while len(self._completers) > COMPLETERS:
                self._completers.popitem(last=False)
        return made

    def _open(self, name: str, path: Path) -> Collection:
        try:
            index = PhotoIndex.open(path)
        except CeretError as error:
            if name in self._opened:
                raise PageError(
                    f"The collection “{name}” has changed and cannot be opened any more: {error}."
                ) from error
            raise
        return Collection(name, index, PhotoCache(index, CACHE_BYTES, self._workers))


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """Return the paths by short names that differ: their stems, with as many folders before them as that takes."""
    seen: set[str] = set()
    for path in paths:
        if os.path.realpath(path) in seen:
            raise SettingsError(f"`index` {path} is given twice: leave one out")
        seen.add(os.path.realpath(path))
    parts = [Path(os.path.abspath(path)).with_suffix("").parts for path in paths]
    names: list[str] = []
    for depth in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(one[-depth:]) for one in parts]
        if len(set(names)) == len(names):
            break
    return dict(zip(names, paths, strict=True))


def _stamp(path: Path) -> Stamp | None:
    """Return what changes whenever an index does: its manifest is replaced as a whole. None where there is none."""
    try:
        status = os.stat(path / MANIFEST)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _frozen(value: Any) -> Any:
    return tuple(sorted((name, _frozen(one)) for name, one in value.items())) if isinstance(value, Mapping) else value
