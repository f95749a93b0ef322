"""Giving an index the codes by which it is searched, or taking them away: files beside the grids, named by the manifest."""

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ce_retrieval.errors import PhotoIndexError
from ce_retrieval.photo_index.batches import Progress
from ce_retrieval.photo_index.beside import with_files
from ce_retrieval.photo_index.codes import StoredCodes
from ce_retrieval.photo_index.manifest import AUTO, EXACT, Manifest
from ce_retrieval.photo_index.manifest_parts import Segment, digest
from ce_retrieval.photo_index.segment_codes import codebook_of, codes_bytes, make_codes, rounded
from ce_retrieval.photo_index.segment_files import kept_rows, read_grids
from ce_retrieval.photo_index.segments import is_codes_file
from ce_retrieval.pool import in_order, worker_pool
from ce_retrieval.storage import replace_file

if TYPE_CHECKING:
    from indexes.codebook import Codebook
    from indexes.recipes import Recipe


def recipe_of(
    manifest: Manifest, count: int, recall: float, max_memory: int, name: str = AUTO
) -> tuple["Recipe", tuple["Recipe", ...]]:
    """Return the recipe for an index that is to hold `count` photos, and all possible ones.

    PhotoIndexError where no recipe has that name, or none fits into the memory.
    """
    from indexes.base import EngineError
    from indexes.recipes import choose, recipes

    possible = recipes(count, manifest.cells, manifest.channels, recall)
    try:
        return choose(possible, count, recall, max_memory, None if name == AUTO else name), possible
    except EngineError as error:
        raise PhotoIndexError(f"{error}") from error


def settled(path: Path, manifest: Manifest, recall: float, max_memory: int, progress: Progress | None) -> Manifest:
    """Return the manifest of an index that is searched as its recipe says, after writing codes. Needs the lock.

    Codes that the index has are kept, and their effort with them: `ceret tune` may have measured it.
    PhotoIndexError as `recipe_of`.
    """
    if manifest.recipe == EXACT:
        return without_codes(manifest)
    if manifest.codes is not None:
        return with_all_codes(path, manifest, progress)
    recipe, _ = recipe_of(manifest, manifest.count, recall, max_memory, manifest.recipe)
    return with_recipe(path, manifest, recipe, progress)


def with_recipe(path: Path, manifest: Manifest, recipe: "Recipe", progress: Progress | None = None) -> Manifest:
    """Return the manifest of an index without codes that is searched by a recipe, after writing those that it needs.

    Needs the lock.
    """
    if recipe.name == EXACT:
        return manifest
    codes = StoredCodes.of(_trained(path, manifest, recipe), recipe.effort)
    return with_all_codes(path, dataclasses.replace(manifest, codes=codes), progress)


def with_all_codes(path: Path, manifest: Manifest, progress: Progress | None = None) -> Manifest:
    """Write the codes of segments that have none, if the index has codes; return the manifest that names them all."""
    stored = manifest.codes
    if stored is None:
        return manifest
    codebook, workers = codebook_of(path, stored), os.cpu_count() or 1

    def coded(segment: Segment) -> bytes | None:
        return None if stored.file in segment.files else codes_bytes(make_codes(path, segment, codebook))

    segments, done = [], 0
    with worker_pool(workers) as pool:
        made = in_order(pool, coded, manifest.segments, 2 * workers)
        for segment, data in zip(manifest.segments, made, strict=True):
            if data is not None:
                replace_file(path / "segments" / segment.name / stored.file, data)
                segment = with_files(segment, is_codes_file, {stored.file: digest(data)})
            segments.append(segment)
            done += segment.count - len(segment.removed)
            if progress:
                progress(done, manifest.count)
    return dataclasses.replace(manifest, segments=tuple(segments))


def without_codes(manifest: Manifest) -> Manifest:
    """Return the manifest of an index without codes; the files are then deleted as leftovers."""
    if manifest.codes is None:
        return manifest
    bare = tuple(with_files(segment, is_codes_file) for segment in manifest.segments)
    return dataclasses.replace(manifest, codes=None, segments=bare)


def _trained(path: Path, manifest: Manifest, recipe: "Recipe") -> "Codebook":
    """Return a codebook that is trained on a fixed sample of the photos; PhotoIndexError where they can have none."""
    from indexes.codebook import Codebook, training_ids
    from indexes.lists import ListCodebook

    chosen, start, sample = training_ids(manifest.count), 0, []
    for segment in manifest.segments:
        kept = kept_rows(segment)
        rows = kept[chosen[(chosen >= start) & (chosen < start + len(kept))] - start]
        if len(rows):
            sample.append(read_grids(path, segment, manifest.grid)[rows])
        start += len(kept)
    grids = np.concatenate(sample)
    try:
        codebook = rounded(Codebook.train(grids, recipe.parts))
        return ListCodebook.of(codebook, grids, recipe.lists) if recipe.lists else codebook
    except ValueError as error:  # unscaled features of a network: their squares are stored too
        raise PhotoIndexError(
            f"the features of {path} are too large for codes ({error}): choose the `recipe` exact"
        ) from error
