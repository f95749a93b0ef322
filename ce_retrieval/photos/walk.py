"""The walk through a folder and its subfolders, in the same order on every machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from ce_retrieval.errors import SourceError
from ce_retrieval.own_files import own_names
from ce_retrieval.photos.base import PassedOver, masks_beside, plain_text


class _Walk(NamedTuple):
    """What a walk takes: files whose name is `chosen`, but nothing in the folders `apart` (device and inode)."""

    root: str
    chosen: Callable[[str], bool]
    passed_over: PassedOver
    apart: frozenset[tuple[int, int] | None]
    with_masks: bool


def walk(
    root: str,
    chosen: Callable[[str], bool],
    passed_over: PassedOver,
    apart: Iterable[str | os.PathLike[str]] = (),
    *,
    with_masks: bool = False,
) -> Iterator[str]:
    """Yield the relative posix paths of the files under `root` whose name is chosen, sorted as whole strings.

    Passed over and counted in `passed_over` are results of ceret, masks beside their photos unless `with_masks`, and what
    lies in the folders `apart`.
    """
    places = frozenset(_identity(os.fspath(path)) for path in apart) - {None}
    yield from _walk_folder(_Walk(root, chosen, passed_over, places, with_masks), "", frozenset([_identity(root)]))


def _walk_folder(walked: _Walk, relative: str, above: frozenset) -> Iterator[str]:
    """Walk one folder below the root; above: the identities of the folders that contain it, and its own."""
    folder = os.path.join(walked.root, relative) if relative else walked.root
    try:
        with os.scandir(folder) as entries:
            # A folder sorts as "name/", so that the walk follows the order of the whole paths.
            names = sorted(
                entry.name + "/" if _is_folder(entry) else entry.name
                for entry in entries
                if not entry.name.startswith(".")
            )
    except OSError as error:
        raise SourceError(f"{plain_text(folder)}: cannot be listed: {error.strerror}; make it readable") from None
    own, passed_over = own_names(folder, set(names)), walked.passed_over
    masks = set() if walked.with_masks else masks_beside(names)
    for name in names:
        if not name.endswith("/"):
            if not walked.chosen(name):
                continue
            passed_over.results += name in own
            passed_over.masks += name in masks and name not in own
            if name not in own and name not in masks:
                yield relative + name
            continue
        identity = _identity(os.path.join(walked.root, relative, name))
        if identity is not None and identity in above:
            continue
        if name not in own and identity not in walked.apart:
            yield from _walk_folder(walked, relative + name, above | {identity})
            continue
        results, others = _counted(walked, relative + name, above | {identity})
        passed_over.results += results + (others if name in own else 0)
        passed_over.outputs += 0 if name in own else others


def _counted(walked: _Walk, relative: str, above: frozenset) -> tuple[int, int]:
    """Return how many files a folder that is passed over holds: results by their names, and others."""
    counted, others = PassedOver(), 0
    with contextlib.suppress(SourceError):  # a folder that cannot be listed
        others = sum(1 for _ in _walk_folder(walked._replace(passed_over=counted), relative, above))
    return counted.results, others + counted.masks + counted.outputs


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _identity(folder: str) -> tuple[int, int] | None:
    try:
        status = os.stat(folder)
    except OSError:  # gone in the meantime: listing it says so
        return None
    return status.st_dev, status.st_ino
