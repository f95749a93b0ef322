"""Building an index and bringing it up to date: describe photos on all cores, write segment by segment, resume after a kill."""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ce_retrieval.descriptors import Descriptor
from ce_retrieval.descriptors.one_vector import NO_KIND, OneVector, make_one_vector
from ce_retrieval.errors import PhotoIndexError
from ce_retrieval.models.requirements import missing_packages
from ce_retrieval.photo_index.batches import Pipeline, Progress
from ce_retrieval.photo_index.code_update import recipe_of, settled
from ce_retrieval.photo_index.decode_budget import make_decode_budget
from ce_retrieval.photo_index.kind_update import begin_kind, with_kind, write_kinds
from ce_retrieval.photo_index.manifest import Manifest, read_manifest
from ce_retrieval.photo_index.manifest_parts import Source
from ce_retrieval.photo_index.own_paths import OwnPaths
from ce_retrieval.photo_index.place_update import begin_places, write_places
from ce_retrieval.photo_index.places import PlaceFeatures, place_features, places_of_index
from ce_retrieval.photo_index.resume import (
    begin_skipping,
    check_files,
    check_place,
    clear_and_check,
    descriptor_of,
    fresh_manifest,
    nothing_read,
    resumable,
    up_to_date,
)
from ce_retrieval.photo_index.segments import clear_leftovers
from ce_retrieval.photo_index.settings import LOCAL, IndexSettings
from ce_retrieval.photo_index.update import BuildReport, Update
from ce_retrieval.photo_index.weights import check_weights, kind_of_index
from ce_retrieval.photos import open_sources
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
    if settings.engine != LOCAL:
        from ce_retrieval.photo_index.ray_engine import check_engine, described_by

        check_engine(settings.engine)
    descriptor = descriptor_of(settings)
    kind, without = _kind(settings)
    places = place_features() if settings.places else None
    beside = _beside(descriptor, kind)
    budget = make_decode_budget(descriptor, settings.workers, settings.max_memory, beside, places)
    check_place(out)
    with contextlib.closing(open_sources(paths, apart=[out])) as sources:
        of_sources = [Source(source.kind, source.root) for source in sources]
        fresh = fresh_manifest(descriptor, kind, places, settings, of_sources)
        make_folder(out)
        with writer_lock(out):
            manifest = resumable(out, fresh, descriptor)
            clear_and_check(out, manifest)
            pipeline = Pipeline(out, descriptor, beside, {}, settings.workers, budget.decode_both, places)
            if settings.engine != LOCAL:
                pipeline.describing = described_by(settings, manifest, pipeline)
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
    changes = {name: one for name, one in {**given, "skip_duplicates": skip_duplicates}.items() if one is not None}
    settings = IndexSettings(manifest.descriptor, manifest.hole, manifest.size, **changes)
    descriptor = descriptor_of(settings)
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
            check_files(path, manifest)
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


def _clear(folder: Path, manifest: Manifest, kinds: str | None, places: PlaceFeatures | None) -> None:
    """Delete what killed writers left, but for files of kind features or local features with which this one goes on."""
    clear_leftovers(folder, manifest.segments, (kinds, places.stored.file if places else None))


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
