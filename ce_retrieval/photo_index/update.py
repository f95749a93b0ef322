"""Bringing an index up to date with its sources: what a build, a resumed build and an addition have in common."""

import dataclasses
import functools
import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ce_retrieval.errors import SourceError
from ce_retrieval.photo_index.batches import Pipeline, Progress, Task
from ce_retrieval.photo_index.compare import Comparison, chosen, compare
from ce_retrieval.photo_index.manifest import Manifest, write_manifest
from ce_retrieval.photo_index.manifest_parts import Skipped, Source
from ce_retrieval.photo_index.rows import Rows
from ce_retrieval.photo_index.segment_files import kept_rows, read_table
from ce_retrieval.photos import PhotoItem, PhotoSource, Sources, open_source
from ce_retrieval.photos.base import unread

TELL_EVERY = 100  # photos that are as they were


@dataclass(frozen=True)
class BuildReport:
    """How a build or an addition ended.

    Attributes
    ----------
    count : int
        Photos in the index.
    added : int
        Photos that this run added.
    present : int
        Photos of an earlier run that are as they were.
    changed, vanished : tuple of str
        Photos of an earlier run that have another content now and were described anew, and those that are gone.
    skipped : tuple of (name, reason)
        Photos that this run could not read.
    refused : tuple of (path, reason)
        Given paths that hold no photo, and sources that are damaged.
    notes : tuple of (path, line)
        What else was passed over: folders that cannot be listed, kinds of files; why there are no kind features.
    kind : str or None
        What made the index's kind features; None where it has none.
    places : bool
        Whether the index has local features.
    kept_out : int
        Photos of the sources that were removed from the index on purpose, and stay out.
    duplicates : tuple of (name, name)
        Photos that this run left out, and the photo of the index that has the same bytes.
    """

    count: int
    added: int
    present: int
    skipped: tuple[tuple[str, str], ...] = ()
    changed: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    kind: str | None = None
    places: bool = False
    kept_out: int = 0
    duplicates: tuple[tuple[str, str], ...] = ()


