"""Building an index and bringing it up to date: describe photos on all cores, write segment by segment, resume after a kill."""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ce_retrieval.descriptors import Descriptor, make_descriptor, protocol_spec, weights_hash
from ce_retrieval.descriptors.one_vector import NO_KIND, OneVector, make_one_vector
from ce_retrieval.errors import PhotoIndexError
from ce_retrieval.models.requirements import missing_packages
from ce_retrieval.photo_index.batches import SEGMENT_ITEMS, Pipeline, Progress, Task, keys_hash
from ce_retrieval.photo_index.code_update import recipe_of, settled
from ce_retrieval.photo_index.decode_budget import make_decode_budget
from ce_retrieval.photo_index.kind_update import begin_kind, with_kind, write_kinds
from ce_retrieval.photo_index.kinds import StoredKind
from ce_retrieval.photo_index.manifest import Manifest, library_versions, read_manifest, write_manifest
from ce_retrieval.photo_index.manifest_parts import Source
from ce_retrieval.photo_index.own_paths import OwnPaths
from ce_retrieval.photo_index.place_update import begin_places, write_places
from ce_retrieval.photo_index.places import PACKAGES, PlaceFeatures, place_features, places_of_index
from ce_retrieval.photo_index.ray_engine import check_engine, ray_describing
from ce_retrieval.photo_index.ray_worker import job_of
from ce_retrieval.photo_index.reader import PhotoIndex
from ce_retrieval.photo_index.resume import begin_skipping, check_place, nothing_read, resumable, up_to_date
from ce_retrieval.photo_index.segment_files import check_segment
from ce_retrieval.photo_index.segments import clear_leftovers
from ce_retrieval.photo_index.settings import LOCAL, IndexSettings
from ce_retrieval.photo_index.update import BuildReport, Update
from ce_retrieval.photo_index.weights import check_weights, kind_of_index
from ce_retrieval.photos import PhotoItem, open_source, open_sources
from ce_retrieval.storage import make_folder, writer_lock

if TYPE_CHECKING:
    from indexes.recipes import Recipe

Planned = Callable[["Recipe", Sequence["Recipe"]], None]
ADD_KIND = "`ceret add {} --kind kind`"
ADD_PLACES = "`ceret add {} --places`"


