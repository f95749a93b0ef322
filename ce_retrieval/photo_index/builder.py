"""Building an index and bringing it up to date: describe photos on all cores, write segment by segment, resume after a kill."""

import contextlib
import dataclasses
import itertools
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from ce_retrieval.descriptors import Descriptor, make_descriptor, protocol_spec, weights_hash
from ce_retrieval.errors import PhotoIndexError, SourceError, counted, some
from ce_retrieval.photo_index.batches import SEGMENT_ITEMS, Pipeline, Progress, Task, keys_hash
from ce_retrieval.photo_index.decode_budget import make_decode_budget
from ce_retrieval.photo_index.manifest import (
    MANIFEST,
    Manifest,
    Source,
    check_weights,
    library_versions,
    read_manifest,
    write_manifest,
)
from ce_retrieval.photo_index.reader import PhotoIndex
from ce_retrieval.photo_index.segments import check_segment, clear_leftovers, is_leftover
from ce_retrieval.photo_index.settings import IndexSettings
from ce_retrieval.photo_index.update import BuildReport, OwnPaths, Update
from ce_retrieval.photos import PhotoItem, open_source, open_sources
from ce_retrieval.storage import LOCK, is_lock, make_folder, storage_errors, writer_lock


def build_index(
    paths: Sequence[str | Path],
    out: str | Path,
    settings: IndexSettings | None = None,
    progress: Progress | None = None,
) -> BuildReport:
    """Index the photos of folders, tar shards, parquet files or single files.

    A stopped build resumes after its last complete segment and ends with the same bytes as an undisturbed one. If photos
    have changed or vanished meanwhile, it goes on with those that are there, and the report names the others.

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
        `out` holds something else, an index built with other settings or from other sources, or a complete one whose photos
        have changed.
    LockedIndexError, StorageError
    """
    out, settings = Path(out), settings or IndexSettings()
    descriptor = _descriptor(settings)
    budget = make_decode_budget(descriptor, settings.workers, settings.max_memory)
    _check_place(out)
    with contextlib.closing(open_sources(paths, apart=[out])) as sources:
        fresh = _fresh_manifest(descriptor, settings, [Source(source.kind, source.root) for source in sources])
        make_folder(out)
        with writer_lock(out):
            manifest = _resumable(out, fresh, descriptor)
            _clear_and_check(out, manifest)
            pipeline = Pipeline(out, descriptor, {}, settings.workers, budget.decode)
            update = Update(pipeline, manifest, sources, progress)
            if manifest.complete:
                return _up_to_date(out, update)
            update.run()
            if update.manifest.count == 0:
                raise _nothing_read(out, update.manifest)
            return update.finish()