class Update:
    """One run over the photos of some sources. Needs the index's lock.

    Parameters
    ----------
    pipeline : Pipeline
        Its `sources` are filled here.
    manifest : Manifest
        Of the index on disk.
    sources : Sources
    progress : callable or None
    areas : list of path
        Files and folders, besides the given ones, in which missing photos are looked for.

    Attributes
    ----------
    manifest : Manifest
        Of the index as far as the run has come.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        manifest: Manifest,
        sources: Sources,
        progress: Progress | None,
        areas: Iterable[str] = (),
    ) -> None:
        self.manifest = self._on_disk = self._before = manifest
        self._pipeline, self._opened, self._progress = pipeline, sources, progress
        roots = (source.root for source in sources if source.kind == "files")
        self._areas = list({os.path.realpath(path) for path in (*sources.given, *roots, *areas)})
        self._sources = self._numbered()
        self._broken: dict[str, SourceError] = {}

    def _numbered(self) -> dict[int, PhotoSource]:
        """Return the sources by their number in the manifest; new ones have numbers after the last."""
        known: dict[tuple[str, str], int] = {}
        for number, old in enumerate(self.manifest.sources):
            known.setdefault((old.kind, os.path.realpath(old.root)), number)
        free = itertools.count(len(self.manifest.sources))
        places = [(source.kind, os.path.realpath(source.root)) for source in self._opened]
        return {
            known[place] if place in known else next(free): source
            for place, source in zip(places, self._opened, strict=True)
        }

    @functools.cached_property
    def _rows(self) -> Rows:
        return Rows(self._pipeline.folder, self._before)

    @functools.cached_property
    def comparison(self) -> Comparison:
        """How the sources' photos differ from the index."""

        def check(source: PhotoSource, item: PhotoItem) -> str | None:
            read = self._pipeline.read(source, item)
            return read if isinstance(read, str) else None

        def progress(done: int) -> None:
            if self._progress and done % TELL_EVERY == 0:
                self._progress(done, self.total)

        found = compare(self._rows, self._sources, self._areas, check, self._pipeline.workers, progress)
        self._broken.update((self._sources[number].root, error) for number, error in found.broken.items())
        return found

    @functools.cached_property
    def total(self) -> int:
        """Items of the given sources."""
        return sum(source.count() for source in self._opened)

    def run(self) -> None:
        """Remove what does not hold any more, then describe what is new or has changed."""
        done = 0
        if self.manifest.segments:
            self._remove()
            self._write()
            self._keep_new_sources()
            done = self.total - len(self.comparison.todo)
        else:
            new = [source for number, source in self._sources.items() if number >= len(self.manifest.sources)]
            self._add_sources(new)
        self._pipeline.sources = self._readable()
        if self.manifest.skip_duplicates:
            known = self._before.segments
            self._pipeline.contents = self._rows.contents(self.comparison.kept) if known else set()
        self.manifest = self._pipeline.run(self.manifest, self._tasks(), done, self.total, self._progress)
        self._on_disk = self.manifest
        self._note_passed_over()

    def finish(self) -> BuildReport:
        """Write the manifest of the finished run."""
        self.manifest = dataclasses.replace(self.manifest, complete=True)
        self._write()
        return self.report()

    def report(self) -> BuildReport:
        """Return how the run ended, or without a run, how the index is."""
        written = self.manifest.segments[len(self._before.segments) :]
        newly = [one for segment in written for one in segment.skipped]
        left_out = {one.name for segment in written for one in segment.repeats}
        skipped = {(one.source, one.key): one.reason for one in newly if one.is_photo}
        found = self.comparison if self._before.segments else None
        if found:
            skipped = {**found.skipped, **skipped}
        broken = ((root, str(error).removeprefix(f"{root}: ")) for root, error in self._broken.items())
        name = self.manifest.name_of
        return BuildReport(
            count=self.manifest.count,
            added=sum(one not in skipped and one not in left_out for one in found.new)
            if found
            else self.manifest.count,
            present=found.present if found else 0,
            skipped=tuple((name(*one), reason) for one, reason in skipped.items()),
            changed=tuple(name(*one) for one in found.changed if one not in skipped and one not in left_out)
            if found
            else (),
            vanished=tuple(name(*one) for one in found.vanished) if found else (),
            refused=(*self._opened.refused, *broken),
            notes=tuple(self._opened.notes()),
            kind=self.manifest.kind.descriptor if self.manifest.kind else None,
            places=self.manifest.places is not None,
            kept_out=found.kept_out if found else 0,
            duplicates=tuple(self._duplicates()),
        )

    def _duplicates(self) -> Iterator[tuple[str, str]]:
        """Yield the photos that this run left out, and the photo that has the same bytes."""
        before = {one for segment in self._before.segments for one in segment.repeats}
        new = [one for segment in self.manifest.segments for one in segment.repeats if one not in before]
        firsts: dict[str, str] = {}
        wanted = {one.sha256 for one in new}
        for segment in self.manifest.segments if new else ():
            table = read_table(
                self._pipeline.folder, segment, len(self.manifest.sources), ("source", "key", "sha256")
            ).take(kept_rows(segment))
            for source, key, sha256 in zip(*(column.to_pylist() for column in table.columns), strict=True):
                if sha256 in wanted:
                    firsts.setdefault(sha256, self.manifest.name_of(source, key))
        for one in new:
            yield self.manifest.name_of(*one.name), firsts[one.sha256]

    def _tasks(self) -> Iterator[Task]:
        """Yield what is to be described; a source that turns out to be damaged ends early and is noted."""
        found = self.comparison if self._before.segments else None
        for number, source in self._sources.items():
            tasks = (Task(number, item) for item in source.items())
            try:
                yield from chosen(self._rows, tasks, found.todo) if found else tasks
            except SourceError as error:
                self._broken[source.root] = error

    def _add_sources(self, added: Iterable[PhotoSource]) -> None:
        new = tuple(Source(source.kind, source.root) for source in added)
        self.manifest = dataclasses.replace(self.manifest, sources=(*self.manifest.sources, *new))

    def _keep_new_sources(self) -> None:
        """Add the new sources to the manifest that have photos of their own to describe; the others get negative numbers."""
        found, old = self.comparison, len(self.manifest.sources)
        used = sorted({number for (number, _), _ in found.todo if number >= old})
        unused = [number for number in self._sources if number >= old and number not in used]
        self._add_sources(self._sources[number] for number in used)
        numbers = {number: old + place for place, number in enumerate(used)}
        numbers |= {number: -1 - place for place, number in enumerate(unused)}
        self._sources = {numbers.get(number, number): source for number, source in self._sources.items()}
        found.todo = {((numbers.get(number, number), key), offset) for (number, key), offset in found.todo}
        found.new = [(numbers.get(number, number), key) for number, key in found.new]

    def _remove(self) -> None:
        """Mark the rows that do not hold any more, and correct what is noted of photos that could not be read."""
        found = self.comparison

        def still(one: Skipped) -> bool:
            return not one.is_photo or (one.source, one.key) not in found.settled

        def with_reason(one: Skipped) -> Skipped:
            return dataclasses.replace(one, reason=found.skipped.get((one.source, one.key), one.reason))

        segments = [
            dataclasses.replace(
                segment,
                removed=removed,
                skipped=tuple(with_reason(one) for one in segment.skipped if still(one)),
                repeats=tuple(one for one in segment.repeats if one not in found.settled_repeats),
            )
            for segment, removed in zip(self.manifest.segments, self._rows.split(~found.kept), strict=True)
        ]
        if new := set(found.repeats) - set(self._rows.repeats):
            repeats = *segments[-1].repeats, *sorted(new, key=lambda one: (one.name, one.offset))
            segments[-1] = dataclasses.replace(segments[-1], repeats=repeats)
        self.manifest = dataclasses.replace(self.manifest, segments=tuple(segments))

    def _readable(self) -> dict[int, PhotoSource]:
        """Return the sources by number, with those that are not given but hold one of the photos to describe."""
        readable = dict(self._sources)
        todo = self.comparison.todo if self._before.segments else ()
        for number in {number for (number, _), _ in todo} - set(readable):
            source = self.manifest.sources[number]
            readable[number] = open_source(source.root, source.kind, check=False)
        return readable

    def _note_passed_over(self) -> None:
        """Keep what the sources passed over with the last segment."""
        noted = [
            Skipped(number, key, reason)
            for number, source in self._sources.items()
            if number >= 0
            for key, reason in (
                *source.passed_over.folders.items(),
                *((f"**/*{suffix}", unread(suffix, count)) for suffix, count in source.passed_over.suffixes.items()),
            )
        ]
        old = {one for one in self.manifest.passed_over if not one.is_photo and one.source in self._sources}
        if set(noted) == old or not self.manifest.segments:
            return
        segments = [
            dataclasses.replace(segment, skipped=tuple(one for one in segment.skipped if one not in old))
            for segment in self.manifest.segments
        ]
        segments[-1] = dataclasses.replace(segments[-1], skipped=(*segments[-1].skipped, *sorted(noted, key=_order)))
        self.manifest = dataclasses.replace(self.manifest, segments=tuple(segments))

    def _write(self) -> None:
        if self.manifest != self._on_disk:
            write_manifest(self._pipeline.folder, self.manifest)
            self._on_disk = self.manifest


def _order(one: Skipped) -> tuple[int, str]:
    return one.source, one.key