def build_index(
    paths: Sequence[str | Path],
    out: str | Path,
    settings: IndexSettings | None = None,
    progress: Progress | None = None,
    planned: Planned | None = None,
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
    planned : callable or None
        Called before the photos are read, with the chosen recipe and all possible ones.

    Raises
    ------
    SettingsError
        An unknown descriptor, or too little memory for it.
    SourceError
        There is no source, or nothing in it could be read.
    PhotoIndexError
        `out` holds something else, an index built with other settings or from other sources, or a complete one whose photos
        have changed. No recipe fits into the memory.
    InstallationError, ClusterError
        The engine is not installed, or cannot be used.
    LockedIndexError, StorageError
    """
    out, settings = Path(out), settings or IndexSettings()
    check_engine(settings.engine)
    descriptor = _descriptor(settings)
    kind, without = _kind(settings)
    places = place_features() if settings.places else None
    beside = _beside(descriptor, kind)
    budget = make_decode_budget(descriptor, settings.workers, settings.max_memory, beside, places)
    check_place(out)
    with contextlib.closing(open_sources(paths, apart=[out])) as sources:
        of_sources = [Source(source.kind, source.root) for source in sources]
        fresh = _fresh_manifest(descriptor, kind, places, settings, of_sources)
        make_folder(out)
        with writer_lock(out):
            manifest = resumable(out, fresh, descriptor)
            _clear_and_check(out, manifest)
            pipeline = Pipeline(out, descriptor, beside, {}, settings.workers, budget.decode_both, places)
            if settings.engine != LOCAL:
                pipeline.describing = lambda hole: ray_describing(settings.engine, job_of(settings, manifest, pipeline))
            update = Update(pipeline, manifest, sources, progress)
            if manifest.complete:
                report = up_to_date(out, update)
                if fresh.places and not manifest.places:
                    report = _with_note(out, report, f"no local features: add them with {ADD_PLACES}")
                missing = f"no kind features: add them with {ADD_KIND}" if fresh.kind and not manifest.kind else ""
                return _with_note(out, report, missing)
            plan = recipe_of(fresh, update.total, settings.recall, settings.max_memory, settings.recipe)
            if planned:
                planned(*plan)
            update.run()
            if update.manifest.count == 0:
                raise nothing_read(out, update.manifest)
            update.manifest = settled(out, update.manifest, settings.recall, settings.max_memory, progress)
            return _with_note(out, update.finish(), without)


def add_photos(
    path: str | Path,
    paths: Sequence[str | Path] = (),
    *,
    kind: str | None = None,
    places: bool | None = None,
    skip_duplicates: bool | None = None,
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
    kind : str or None
        Kind features that the index is to have, as in `IndexSettings`: where it has none, or others, all of its photos are
        read again. A stopped run goes on where it was. None: as it is.
    places : bool or None
        Whether the index is to have local features, in the same way.
    skip_duplicates : bool or None
        Whether photos whose bytes the index has already are left out, now and by later additions. False also takes those that
        were left out before. None: as the index is.
    workers, max_memory : int or None
        As in `IndexSettings`; None: its defaults.
    progress : callable or None
        As for `build_index`.

    Raises
    ------
    PhotoIndexError
        The index's first build has not ended, or its weights have changed. Otherwise as `build_index`.
    NoKindError
        The weights of its kind features are missing or have changed, and `kind` is None.
    NoPlacesError
        Other codes made its local features, and `places` is None.
    PhotoError
        `kind` or `places` is given, and a photo cannot be read any more.
    """
    path = Path(path)
    manifest = read_manifest(path)
    if not manifest.complete:
        raise PhotoIndexError(
            f"the build of {path} was stopped: run its `ceret index` command again before adding to it"
        )
    given: dict[str, Any] = {"workers": workers, "max_memory": max_memory, "kind": kind, "places": places}
    changes = {name: value for name, value in given.items() if value is not None}
    settings = IndexSettings(manifest.descriptor, manifest.hole, manifest.size, **changes)
    descriptor = _descriptor(settings)
    check_weights(path, manifest, descriptor)
    if kind is None:
        vectors = kind_of_index(path, manifest.kind, manifest.size) if manifest.kind else None
    else:
        vectors = make_one_vector(kind, manifest.size) if kind != NO_KIND else None
    if places is None:
        features = places_of_index(path, manifest.places) if manifest.places else None
    else:
        features = place_features() if places else None
    beside = _beside(descriptor, vectors)
    budget = make_decode_budget(descriptor, settings.workers, settings.max_memory, beside, features)
    with writer_lock(path):
        manifest, kinds_anew, places_anew = begin_skipping(path, skip_duplicates), False, False
        _clear(path, manifest, with_kind(manifest, vectors).kind_file if kind else None, features if places else None)
        if kind is not None:
            manifest, kinds_anew = begin_kind(path, vectors, manifest)
        if places is not None:
            manifest, places_anew = begin_places(path, features, manifest)
        if kind is None and places is None:
            _check(path, manifest)
        own = OwnPaths(path, manifest) if not paths else None
        with contextlib.closing(open_sources(own.paths if own else paths, apart=[path])) as sources:
            sources.refused += own.lost if own else ()
            parts = None if kinds_anew else beside, None if places_anew else features
            pipeline = Pipeline(path, descriptor, parts[0], {}, settings.workers, budget.decode_both, parts[1])
            update = Update(pipeline, manifest, sources, progress, own.areas if own else ())
            update.run()
            reading = budget.decode_both, settings.workers, progress
            if kinds_anew and vectors:
                update.manifest = write_kinds(path, vectors, update.manifest, *reading)
            if places_anew and features:
                update.manifest = write_places(path, features, update.manifest, *reading)
            if update.manifest.count:
                update.manifest = settled(path, update.manifest, settings.recall, settings.max_memory, progress)
            return update.finish()


def build_alike(index: PhotoIndex, out: str | Path, settings: IndexSettings, progress: Progress | None = None) -> None:
    """Index the photos of another index by other features, in the same order; a stopped build resumes.

    Without kind features and local features, whatever the settings: they are those of the other index.

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
    check_place(out)
    make_folder(out)
    with writer_lock(out), contextlib.ExitStack() as opened:
        fresh = _fresh_manifest(descriptor, None, None, settings, index.manifest.sources)
        manifest = resumable(out, fresh, descriptor)
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
        pipeline = Pipeline(out, descriptor, None, sources, settings.workers, budget.decode_both)
        done = sum(segment.items for segment in manifest.segments)
        manifest = pipeline.run(manifest, tasks, done, len(index), progress)
        manifest = settled(out, manifest, settings.recall, settings.max_memory, progress)
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
    _check(folder, manifest)


def _clear(folder: Path, manifest: Manifest, kinds: str | None, places: PlaceFeatures | None) -> None:
    """Delete what killed writers left, but for files of kind features or local features with which this one goes on."""
    clear_leftovers(folder, manifest.segments, (kinds, places.stored.file if places else None))


def _check(folder: Path, manifest: Manifest) -> None:
    for segment in manifest.segments:
        check_segment(folder, segment)


def _descriptor(settings: IndexSettings) -> Descriptor:
    return make_descriptor(protocol_spec(settings.features, settings.hole), settings.size)


def _kind(settings: IndexSettings) -> tuple[OneVector | None, str]:
    """Return what describes the kind of photos, or None and why there is nothing, "" where that was asked for."""
    missing = missing_packages() if settings.kind == "kind" else []
    if missing:
        return None, (
            f"no kind features, which need {' and '.join(missing)}: pip install {' '.join(missing)}, then add them with "
            f"{ADD_KIND}"
        )
    return (make_one_vector(settings.kind, settings.size) if settings.kind != NO_KIND else None), ""


def _beside(descriptor: Descriptor, kind: OneVector | None) -> OneVector | None:
    """Return what describes kinds in files of their own: None where the index's own features are its kind features."""
    if kind and descriptor.cells == 1 and (descriptor.spec, descriptor.size) == (kind.spec, kind.size):
        return None
    return kind


def _with_note(out: Path, report: BuildReport, note: str) -> BuildReport:
    return dataclasses.replace(report, notes=((str(out), note.format(out)), *report.notes)) if note else report


def _fresh_manifest(
    descriptor: Descriptor,
    kind: OneVector | None,
    places: PlaceFeatures | None,
    settings: IndexSettings,
    sources: Sequence[Source],
) -> Manifest:
    more = (*descriptor.libraries, *(kind.libraries if kind else ()), *(PACKAGES if places else ()))
    return Manifest(
        descriptor=descriptor.spec,
        size=descriptor.size,
        cells=descriptor.cells,
        channels=descriptor.channels,
        hole=settings.hole,
        sources=tuple(sources),
        weights_sha256=weights_hash(descriptor),
        kind=StoredKind.of(kind) if kind else None,
        places=places.stored if places else None,
        recipe=settings.recipe,
        skip_duplicates=settings.skip_duplicates,
        libraries=library_versions(list(dict.fromkeys(more))),
    )
