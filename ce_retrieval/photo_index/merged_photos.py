"""The photos of indexes that are merged: under one name each, whatever source leads to them, and taken once."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ce_retrieval.photo_index.kept_out import NOTHING, KeptOut
from ce_retrieval.photo_index.manifest import Manifest
from ce_retrieval.photo_index.manifest_parts import Segment, Source
from ce_retrieval.photo_index.rows import Name
from ce_retrieval.photos.base import plain_text

Place = tuple[Name, int]  # of a photo: its name, and its offset in a tar or table


@dataclass
class Counts:
    """What a merge has met so far; as in `merging.Merge`."""

    repeated: int = 0
    kept_out: int = 0
    linked: int = 0
    copied: int = 0


class Names:
    """The names of photos in the merged index.

    An addition knows a photo by one name. So a file in several sources has the name under which it came first.

    Attributes
    ----------
    sources : tuple of Source
        Those of all indexes, equal ones once.
    """

    def __init__(self, manifests: Sequence[Manifest]) -> None:
        sources: dict[tuple[str, str], Source] = {}
        for manifest in manifests:
            for source in manifest.sources:
                sources.setdefault((source.kind, os.path.realpath(source.root)), source)
        self.sources = tuple(sources.values())
        self._numbers = {place: number for number, place in enumerate(sources)}
        self._roots = [plain_text(root) for _, root in sources]
        self._of_place: dict[str | Name, Name] = {}

    def numbers(self, manifest: Manifest) -> dict[int, int]:
        """Return the numbers of an index's sources -> those of the merged index."""
        places = ((source.kind, os.path.realpath(source.root)) for source in manifest.sources)
        return {number: self._numbers[place] for number, place in enumerate(places)}

    def of(self, number: int, key: str) -> Name:
        """Return the name of a photo that a source of the merged index has under this key."""
        return self._of_place.setdefault(self.place(number, key), (number, key))

    def place(self, number: int, key: str) -> str | Name:
        """Return what is the same for all names of a photo: the path of its file, if it has one of its own."""
        source, root = self.sources[number], self._roots[number]
        if source.is_folder:
            return f"{root.rstrip('/')}/{key}"
        return root if source.kind == "file" else (number, key)


class MergedPhotos:
    """What a merge takes: each photo once, and none that one of the indexes keeps out."""

    def __init__(self, names: Names, manifests: Sequence[Manifest], counts: Counts) -> None:
        self._names, self._counts = names, counts
        self._taken: set[Place] = set()
        out = NOTHING
        for manifest in manifests:
            numbers, more = names.numbers(manifest), manifest.kept_out
            out = out.with_more(((numbers[number], key) for number, key in more.names), more.sha256)
        self._out = out
        self._places_out, self._contents_out = {names.place(*name) for name in out.names}, set(out.sha256)

    @property
    def kept_out(self) -> KeptOut:
        """What all indexes together keep out, when all their photos have names."""
        return KeptOut().with_more((self._names.of(*name) for name in self._out.names), self._out.sha256)

    def leave_out(
        self, names: Sequence[Name], offsets: Sequence[int], sha256: Sequence[str], kept: Sequence[int]
    ) -> list[int]:
        """Return which of the kept rows of a segment are not to be taken; the others count as taken."""
        left = []
        for row in kept:
            place = names[row], offsets[row]
            if self._names.place(*names[row]) in self._places_out or sha256[row] in self._contents_out:
                self._counts.kept_out += 1
            elif place in self._taken:
                self._counts.repeated += 1
            else:
                self._taken.add(place)
                continue
            left.append(row)
        return left

    def with_names(self, segment: Segment, numbers: Mapping[int, int]) -> Segment:
        """Return a segment whose notes name photos as the merged index does; numbers: of its sources -> the new ones."""
        skipped, repeats = [], []
        for one in segment.skipped:
            number = numbers[one.source]
            name = self._names.of(number, one.key) if one.is_photo else (number, one.key)
            skipped.append(dataclasses.replace(one, source=name[0], key=name[1]))
        for repeat in segment.repeats:
            number, key = self._names.of(numbers[repeat.source], repeat.key)
            repeats.append(dataclasses.replace(repeat, source=number, key=key))
        return dataclasses.replace(segment, skipped=tuple(skipped), repeats=tuple(repeats))

    def without_old_notes(self, segments: Sequence[Segment]) -> tuple[Segment, ...]:
        """Return segments without notes that another index makes obsolete: of photos that it has, or noted too."""
        taken, noted, seen, cleared = {name for name, _ in self._taken}, set(self._taken), set(), []
        for segment in segments:
            skipped, repeats = [], []
            for one in segment.skipped:
                name = one.source, one.key
                if name not in seen and not (one.is_photo and name in taken):
                    skipped.append(one)
                seen.add(name)
            for repeat in segment.repeats:
                place = repeat.name, repeat.offset
                if place not in noted:
                    repeats.append(repeat)
                noted.add(place)
            cleared.append(dataclasses.replace(segment, skipped=tuple(skipped), repeats=tuple(repeats)))
        return tuple(cleared)
