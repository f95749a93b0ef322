"""Building an index and adding to it: describe photos on all cores, write segment by segment, resume after a kill."""

import contextlib
import dataclasses
import itertools
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ce_retrieval.descriptors import Descriptor, make_descriptor, protocol_spec, weights_hash
from ce_retrieval.errors import PhotoIndexError, SourceError
from ce_retrieval.photo_index.batches import Pipeline, Progress, Task, keys_hash
from ce_retrieval.photo_index.decode_budget import make_decode_budget
from ce_retrieval.photo_index.manifest import (
    MANIFEST,
    Manifest,
    Skipped,
    Source,
    check_weights,
    library_versions,
    read_manifest,
    write_manifest,
)
from ce_retrieval.photo_index.segments import check_segment, clear_leftovers, is_leftover, read_table
from ce_retrieval.photo_index.settings import IndexSettings
from ce_retrieval.photos import PhotoSource, open_sources
from ce_retrieval.storage import LOCK, is_lock, make_folder, storage_errors, writer_lock


@dataclass(frozen=True)
class BuildReport:
    """How a build ended.

    Attributes
    ----------
    count : int
        Photos in the index.
    added : int
        Photos added by this run.
    present : int
        Photos of an earlier run; after `add_photos` also those that it skipped.
    skipped : tuple of (name, reason)
        Photos that this run could not read.
    notes : tuple of str
        A line for each kind of file that was not taken for a photo.
    """

    count: int
    added: int
    present: int
    skipped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()


def build_index(
    paths: Sequence[str | Path],
    out: str | Path,
    settings: IndexSettings | None = None,
    progress: Progress | None = None,
) -> BuildReport:
    """Index the photos of folders, tar shards, parquet files or single files.

    A stopped build resumes after its last complete segment and ends with the same bytes as an undisturbed one.

    Parameters
    ----------
    paths : list of path
    out : path
        The index folder to write.
    settings : IndexSettings or None
        None for the defaults.
    progress : callable or None
        Called with the items done and the items in total.

    Raises
    ------
    SettingsError
        An unknown descriptor, or too little memory for it.
    SourceError
        There is no source, or nothing in it could be read.
    PhotoIndexError
        `out` holds something else, or an index built with other settings or from other photos.
    LockedIndexError, StorageError
    """
    out, settings = Path(out), settings or IndexSettings()
    descriptor = _descriptor(settings)
    budget = make_decode_budget(descriptor, settings.workers, settings.max_memory)
    _check_place(out)
    with _opened(paths, out) as sources:
        fresh = _fresh_manifest(descriptor, settings, sources)
        make_folder(out)
        with writer_lock(out):
            manifest = _resumable(out, fresh, descriptor)
            _clear_and_check(out, manifest)
            if manifest.complete:
                return _up_to_date(out, manifest, sources)
            pipeline = Pipeline(out, descriptor, dict(enumerate(sources)), settings.workers, budget.decode)
            return _build(pipeline, manifest, sources, progress)


def _build(
    pipeline: Pipeline, before: Manifest, sources: Sequence[PhotoSource], progress: Progress | None
) -> BuildReport:
    """Run a build from the state `before` to its end."""
    tasks = _tasks(sources)
    _skip_done(pipeline.folder, before, tasks)
    done = sum(segment.items for segment in before.segments)
    after = pipeline.run(before, tasks, done, sum(source.count() for source in sources), progress)
    if after.count == 0:
        raise _nothing_read(pipeline.folder, after)
    after = dataclasses.replace(after, complete=True)
    write_manifest(pipeline.folder, after)
    return _report(before, after, before.count, sources)


