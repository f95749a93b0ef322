"""Indexing the photos of another index by other features, so that both can be compared."""

import contextlib
import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

from ce_retrieval.errors import PhotoIndexError
from ce_retrieval.photo_index.batches import SEGMENT_ITEMS, Pipeline, Progress, Task, keys_hash
from ce_retrieval.photo_index.code_update import settled
from ce_retrieval.photo_index.decode_budget import make_decode_budget
from ce_retrieval.photo_index.manifest import write_manifest
from ce_retrieval.photo_index.reader import PhotoIndex
from ce_retrieval.photo_index.resume import check_place, clear_and_check, descriptor_of, fresh_manifest, resumable
from ce_retrieval.photo_index.settings import IndexSettings
from ce_retrieval.photos import PhotoItem, open_source
from ce_retrieval.storage import make_folder, writer_lock


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
    descriptor = descriptor_of(settings)
    budget = make_decode_budget(descriptor, settings.workers, settings.max_memory)
    check_place(out)
    make_folder(out)
    with writer_lock(out), contextlib.ExitStack() as opened:
        fresh = fresh_manifest(descriptor, None, None, settings, index.manifest.sources)
        manifest = resumable(out, fresh, descriptor)
        clear_and_check(out, manifest)
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
