"""Where and how a build begins or goes on: what stands at its place, and whether that was begun with the same settings."""

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from ce_retrieval.descriptors import Descriptor, make_descriptor, protocol_spec, weights_hash
from ce_retrieval.descriptors.one_vector import OneVector
from ce_retrieval.errors import PhotoIndexError, SourceError, counted, some
from ce_retrieval.photo_index.kinds import StoredKind
from ce_retrieval.photo_index.manifest import AUTO, MANIFEST, Manifest, library_versions, read_manifest, write_manifest
from ce_retrieval.photo_index.manifest_parts import Source
from ce_retrieval.photo_index.places import PACKAGES, PlaceFeatures
from ce_retrieval.photo_index.segment_files import check_segment
from ce_retrieval.photo_index.segments import clear_leftovers, is_leftover
from ce_retrieval.photo_index.settings import IndexSettings
from ce_retrieval.photo_index.update import BuildReport, Update
from ce_retrieval.photo_index.weights import check_weights
from ce_retrieval.photo_index.writing import check_outside
from ce_retrieval.storage import LOCK, is_lock, storage_errors


def check_place(out: Path) -> None:
    """Raise PhotoIndexError if `out` holds something other than an index or the start of one, or lies inside an index."""
    check_outside(out)
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


def resumable(out: Path, fresh: Manifest, descriptor: Descriptor) -> Manifest:
    """Return the manifest to resume: the one on disk, or the fresh one after writing it.

    PhotoIndexError if the one on disk was built with other settings, sources or libraries.
    """
    if not (out / MANIFEST).exists():
        write_manifest(out, fresh)
        return fresh
    old = read_manifest(out)
    for name in ("descriptor", "size", "hole"):
        if getattr(old, name) != getattr(fresh, name):
            raise PhotoIndexError(
                f"{out} was built with {name} {getattr(old, name)}, not {getattr(fresh, name)}: "
                "choose another folder, or delete it first"
            )
    check_weights(out, old, descriptor)
    _check_kind(out, old, fresh)
    _check_places(out, old, fresh)
    _check_skipping(out, old, fresh)
    _check_recipe(out, old, fresh)
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
    return old if old.complete else dataclasses.replace(old, recipe=fresh.recipe)


def _check_kind(out: Path, old: Manifest, fresh: Manifest) -> None:
    """Raise PhotoIndexError if an index has other kind features; a complete one may have none, and may be opened without."""
    if old.kind == fresh.kind or (old.complete and None in (old.kind, fresh.kind)):
        return
    names = [manifest.kind.descriptor if manifest.kind else "none" for manifest in (old, fresh)]
    what = f"kind {names[0]}, not {names[1]}" if names[0] != names[1] else f"other weights of the kind {names[0]}"
    remedy = f"change it with `ceret add {out} --kind {names[1]}`, or " if old.complete else ""
    raise PhotoIndexError(f"{out} was built with {what}: {remedy}choose another folder, or delete it first")


def _check_places(out: Path, old: Manifest, fresh: Manifest) -> None:
    """Raise PhotoIndexError if an index has other local features; a complete one may have none, and may be opened without."""
    if old.places == fresh.places or (old.complete and None in (old.places, fresh.places)):
        return
    what = "with other codes of local features" if old.places and fresh.places else "without local features"
    what = "with local features" if fresh.places is None else what
    remedy = f"make them anew with `ceret add {out} --places`, or " if old.complete else ""
    raise PhotoIndexError(f"{out} was built {what}: {remedy}choose another folder, or delete it first")


def _check_skipping(out: Path, old: Manifest, fresh: Manifest) -> None:
    """Raise PhotoIndexError if an index treats duplicates in another way; a complete one may leave them out."""
    if old.skip_duplicates == fresh.skip_duplicates or (old.complete and old.skip_duplicates):
        return
    how = "leaving out duplicates" if old.skip_duplicates else "with duplicates"
    remedy = f"change that with `ceret add {out} --skip-duplicates`, or " if old.complete else ""
    raise PhotoIndexError(f"{out} was built {how}: {remedy}choose another folder, or delete it first")


def _check_recipe(out: Path, old: Manifest, fresh: Manifest) -> None:
    """Raise PhotoIndexError if a complete index is searched by another recipe than the one that is asked for by name."""
    if old.complete and fresh.recipe not in (AUTO, old.recipe):
        raise PhotoIndexError(
            f"{out} is complete and has the recipe {old.recipe}: change it with `ceret tune {out} --recipe {fresh.recipe}`, "
            "or choose another folder"
        )


def begin_skipping(path: Path, skip: bool | None) -> Manifest:
    """Return the manifest of an index after noting whether it leaves out duplicates; None: as it is. Needs the lock.

    Where it is to take them, it forgets those that it left out, so that the next comparison finds them new.
    """
    before = read_manifest(path)
    if skip is None or skip == before.skip_duplicates:
        return before
    segments = before.segments if skip else tuple(dataclasses.replace(one, repeats=()) for one in before.segments)
    manifest = dataclasses.replace(before, skip_duplicates=skip, segments=segments)
    write_manifest(path, manifest)
    return manifest


def up_to_date(out: Path, update: Update) -> BuildReport:
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


def nothing_read(out: Path, manifest: Manifest) -> SourceError:
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


def clear_and_check(folder: Path, manifest: Manifest) -> None:
    """Delete what killed writers left; CorruptIndexError for a damaged segment."""
    clear_leftovers(folder, manifest.segments)
    check_files(folder, manifest)


def check_files(folder: Path, manifest: Manifest) -> None:
    """Raise CorruptIndexError for the first damaged file of the segments."""
    for segment in manifest.segments:
        check_segment(folder, segment)


def descriptor_of(settings: IndexSettings) -> Descriptor:
    """Make the descriptor that the settings of a build name; SettingsError, CheckpointError."""
    return make_descriptor(protocol_spec(settings.features, settings.hole), settings.size)


def fresh_manifest(
    descriptor: Descriptor,
    kind: OneVector | None,
    places: PlaceFeatures | None,
    settings: IndexSettings,
    sources: Sequence[Source],
) -> Manifest:
    """Return the manifest with which a build begins."""
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
