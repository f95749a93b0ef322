"""Building an index and adding to one: describe photos on all cores, write segment after segment, resume after a kill."""

import contextlib
import dataclasses
import itertools
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ce_retrieval.descriptors import Descriptor, make_descriptor, protocol_spec, weights_hash
from ce_retrieval.errors import PhotoIndexError, SourceError
from ce_retrieval.photo_index.batches import Progress, Task, Work, decode_budget, keys_hash
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
from ce_retrieval.photo_index.segments import check_segment, clear_leftovers, is_leftover, read_table
from ce_retrieval.photo_index.weights import check_weights
from ce_retrieval.photos import PhotoSource, open_sources
from ce_retrieval.storage import LOCK, make_folder, storage_errors, writer_lock


@dataclass(frozen=True)
class IndexSettings:
    """How an index is built. The defaults of the command line are these.

    features: descriptor spec, `encoder` alone standing for the layer that suits the hole protocol; hole: "none" (whole
    photos) or "center" (each photo with its centre dropped); size: side in pixels to which photos are resized; workers:
    threads; max_memory: bytes, bounds what is decoded at a time.
    """

    features: str = "encoder"
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
    budget = decode_budget(descriptor, settings.workers, settings.max_memory)
    _check_place(out)
    with _opened(paths) as sources:
        fresh = _fresh_manifest(descriptor, settings, sources)
        make_folder(out)
        with writer_lock(out):
            manifest = _resumable(out, fresh, descriptor)
            clear_leftovers(out, manifest.segments)
            for segment in manifest.segments:
                check_segment(out, segment)
            if manifest.complete:
                return _up_to_date(out, manifest, sources)
            work = Work(out, descriptor, dict(enumerate(sources)), settings.workers, budget)
            return _build(work, manifest, sources, progress)


def _build(work: Work, manifest: Manifest, sources: Sequence[PhotoSource], progress: Progress | None) -> BuildReport:
    """Run a build from where `manifest` stands to its end."""
    tasks = _tasks(sources)
    _skip_done(work.folder, manifest, tasks)
    done = sum(segment.items for segment in manifest.segments)
    found, earlier = manifest.count, len(manifest.skipped)
    manifest = work.run(manifest, tasks, done, sum(source.count() for source in sources), progress)
    if manifest.count == 0:
        raise _nothing_read(work.folder, manifest)
    manifest = dataclasses.replace(manifest, complete=True)
    write_manifest(work.folder, manifest)
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
        settings,
        workers=settings.workers if workers is None else workers,
        max_memory=settings.max_memory if max_memory is None else max_memory,
    )
    descriptor = _checked(settings)
    check_weights(path, manifest, descriptor)
    budget = decode_budget(descriptor, settings.workers, settings.max_memory)
    with _opened(paths) as opened, writer_lock(path):
        manifest = read_manifest(path)
        clear_leftovers(path, manifest.segments)
        for segment in manifest.segments:
            check_segment(path, segment)
        named = [Source(source.kind, source.root) for source in opened]
        known = (*manifest.sources, *(source for source in named if source not in manifest.sources))
        numbers = [known.index(source) for source in named]
        manifest = dataclasses.replace(manifest, sources=known)
        present = _present(path, manifest, set(numbers))
        by_number = dict(zip(numbers, opened, strict=True))
        tasks = (task for task in _tasks(opened, numbers) if (task.source, task.item.key) not in present)
        found, earlier = manifest.count, len(manifest.skipped)
        work = Work(path, descriptor, by_number, settings.workers, budget)
        manifest = work.run(manifest, tasks, len(present), sum(source.count() for source in opened), progress)
        return BuildReport(
            manifest.count, manifest.count - found, len(present), _named(manifest, manifest.skipped[earlier:])
        )


@contextlib.contextmanager
def _opened(paths: Sequence[str | Path]) -> Iterator[list[PhotoSource]]:
    sources = open_sources(paths)
    try:
        yield sources
    finally:
        for source in sources:
            source.close()


def _tasks(sources: Sequence[PhotoSource], numbers: Sequence[int] | None = None) -> Iterator[Task]:
    """Yield every item of the sources, with the sources' numbers in the manifest (0, 1, ... unless given)."""
    for number, source in zip(numbers or range(len(sources)), sources, strict=True):
        for item in source.items():
            yield Task(number, item)


