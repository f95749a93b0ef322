"""Giving an index local features: its photos are read again, and only the manifest's last replacement names the result."""

import dataclasses
from pathlib import Path

from ce_retrieval.errors import CorruptIndexError
from ce_retrieval.photo_index.batches import Decode, Progress
from ce_retrieval.photo_index.beside import Decoded, begin_files, read_again, with_files
from ce_retrieval.photo_index.manifest import Manifest, library_versions
from ce_retrieval.photo_index.manifest_parts import Segment, digest
from ce_retrieval.photo_index.places import PACKAGES, PlaceFeatures
from ce_retrieval.photo_index.reader import PhotoIndex
from ce_retrieval.photo_index.segment_files import kept_rows, read_places
from ce_retrieval.photo_index.segments import is_places_file
from ce_retrieval.places.codes import CodedFeatures
from ce_retrieval.places.inverted_file import NOT_DESCRIBED, inverted_bytes
from ce_retrieval.pool import worker_pool
from ce_retrieval.reading import read_regular
from ce_retrieval.storage import replace_file


def begin_places(path: Path, places: PlaceFeatures | None, manifest: Manifest) -> tuple[Manifest, bool]:
    """Prepare an index for local features, or for none; as `kind_update.begin_kind`. Needs the lock."""
    wanted = dataclasses.replace(manifest, places=places.stored if places else None)
    file = wanted.places.file if wanted.places else None
    segments, anew = begin_files(path, manifest, wanted, file, is_places_file)
    return dataclasses.replace(wanted, places=None if anew else wanted.places, segments=segments), anew


def write_places(
    path: Path, places: PlaceFeatures, manifest: Manifest, decode: Decode, workers: int, progress: Progress | None
) -> Manifest:
    """Find the local features of all photos of an index, file by file; return the manifest that names the files.

    Needs the lock. A file that a killed run has finished is kept, so running it again goes on there.

    Raises
    ------
    PhotoError
        A photo cannot be read any more, or has changed.
    """
    file = places.stored.file
    index, segments = PhotoIndex(path, manifest), []
    done, total = 0, manifest.count

    def describe(photos: list[Decoded]) -> list[CodedFeatures]:
        return [places.of(larger, manifest.hole) for _, larger in photos if larger is not None]

    with worker_pool(workers) as pool:
        for segment in manifest.segments:
            place = path / "segments" / segment.name / file
            if not _is_done(path, segment, file):
                found: list[CodedFeatures | None] = [None] * segment.count
                for rows, part in read_again(pool, workers, index, segment, decode, describe, places.stored.side):
                    for row, features in zip(rows.tolist(), part, strict=True):
                        found[row] = features
                    done += len(rows)
                    if progress:
                        progress(done, total)
                replace_file(place, inverted_bytes(found))
            else:
                done += segment.count - len(segment.removed)
            segments.append(with_files(segment, is_places_file, {file: digest(read_regular(place))}))
    versions = library_versions(PACKAGES)
    libraries = {**manifest.libraries, **{name: versions[name] for name in PACKAGES}}
    return dataclasses.replace(manifest, places=places.stored, segments=tuple(segments), libraries=libraries)


def _is_done(path: Path, segment: Segment, file: str) -> bool:
    """Return whether a whole file of an earlier run has all photos; one that was removed then may be back."""
    try:
        counts = read_places(path, segment, file).counts
    except CorruptIndexError:
        return False
    return bool((counts[kept_rows(segment)] != NOT_DESCRIBED).all())
