"""Building an index and adding to one: describe photos on all cores, write segment after segment, resume after a kill."""

import dataclasses
import itertools
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ce_retrieval.descriptors import Descriptor, make_descriptor
from ce_retrieval.errors import PhotoIndexError, SourceError
from ce_retrieval.photo_index.manifest import (
    HOLE_PROTOCOLS,
    MANIFEST,
    Manifest,
    Skipped,
    Source,
    library_versions,
    read_manifest,
    write_manifest,
)
from ce_retrieval.photo_index.segments import check_segment, clear_leftovers, read_table
from ce_retrieval.photo_index.work import Progress, Task, Work, keys_hash, pixel_limit
from ce_retrieval.photos import PhotoSource, open_sources
from ce_retrieval.storage import make_folder, writer_lock


@dataclass(frozen=True)
class IndexSettings:
    """How an index is built. The defaults of the command line are these.

    features: descriptor spec; hole: "none" (whole photos) or "center" (each photo with its centre dropped); size: side
    in pixels to which photos are resized; workers: threads; max_memory: bytes, bounds what is decoded at a time.
    """

    features: str = "thumbnail"
    hole: str = "none"
    size: int = 128
    workers: int = dataclasses.field(default_factory=lambda: os.cpu_count() or 1)
    max_memory: int = 4 << 30


@dataclass(frozen=True)
class BuildReport:
    """How a build ended: photos in the index, photos added and skipped by this run, photos found done by an earlier run."""

    count: int
    added: int
    present: int
    skipped: tuple[tuple[str, str], ...]


def build_index(
    paths: Sequence[str | Path], out: str | Path, settings: IndexSettings, progress: Progress | None = None
) -> BuildReport:
    """Index the photos of folders, tar shards, parquet files or single files at `out`.

    A build that was stopped goes on after its last whole segment, and ends with the same bytes as an undisturbed one.
    SourceError: no source, or nothing in it could be read; PhotoIndexError: `out` holds something else, or an index
    built otherwise; LockedIndexError; StorageError.
    """
    out = Path(out)
    descriptor = _checked(settings)
    limit = pixel_limit(descriptor, settings.workers, settings.max_memory)
    sources = open_sources(paths)
    fresh = _fresh_manifest(descriptor, settings, sources)
    _check_place(out)
    make_folder(out)
    with writer_lock(out):
        manifest = _resumable(out, fresh)
        clear_leftovers(out, manifest.segments)
        for segment in manifest.segments:
            check_segment(out, segment)
        tasks = (Task(number, item) for number, source in enumerate(sources) for item in source.items())
        _skip_done(out, manifest, tasks)
        done = sum(segment.items for segment in manifest.segments)
        found = manifest.count
        if manifest.complete:
            if next(tasks, None) is not None:
                raise PhotoIndexError(
                    f"{out} is complete, but there are new photos: add them with `ceret add {out} PHOTOS`"
                )
            return BuildReport(found, 0, found, ())
        work = Work(out, descriptor, sources, settings.workers, limit)
        total = sum(source.count() for source in sources)
        earlier = len(manifest.skipped)
        manifest = work.run(manifest, tasks, done, total, progress)
        if manifest.count == 0:
            raise _nothing_read(out, manifest)
        manifest = dataclasses.replace(manifest, complete=True)
        write_manifest(out, manifest)
        return BuildReport(manifest.count, manifest.count - found, found, _named(manifest, manifest.skipped[earlier:]))


def add_photos(
    path: str | Path,
    paths: Sequence[str | Path],
    *,
    workers: int | None = None,
    max_memory: int | None = None,
    progress: Progress | None = None,
) -> BuildReport:
    """Add the photos of `paths` that the index at `path` does not have yet; what it has is known by source and key.

    Readers keep what they opened. A stopped run is resumed by running it again. Raises as `build_index`, and
    PhotoIndexError where the index's first build has not ended.
    """
    path = Path(path)
    manifest = read_manifest(path)
    if not manifest.complete:
        raise PhotoIndexError(
            f"the build of {path} was stopped: run its `ceret index` command again before adding to it"
        )
    settings = IndexSettings(manifest.descriptor, manifest.hole, manifest.size)
    settings = dataclasses.replace(
        settings, workers=workers or settings.workers, max_memory=max_memory or settings.max_memory
    )
    descriptor = _checked(settings)
    limit = pixel_limit(descriptor, settings.workers, settings.max_memory)
    opened = open_sources(paths)
    with writer_lock(path):
        manifest = read_manifest(path)
        clear_leftovers(path, manifest.segments)
        for segment in manifest.segments:
            check_segment(path, segment)
        known = list(manifest.sources)
        for source in opened:
            if Source(source.kind, source.root) not in known:
                known.append(Source(source.kind, source.root))
        numbers = [known.index(Source(source.kind, source.root)) for source in opened]
        manifest = dataclasses.replace(manifest, sources=tuple(known))
        present = _present(path, manifest, set(numbers))
        pairs = zip(numbers, opened, strict=True)
        tasks = (Task(n, item) for n, source in pairs for item in source.items() if (n, item.key) not in present)
        by_number: list[PhotoSource | None] = [None] * len(known)
        for number, source in zip(numbers, opened, strict=True):
            by_number[number] = source
        total = sum(source.count() for source in opened)
        found, earlier = manifest.count, len(manifest.skipped)
        work = Work(path, descriptor, by_number, settings.workers, limit)
        manifest = work.run(manifest, tasks, len(present), total, progress)
        return BuildReport(
            manifest.count, manifest.count - found, len(present), _named(manifest, manifest.skipped[earlier:])
        )