def _checked(settings: IndexSettings) -> Descriptor:
    if settings.hole not in HOLE_PROTOCOLS:
        raise PhotoIndexError(f"hole protocol {settings.hole!r} is unknown: choose one of {', '.join(HOLE_PROTOCOLS)}")
    if settings.workers < 1:
        raise PhotoIndexError(f"workers is {settings.workers}: expected 1 or more")
    return make_descriptor(protocol_spec(settings.features, settings.hole), settings.size)


def _fresh_manifest(descriptor: Descriptor, settings: IndexSettings, sources: Sequence[PhotoSource]) -> Manifest:
    return Manifest(
        descriptor=descriptor.spec,
        size=descriptor.size,
        cells=descriptor.cells,
        channels=descriptor.channels,
        hole=settings.hole,
        sources=tuple(Source(source.kind, source.root) for source in sources),
        weights_sha256=weights_hash(descriptor),
        libraries=library_versions(getattr(descriptor, "libraries", ())),
    )


def _check_place(out: Path) -> None:
    """Refuse to build into a folder that holds something other than an index or the start of one."""
    with storage_errors(out):
        if out.exists() and not out.is_dir():
            raise PhotoIndexError(f"{out} is a file: choose another --out")
        if not out.is_dir() or (out / MANIFEST).exists():
            return
        foreign = sorted(child.name for child in out.iterdir() if child.name != LOCK and not is_leftover(child))
    if foreign:
        raise PhotoIndexError(f"{out} is not empty and not an index (it holds {foreign[0]}): choose another --out")


def _resumable(out: Path, fresh: Manifest, descriptor: Descriptor) -> Manifest:
    """Return the manifest to go on from: the one on disk if it was built the same way, else the fresh one, written."""
    if not (out / MANIFEST).exists():
        write_manifest(out, fresh)
        return fresh
    old = read_manifest(out)
    for name in ("descriptor", "size", "hole", "recipe"):
        if getattr(old, name) != getattr(fresh, name):
            raise PhotoIndexError(
                f"{out} was built with {name} {getattr(old, name)}, not {getattr(fresh, name)}: "
                "choose another --out, or delete it first"
            )
    check_weights(out, old, descriptor)
    # A complete index may have more sources, added later.
    if fresh.sources != (old.sources[: len(fresh.sources)] if old.complete else old.sources):
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
    for segment in manifest.segments:
        if keys_hash(itertools.islice(tasks, segment.items)) != segment.keys_sha256:
            raise PhotoIndexError(
                f"{out} was begun from other photos than its {len(manifest.sources)} source(s) hold now: "
                "put them back, or delete it and build again"
            )


def _up_to_date(out: Path, manifest: Manifest, sources: Sequence[PhotoSource]) -> BuildReport:
    """Return the report of a build that finds its index complete; PhotoIndexError where there are new photos."""
    present = _present(out, manifest, set(range(len(sources))))
    new = next((task for task in _tasks(sources) if (task.source, task.item.key) not in present), None)
    if new is not None:
        name = manifest.name_of(new.source, new.item.key)
        raise PhotoIndexError(f"{out} is complete, but {name} is new: add what is new with `ceret add {out} PHOTOS`")
    return BuildReport(manifest.count, 0, manifest.count, ())


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
    with storage_errors(out):
        # In this order, so that a kill in between leaves the start of a build.
        write_manifest(out, dataclasses.replace(manifest, segments=()))
        if (out / "segments").exists():
            shutil.rmtree(out / "segments")
        (out / MANIFEST).unlink()
        (out / LOCK).unlink()
        with contextlib.suppress(OSError):  # not empty: something else lies there
            out.rmdir()
    first = f", the first: {named[0][0]}: {named[0][1]}" if named else ""
    return SourceError(f"no photo of {roots} could be read ({len(named)} files skipped{first}): give other photos")


def _named(manifest: Manifest, skipped: Sequence[Skipped]) -> tuple[tuple[str, str], ...]:
    return tuple((manifest.name_of(item.source, item.key), item.reason) for item in skipped)
