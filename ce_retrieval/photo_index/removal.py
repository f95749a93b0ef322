"""Removing photos from an index on purpose, and letting them come back."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ce_retrieval.errors import PhotoIndexError, SettingsError, counted, shown, some
from ce_retrieval.photo_index.filters import allowed_photos
from ce_retrieval.photo_index.given_names import find_names
from ce_retrieval.photo_index.kept_out import are_hashes
from ce_retrieval.photo_index.manifest import write_manifest
from ce_retrieval.photo_index.manifest_parts import PHOTOS, Segment
from ce_retrieval.photo_index.reader import PhotoIndex
from ce_retrieval.photo_index.segment_files import check_segment, kept_rows
from ce_retrieval.photo_index.writing import changing_index
from ce_retrieval.settings import check_list


@dataclass(frozen=True)
class Removal:
    """What `remove_photos` did.

    Attributes
    ----------
    removed : int
        Photos that it removed.
    count : int
        Photos that are left.
    """

    removed: int
    count: int


def remove_photos(
    path: str | Path,
    names: Sequence[str | Path] = (),
    *,
    sha256: Sequence[str] = (),
    where: str | None = None,
) -> Removal:
    """Remove photos from the index at `path`: no search finds them, and no later addition takes them up again.

    The photos are given by name, by what their files hold, or by a filter. Removed by name or filter, a photo of that name
    stays out, whatever its file holds; removed by SHA-256, a file with those bytes, whatever its name. `restore_photos` ends
    that. Duplicates that the index left out (`IndexSettings.skip_duplicates`) and that are named, alone or by their folder, stay
    out too. The photos' files are not touched. Only the manifest is replaced: readers keep what they opened, and
    `compact_index` frees the space.

    Parameters
    ----------
    path : path
        The index.
    names : list of path
        Photos as a search names them (a path, or container::key), and folders or containers: all photos in them.
    sha256 : list of str
        Hashes of photos' files, in hexadecimal.
    where : str or None
        An expression (`photo_index.where`).

    Raises
    ------
    SettingsError
        Not exactly one of `names`, `sha256` and `where` is given, or a hash is invalid.
    PhotoIndexError
        The index's first build has not ended, one of `names` or `sha256` is of no photo, or no photo would be left. The index
        is then as it was.
    FilterError
        `where` is not an expression, or no photo passes.
    CorruptIndexError, LockedIndexError, StorageError
    """
    if sum((bool(names), bool(sha256), where is not None)) != 1:
        raise SettingsError("give the photos to remove in one way: by name, by `sha256` or by `where`")
    check_list("`names`", names)
    hashes = _checked(sha256)
    path = Path(path)
    with changing_index(path) as manifest:
        for segment in manifest.segments:
            records = {name: stored for name, stored in segment.files.items() if name == PHOTOS}
            check_segment(path, dataclasses.replace(segment, files=records))
        index = PhotoIndex(path, manifest)
        sources, keys = (index.column(name).to_pylist() for name in ("source", "key"))
        known = list(zip(sources, keys, strict=True))
        found = _found(index, known, names, hashes, where)
        gone = {known[row] for row in np.flatnonzero(found)}
        repeats = [one.name for segment in manifest.segments for one in segment.repeats]
        named, _ = find_names(manifest, repeats, names)
        gone |= {repeats[row] for row in np.flatnonzero(named)}
        if not hashes:  # a tar may have two photos of a name, which cannot be told apart later
            found = np.array([name in gone for name in known], bool)
        if found.all():
            raise PhotoIndexError(f"that would remove all {counted(len(index), 'photo')} of {path}: delete it instead")
        out = manifest.kept_out.with_more(() if hashes else gone, hashes)
        segments = _without(manifest.segments, found)
        write_manifest(path, dataclasses.replace(manifest, kept_out=out, segments=segments))
    count = int(np.count_nonzero(found))
    return Removal(count, len(found) - count)


def restore_photos(path: str | Path, names: Sequence[str | Path] = (), *, sha256: Sequence[str] = ()) -> int:
    """Let photos that `remove_photos` removed come back to the index at `path`, with the next `add_photos`.

    Parameters
    ----------
    path : path
        The index.
    names : list of path
        As for `remove_photos`: those that were removed by name or filter.
    sha256 : list of str
        Hashes by which photos were removed.

    Returns
    -------
    int
        Names and hashes that are no longer kept out.

    Raises
    ------
    SettingsError
        Neither or both of `names` and `sha256` are given, or a hash is invalid.
    PhotoIndexError
        The index's first build has not ended, or one of `names` or `sha256` is not kept out. The index is then as it was.
    LockedIndexError, StorageError
    """
    if bool(names) == bool(sha256):
        raise SettingsError("give the photos to restore in one way: by name or by `sha256`")
    check_list("`names`", names)
    hashes = _checked(sha256)
    path = Path(path)
    with changing_index(path) as manifest:
        before = manifest.kept_out
        found, unknown = find_names(manifest, before.names, names)
        unknown += [one for one in hashes if one not in before.sha256]
        if unknown:
            raise PhotoIndexError(
                f"{some(unknown)} of {path} was not removed in this way: restore by name what was removed by name or filter, "
                "and by hash what was removed by hash"
            )
        after = before.without([before.names[row] for row in np.flatnonzero(found)], hashes)
        write_manifest(path, dataclasses.replace(manifest, kept_out=after))
    return len(before.names) + len(before.sha256) - len(after.names) - len(after.sha256)


def _found(
    index: PhotoIndex,
    known: Sequence[tuple[int, str]],
    names: Sequence[str | Path],
    hashes: Sequence[str],
    where: str | None,
) -> np.ndarray:
    """Return which photos of an index to remove, bool (N,); an error where something given matches none. known: all names."""
    passed = allowed_photos(index, where)
    if passed is not None:
        return passed
    if hashes:
        contents = index.column("sha256").to_pylist()
        known_hashes = set(contents)
        if unknown := [one for one in hashes if one not in known_hashes]:
            raise PhotoIndexError(
                f"no photo of {index.path} has the SHA-256 {unknown[0]}: give hashes as `ceret query --json` prints them"
            )
        return np.isin(contents, hashes)
    found, unknown = find_names(index.manifest, known, names)
    if unknown:
        repeats = [one.name for segment in index.manifest.segments for one in segment.repeats]
        _, unknown = find_names(index.manifest, repeats, unknown)
    if unknown:
        before, _ = find_names(index.manifest, index.manifest.kept_out.names, unknown[:1])
        why = "was removed before: leave it out"
        if not before.any():
            why = "is neither a photo nor a folder of photos of it: give photos as `ceret query` prints them"
        raise PhotoIndexError(f"{index.path}: {unknown[0]} {why}")
    return found


def _checked(sha256: Sequence[str]) -> list[str]:
    """Return hashes in small letters; SettingsError for an invalid one."""
    check_list("`sha256`", sha256)
    hashes = [one.lower() if isinstance(one, str) else one for one in sha256]
    if wrong := [one for one in hashes if not (isinstance(one, str) and are_hashes([one]))]:
        raise SettingsError(f"`sha256` is {shown(wrong[0])}: expected 64 digits in hexadecimal")
    return hashes


def _without(segments: Sequence[Segment], found: np.ndarray) -> tuple[Segment, ...]:
    """Return segments with more removed rows: those that a mask bool (N,) marks by the ids of their photos."""
    without, start = [], 0
    for segment in segments:
        kept = kept_rows(segment)
        gone = kept[found[start : start + len(kept)]].tolist()
        without.append(dataclasses.replace(segment, removed=tuple(sorted((*segment.removed, *gone)))))
        start += len(kept)
    return tuple(without)
