"""The walk through a folder and its subfolders, in the same order on every machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from ce_retrieval.errors import SourceError, reason_of
from ce_retrieval.own_files import own_names
from ce_retrieval.photos.base import PassedOver, is_image_name, masks_beside, plain_text, unread_suffix


class Found(NamedTuple):
    """A file of a walk.

    Attributes
    ----------
    relative : str
        Posix path from the root.
    path : str
        Real path.
    linked : bool
        Whether it is a link, or lies in a linked folder.
    """

    relative: str
    path: str
    linked: bool


class _Folder(NamedTuple):
    """A folder of a walk.

    Attributes
    ----------
    above : the real paths of the folders that contain it, and its own.
    names : of its entries, see `_names`.
    not_photos : as `not_photos` returns them.
    counted : "" for a folder whose files are yielded, else the field of PassedOver that counts its images.
    """

    relative: str
    path: str
    linked: bool
    above: frozenset[str]
    names: Iterator[tuple[str, bool]]
    not_photos: dict[str, str]
    counted: str


def is_hidden(name: str) -> bool:
    """Return whether files and folders of this name are never looked at."""
    return name.startswith(".")


def walk(
    root: str,
    chosen: Callable[[str], bool],
    passed_over: PassedOver | None = None,
    is_read_elsewhere: Callable[[str], bool] = lambda path: False,
    *,
    apart: Collection[str] = (),
    with_masks: bool = False,
) -> Iterator[Found]:
    """Yield the files under `root` whose name is chosen, sorted by their whole path (code points).

    Memory holds the names of one branch of folders, never the whole tree. Links are followed, except those to a folder that
    contains them.

    Parameters
    ----------
    root : str
    chosen : callable
        Of a name without its folder.
    passed_over : PassedOver or None
        Gets the subfolders that cannot be listed and the links to a folder that contains `root`, and counts links that are
        not followed because of `is_read_elsewhere`, results of ceret, masks beside their photos, and the images in the
        folders `apart`: none of these are yielded.
    is_read_elsewhere : callable
        Of the real path of a linked folder: whether its photos are read at their own place.
    apart : real paths
    with_masks : bool
        Yield masks beside their photos.

    Raises
    ------
    SourceError
        `root` itself cannot be listed.
    """
    real = os.path.realpath(root)
    try:
        branch = [_folder(root, "", real, False, frozenset([real]), with_masks, "")]
    except OSError as error:
        raise SourceError(f"{plain_text(root)}: {_why(error)}; make it readable") from None
    passed_over = passed_over or PassedOver()
    while branch:
        folder = branch[-1]
        name, is_link = next(folder.names, ("", False))
        if not name:
            branch.pop()
            continue
        relative = folder.relative + name
        path = (
            os.path.realpath(os.path.join(root, relative))
            if is_link
            else os.path.join(folder.path, name.removesuffix("/"))
        )
        linked = folder.linked or is_link
        counted = folder.not_photos.get(name) or folder.counted
        if not name.endswith("/"):
            if counted and (is_image_name(name) or unread_suffix(name)):
                setattr(passed_over, counted, getattr(passed_over, counted) + 1)
            elif not counted and chosen(name):
                yield Found(relative, path, linked)
        elif is_link and is_read_elsewhere(path):
            passed_over.repeats += 1
        elif is_link and os.path.join(real, "").startswith(os.path.join(path, "")) and path != real:
            passed_over.upward.append(plain_text(relative))
        elif path not in folder.above:
            counted = counted or ("outputs" if path in apart else "")
            try:
                branch.append(_folder(root, relative, path, linked, folder.above | {path}, with_masks, counted))
            except OSError as error:
                if not counted:
                    passed_over.folders[plain_text(relative)] = _why(error)


def not_photos(folder: str, names: Collection[str], *, with_masks: bool = False) -> dict[str, str]:
    """Return which entries of a folder are results of ceret or, unless `with_masks`, masks: the field of PassedOver."""
    masks = () if with_masks else masks_beside(names)
    return {**dict.fromkeys(masks, "masks"), **dict.fromkeys(own_names(folder, names), "results")}


def _folder(
    root: str, relative: str, path: str, linked: bool, above: frozenset[str], with_masks: bool, counted: str
) -> _Folder:
    """List a folder of a walk; OSError."""
    place = os.path.join(root, relative)
    names = _names(place)
    others = not_photos(place, {name for name, _ in names}, with_masks=with_masks)
    return _Folder(relative, path, linked, above, iter(names), others, counted)


def _why(error: OSError) -> str:
    return f"the folder cannot be listed: {reason_of(error)}"


def _names(folder: str) -> list[tuple[str, bool]]:
    """Return the sorted names in a folder, those of folders with a "/" at their end, and which are links; OSError."""
    with os.scandir(folder) as entries:
        # A folder sorts as "name/", so that the walk follows the order of the whole paths.
        return sorted(
            (entry.name + "/" if _is_folder(entry) else entry.name, entry.is_symlink())
            for entry in entries
            if not is_hidden(entry.name)
        )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False