def _checked(settings: IndexSettings) -> Descriptor:
    if settings.hole not in HOLE_PROTOCOLS:
        raise PhotoIndexError(f"hole protocol {settings.hole!r} is unknown: choose one of {', '.join(HOLE_PROTOCOLS)}")
    if settings.workers < 1:
        raise PhotoIndexError(f"workers is {settings.workers}: expected 1 or more")
    return make_descriptor(settings.features, settings.size)


def _fresh_manifest(descriptor: Descriptor, settings: IndexSettings, sources: Sequence[PhotoSource]) -> Manifest:
    return Manifest(
        descriptor=descriptor.spec,
        size=descriptor.size,
        cells=descriptor.cells,
        channels=descriptor.channels,
        hole=settings.hole,
        sources=tuple(Source(source.kind, source.root) for source in sources),
        libraries=library_versions(),
    )


def _check_place(out: Path) -> None:
    """Refuse to build into a folder that holds something other than an index or the start of one."""
    if out.exists() and not out.is_dir():
        raise PhotoIndexError(f"{out} is a file: choose another --out")
    if out.is_dir() and not (out / MANIFEST).exists():
        foreign = sorted(
            child.name for child in out.iterdir() if child.name != "lock" and not child.name.endswith(".tmp")
        )
        if foreign:
            raise PhotoIndexError(f"{out} is not empty and not an index (it holds {foreign[0]}): choose another --out")


def _resumable(out: Path, fresh: Manifest) -> Manifest:
    """Return the manifest to go on from: the one on disk if it was built the same way, else the fresh one, written."""
    if not (out / MANIFEST).exists():
        write_manifest(out, fresh)
        return fresh
    old = read_manifest(out)
    for name in ("descriptor", "size", "hole", "weights_sha256", "recipe"):
        if getattr(old, name) != getattr(fresh, name):
            raise PhotoIndexError(
                f"{out} was built with {name} {getattr(old, name)}, not {getattr(fresh, name)}: "
                "choose another --out, or delete it first"
            )
    if old.sources != fresh.sources:
        raise PhotoIndexError(
            f"{out} was built from {', '.join(source.root for source in old.sources)}: give the same sources, "
            f"add more with `ceret add {out} PHOTOS`, or choose another --out"
        )
    if not old.complete and old.libraries != fresh.libraries:
        changed = [name for name in fresh.libraries if old.libraries.get(name) != fresh.libraries[name]]
        raise PhotoIndexError(f"{out} was begun with other versions of {', '.join(changed)}: delete it and build again")
    return old


def _skip_done(out: Path, manifest: Manifest, tasks: Iterator[Task]) -> None:
    """Consume the tasks that whole segments hold; PhotoIndexError where the sources are no longer the same."""
    roots = len(manifest.sources)
    for segment in manifest.segments:
        if keys_hash(itertools.islice(tasks, segment.items)) != segment.keys_sha256:
            advice = (
                f"add what is new with `ceret add {out} PHOTOS`" if manifest.complete else "delete it and build again"
            )
            raise PhotoIndexError(
                f"the photos in {roots} source(s) of {out} are no longer those it was built from: {advice}"
            )


def _present(path: Path, manifest: Manifest, numbers: set[int]) -> set[tuple[int, str]]:
    """Return (source, key) of every photo, read or skipped, that the index already has of these sources."""
    present = {(skipped.source, skipped.key) for skipped in manifest.skipped if skipped.source in numbers}
    for segment in manifest.segments:
        table = read_table(path, segment)
        pairs = zip(table.column("source").to_pylist(), table.column("key").to_pylist(), strict=True)
        present.update(pair for pair in pairs if pair[0] in numbers)
    return present


def _nothing_read(out: Path, manifest: Manifest) -> SourceError:
    """Take away the empty index and return the error that says why it is empty."""
    roots = ", ".join(source.root for source in manifest.sources)
    named = _named(manifest, manifest.skipped)
    shutil.rmtree(out / "segments", ignore_errors=True)
    (out / MANIFEST).unlink()
    first = f", the first: {named[0][0]}: {named[0][1]}" if named else ""
    return SourceError(f"no photo of {roots} could be read ({len(named)} files skipped{first}): give other photos")


def _named(manifest: Manifest, skipped: Sequence[Skipped]) -> tuple[tuple[str, str], ...]:
    return tuple((manifest.name_of(item.source, item.key), item.reason) for item in skipped)