def add_photos(
    path: str | Path,
    paths: Sequence[str | Path],
    *,
    workers: int | None = None,
    max_memory: int | None = None,
    progress: Progress | None = None,
) -> BuildReport:
    """Add the photos of `paths` that the index at `path` does not have yet, compared by source and key.

    Readers keep what they opened. A stopped run is resumed by running it again.

    Parameters
    ----------
    path : path
        The index.
    paths : list of path
    workers, max_memory : int or None
        As in `IndexSettings`; None: its defaults.
    progress : callable or None
        As for `build_index`.

    Raises
    ------
    PhotoIndexError
        The index's first build has not ended, or its weights have changed. Otherwise as `build_index`.
    """
    path = Path(path)
    manifest = read_manifest(path)
    if not manifest.complete:
        raise PhotoIndexError(
            f"the build of {path} was stopped: run its `ceret index` command again before adding to it"
        )
    given = {"workers": workers, "max_memory": max_memory}
    changes = {name: value for name, value in given.items() if value is not None}
    settings = IndexSettings(manifest.descriptor, manifest.hole, manifest.size, **changes)
    descriptor = _descriptor(settings)
    check_weights(path, manifest, descriptor)
    budget = make_decode_budget(descriptor, settings.workers, settings.max_memory)
    with _opened(paths, path) as opened, writer_lock(path):
        manifest = read_manifest(path)
        _clear_and_check(path, manifest)
        before, numbers = _with_sources(manifest, opened)
        present = _present(path, before, set(numbers))
        by_number = dict(zip(numbers, opened, strict=True))
        tasks = (task for task in _tasks(opened, numbers) if (task.source, task.item.key) not in present)
        pipeline = Pipeline(path, descriptor, by_number, settings.workers, budget.decode)
        after = pipeline.run(before, tasks, len(present), sum(source.count() for source in opened), progress)
        return _report(before, after, len(present), opened)


def _clear_and_check(folder: Path, manifest: Manifest) -> None:
    """Delete what killed writers left; CorruptIndexError for a damaged segment."""
    clear_leftovers(folder, manifest.segments)
    for segment in manifest.segments:
        check_segment(folder, segment)


def _with_sources(manifest: Manifest, opened: Sequence[PhotoSource]) -> tuple[Manifest, list[int]]:
    """Return the manifest with the new ones of these sources added, and the number of each."""
    named = [Source(source.kind, source.root) for source in opened]
    known = (*manifest.sources, *(source for source in named if source not in manifest.sources))
    return dataclasses.replace(manifest, sources=known), [known.index(source) for source in named]


@contextlib.contextmanager
def _opened(paths: Sequence[str | Path], index: Path) -> Iterator[list[PhotoSource]]:
    sources = open_sources(paths, apart=[index])
    try:
        yield sources
    finally:
        for source in sources:
            source.close()


def _tasks(sources: Sequence[PhotoSource], numbers: Sequence[int] | None = None) -> Iterator[Task]:
    """Yield every item of the sources, with the sources' numbers in the manifest (None: 0, 1, ...)."""
    for number, source in zip(numbers or range(len(sources)), sources, strict=True):
        for item in source.items():
            yield Task(number, item)


def _descriptor(settings: IndexSettings) -> Descriptor:
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
    """Raise PhotoIndexError if `out` holds something other than an index or the start of one."""
    with storage_errors(out):
        if out.exists() and not out.is_dir():
            raise PhotoIndexError(f"{out} is a file: choose another folder")
        if not out.is_dir():
            return
        if (out / MANIFEST).exists():
            read_manifest(out)  # that of other software is an error, before anything is written
            return
        foreign = sorted(child.name for child in out.iterdir() if not is_lock(child) and not is_leftover(child))
    if foreign:
        raise PhotoIndexError(f"{out} is not empty and not an index (it holds {foreign[0]}): choose another")