def add_photos(
    path: str | Path,
    paths: Sequence[str | Path] = (),
    *,
    workers: int | None = None,
    max_memory: int | None = None,
    progress: Progress | None = None,
) -> BuildReport:
    """Bring the index at `path` up to date with the photos of `paths`.

    Photos that it does not have are added, those that have changed are described anew, and those that could not be read are
    tried again. Photos that have vanished from `paths` are removed: no search finds them. Readers keep what they opened. A
    stopped run is resumed by running it again.

    Parameters
    ----------
    path : path
        The index.
    paths : list of path
        None given: the index's own sources.
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
    with writer_lock(path):
        manifest = read_manifest(path)
        _clear_and_check(path, manifest)
        own = OwnPaths(path, manifest) if not paths else None
        with contextlib.closing(open_sources(own.paths if own else paths, apart=[path])) as sources:
            sources.refused += own.lost if own else ()
            pipeline = Pipeline(path, descriptor, {}, settings.workers, budget.decode)
            update = Update(pipeline, manifest, sources, progress, own.areas if own else ())
            update.run()
            return update.finish()


def build_alike(index: PhotoIndex, out: str | Path, settings: IndexSettings, progress: Progress | None = None) -> None:
    """Index the photos of another index by other features, in the same order; a stopped build resumes.

    Raises
    ------
    PhotoIndexError
        `out` holds something else, or an index of other sources or settings.
    SettingsError, SourceError, LockedIndexError, StorageError
        As `build_index`.
    """
    out = Path(out)
    descriptor = _descriptor(settings)
    budget = make_decode_budget(descriptor, settings.workers, settings.max_memory)
    _check_place(out)
    make_folder(out)
    with writer_lock(out), contextlib.ExitStack() as opened:
        fresh = _fresh_manifest(descriptor, settings, index.manifest.sources)
        manifest = _resumable(out, fresh, descriptor)
        _clear_and_check(out, manifest)
        if manifest.complete:
            return
        tasks = _tasks_of(index)
        for segment in manifest.segments:
            if keys_hash(itertools.islice(tasks, segment.items)) != segment.keys_sha256:
                raise PhotoIndexError(f"{out} was begun from other photos than those of {index.path}: delete it")
        sources = {}
        for number, source in enumerate(index.manifest.sources):
            sources[number] = opened.enter_context(
                contextlib.closing(open_source(source.root, source.kind, check=False))
            )
        pipeline = Pipeline(out, descriptor, sources, settings.workers, budget.decode)
        done = sum(segment.items for segment in manifest.segments)
        manifest = pipeline.run(manifest, tasks, done, len(index), progress)
        write_manifest(out, dataclasses.replace(manifest, complete=True))


def _tasks_of(index: PhotoIndex) -> Iterator[Task]:
    """Yield the photos of an index in its order."""
    for start in range(0, len(index), SEGMENT_ITEMS):
        for record in index.records(range(start, min(start + SEGMENT_ITEMS, len(index)))):
            texts = record.label, record.caption, record.licence
            yield Task(record.source, PhotoItem(record.key, *texts, record.offset, record.length))


def _clear_and_check(folder: Path, manifest: Manifest) -> None:
    """Delete what killed writers left; CorruptIndexError for a damaged segment."""
    clear_leftovers(folder, manifest.segments)
    for segment in manifest.segments:
        check_segment(folder, segment)


def _descriptor(settings: IndexSettings) -> Descriptor:
    return make_descriptor(protocol_spec(settings.features, settings.hole), settings.size)


def _fresh_manifest(descriptor: Descriptor, settings: IndexSettings, sources: Sequence[Source]) -> Manifest:
    return Manifest(
        descriptor=descriptor.spec,
        size=descriptor.size,
        cells=descriptor.cells,
        channels=descriptor.channels,
        hole=settings.hole,
        sources=tuple(sources),
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
    # A source that is gone need not be given; a complete index may have more sources, added later.
    expected = [source for source in old.sources if source in fresh.sources or os.path.lexists(source.root)]
    others = list(fresh.sources) != expected[: len(fresh.sources)]
    if others if old.complete else not set(expected) <= set(fresh.sources):
        more = ", add more with `ceret add`" if old.complete else ""
        raise PhotoIndexError(
            f"{out} was built from {some([source.root for source in old.sources])}: give the same sources{more}, "
            "or choose another folder"
        )
    if not old.complete and old.libraries != fresh.libraries:
        changed = [name for name in fresh.libraries if old.libraries.get(name) != fresh.libraries[name]]
        raise PhotoIndexError(f"{out} was begun with other versions of {', '.join(changed)}: delete it and build again")
    return old


def _up_to_date(out: Path, update: Update) -> BuildReport:
    """Return the report for a complete index; PhotoIndexError if its photos are not what they were."""
    found = update.comparison
    news = {"new": found.new, "changed": found.changed, "vanished": found.vanished}
    told = [
        f"{len(names)} {what} ({some([update.manifest.name_of(*name) for name in names])})"
        for what, names in news.items()
        if names
    ]
    if told:
        raise PhotoIndexError(
            f"{out} is complete, but its photos are not what they were: {', '.join(told)}; bring it up to date with "
            f"`ceret add {out} SOURCE...`"
        )
    return update.report()


def _nothing_read(out: Path, manifest: Manifest) -> SourceError:
    """Delete the empty index and return the error that says why it is empty."""
    roots = some([source.root for source in manifest.sources])
    skipped = manifest.skipped
    with storage_errors(out):
        # In this order, a kill in between leaves the start of a build.
        write_manifest(out, dataclasses.replace(manifest, segments=()))
        if (out / "segments").exists():
            shutil.rmtree(out / "segments")
        (out / MANIFEST).unlink()
        (out / LOCK).unlink()
        with contextlib.suppress(OSError):  # not empty: it holds foreign files
            out.rmdir()
    first = (
        f", the first: {manifest.name_of(skipped[0].source, skipped[0].key)}: {skipped[0].reason}" if skipped else ""
    )
    return SourceError(
        f"no photo of {roots} could be read ({counted(len(skipped), 'file')} skipped{first}): give other photos"
    )
