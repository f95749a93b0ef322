"""The paths of an index's own photos: what `ceret add` without sources looks at."""

import os
from collections.abc import Sequence
from pathlib import Path

from ce_retrieval.errors import SourceError
from ce_retrieval.photo_index.manifest import Manifest
from ce_retrieval.photo_index.segment_files import read_table


class OwnPaths:
    """The paths of the photos that an index has, for bringing it up to date without being given any.

    Attributes
    ----------
    paths : list of str
    areas : list of str
        Where photos may have vanished that are not below one of `paths`.
    lost : list of (path, reason)
        Sources that are not there and may have moved: nothing is known of their photos.

    Raises
    ------
    SourceError
        No photo is there any more.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.paths: list[str] = []
        self.areas: list[str] = []
        self.lost: list[tuple[str, str]] = []
        keys = _keys(path, manifest)
        for number, source in enumerate(manifest.sources):
            if os.path.lexists(source.root):
                names = (os.path.join(source.root, key) for key in keys[number]) if number in keys else (source.root,)
                self.paths += [name for name in names if os.path.lexists(name)]
                self.areas.append(source.root)
            elif source.is_folder or not os.path.isdir(os.path.dirname(source.root)):
                remedy = f"put it back, or if it has moved run `ceret relocate {path} {source.root} NEW`"
                self.lost.append((source.root, f"is not there: {remedy}"))
            else:
                self.areas.append(source.root)
        if not self.paths:
            raise SourceError(" ".join(self.lost[0]) if self.lost else f"no photo of {path} is there any more")


def _keys(path: Path, manifest: Manifest) -> dict[int, Sequence[str]]:
    """Return the keys of the photos, described, skipped or duplicates, of each source that is some files of a folder."""
    keys: dict[int, dict[str, None]] = {n: {} for n, source in enumerate(manifest.sources) if source.kind == "files"}
    for segment in manifest.segments if keys else ():
        table = read_table(path, segment, len(manifest.sources))
        for number, key in zip(table.column("source").to_pylist(), table.column("key").to_pylist(), strict=True):
            keys.get(number, {})[key] = None
    for repeat in (one for segment in manifest.segments for one in segment.repeats):
        keys.get(repeat.source, {})[repeat.key] = None
    for skipped in manifest.skipped:
        keys.get(skipped.source, {})[skipped.key] = None
    return {number: list(found) for number, found in keys.items()}