def _resumable(out: Path, fresh: Manifest, descriptor: Descriptor) -> Manifest:
    """Return the manifest to resume: the one on disk, or the fresh one after writing it.

    PhotoIndexError if the one on disk was built with other settings, sources or libraries.
    """
    if not (out / MANIFEST).exists():
        write_manifest(out, fresh)
        return fresh
    old = read_manifest(out)
    for name in ("descriptor", "size", "hole", "recipe"):
        if getattr(old, name) != getattr(fresh, name):
            raise PhotoIndexError(
                f"{out} was built with {name} {getattr(old, name)}, not {getattr(fresh, name)}: "
                "choose another folder, or delete it first"
            )
    check_weights(out, old, descriptor)
    # A complete index may have more sources, added later.
    if fresh.sources != (old.sources[: len(fresh.sources)] if old.complete else old.sources):
        raise PhotoIndexError(
            f"{out} was built from {', '.join(source.root for source in old.sources)}: give the same sources, "
            "add more with `ceret add`, or choose another folder"
        )
    if not old.complete and old.libraries != fresh.libraries:
        changed = [name for name in fresh.libraries if old.libraries.get(name) != fresh.libraries[name]]
        raise PhotoIndexError(f"{out} was begun with other versions of {', '.join(changed)}: delete it and build again")
    return old


def _skip_done(out: Path, manifest: Manifest, tasks: Iterator[Task]) -> None:
    """Consume the tasks that complete segments hold; PhotoIndexError if the sources have changed."""
    for segment in manifest.segments:
        if keys_hash(itertools.islice(tasks, segment.items)) != segment.keys_sha256:
            raise PhotoIndexError(
                f"{out} was begun from other photos than its {len(manifest.sources)} source(s) hold now: "
                "put them back, or delete it and build again"
            )


def _up_to_date(out: Path, manifest: Manifest, sources: Sequence[PhotoSource]) -> BuildReport:
    """Return the report for an index that is already complete; PhotoIndexError if there are new photos."""
    present = _present(out, manifest, set(range(len(sources))))
    new = next((task for task in _tasks(sources) if (task.source, task.item.key) not in present), None)
    if new is not None:
        name = manifest.name_of(new.source, new.item.key)
        raise PhotoIndexError(f"{out} is complete, but {name} is new: add new photos with `ceret add`")
    return BuildReport(manifest.count, 0, manifest.count, (), _notes(sources))


def _present(path: Path, manifest: Manifest, numbers: set[int]) -> set[tuple[int, str]]:
    """Return (source, key) of every photo of these sources that the index has read or skipped."""
    present = {(skipped.source, skipped.key) for skipped in manifest.skipped if skipped.source in numbers}
    for segment in manifest.segments:
        table = read_table(path, segment)
        pairs = zip(table.column("source").to_pylist(), table.column("key").to_pylist(), strict=True)
        present.update(pair for pair in pairs if pair[0] in numbers)
    return present


def _nothing_read(out: Path, manifest: Manifest) -> SourceError:
    """Delete the empty index and return the error that says why it is empty."""
    roots = ", ".join(source.root for source in manifest.sources)
    named = _named(manifest, manifest.skipped)
    with storage_errors(out):
        # In this order, a kill in between leaves the start of a build.
        write_manifest(out, dataclasses.replace(manifest, segments=()))
        if (out / "segments").exists():
            shutil.rmtree(out / "segments")
        (out / MANIFEST).unlink()
        (out / LOCK).unlink()
        with contextlib.suppress(OSError):  # not empty: it holds foreign files
            out.rmdir()
    first = f", the first: {named[0][0]}: {named[0][1]}" if named else ""
    return SourceError(f"no photo of {roots} could be read ({len(named)} files skipped{first}): give other photos")


def _report(before: Manifest, after: Manifest, present: int, sources: Sequence[PhotoSource]) -> BuildReport:
    skipped = _named(after, after.skipped[len(before.skipped) :])
    return BuildReport(after.count, after.count - before.count, present, skipped, _notes(sources))


def _notes(sources: Sequence[PhotoSource]) -> tuple[str, ...]:
    return tuple(line for source in sources for line in source.passed_over.notes(source.root))


def _named(manifest: Manifest, skipped: Sequence[Skipped]) -> tuple[tuple[str, str], ...]:
    return tuple((manifest.name_of(item.source, item.key), item.reason) for item in skipped)
