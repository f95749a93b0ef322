"""Tuning an index: how many of the nearest photos its search by codes finds, and how many candidates that takes."""

import dataclasses
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ce_retrieval.errors import PhotoError, PhotoIndexError
from ce_retrieval.holes.strategies import center_holes, holes_for
from ce_retrieval.photo_index import Manifest, PhotoIndex
from ce_retrieval.photo_index.code_update import recipe_of, with_recipe, without_codes
from ce_retrieval.photo_index.manifest import AUTO, RECIPES, read_manifest, write_manifest
from ce_retrieval.photo_index.segments import clear_leftovers
from ce_retrieval.photo_index.vectors import open_vectors, row_files
from ce_retrieval.photo_index.writing import changing_index
from ce_retrieval.retrieval.search import default_focus, described_contexts
from ce_retrieval.settings import Checked, setting

if TYPE_CHECKING:
    from indexes.pooled import PooledIndex
    from indexes.recipes import Recipe
    from indexes.row_files import RowFiles

NEAREST = 10  # of which a search is to find a share
ROUNDING = 1e-5  # by which distances of float32 that are equal may differ, as a share
EFFORTS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)

# Grids float32 (n, G, C), weights float32 (n, G) and ids of the photos themselves int64 (n,), by the kind of hole.
Queries = dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class TuningSettings(Checked):
    """How an index is tuned; these are the command line's defaults.

    Attributes
    ----------
    recipe : str
        How the index is to be searched, as in `IndexSettings`.
    recall : float
        Least share of the ten nearest that is to be found, for each kind of hole.
    max_memory : int
        Bytes that a search may take.
    queries : int
        Photos to measure with.
    seed : int
        Decides the photos and their holes.
    """

    recipe: str = setting(AUTO, choices=RECIPES)
    recall: float = setting(0.95, low=0.5, high=1)
    max_memory: int = setting(4 << 30, low=1 << 20, high=16 << 40)
    queries: int = setting(50, low=1, high=10_000)
    seed: int = setting(0, low=0, high=(1 << 63) - 1)


@dataclass(frozen=True)
class Measured:
    """What a search finds with an effort.

    Attributes
    ----------
    effort : float
        Factor on the candidates that are measured.
    recalls : kind of hole -> float
        Share of the NEAREST found.
    seconds : kind of hole -> float
        Median of a query.
    """

    effort: float
    recalls: dict[str, float]
    seconds: dict[str, float]

    @property
    def recall(self) -> float:
        """The least share over the kinds of holes."""
        return min(self.recalls.values())


@dataclass(frozen=True)
class Tuning:
    """How an index is searched from now on.

    Attributes
    ----------
    recipe : Recipe
    possible : tuple of Recipe
        All that there are for this index.
    measured : tuple of Measured
        For each effort that was tried, the last of which is kept; empty for an exact search, which finds all.
    """

    recipe: "Recipe"
    possible: tuple["Recipe", ...]
    measured: tuple[Measured, ...]


def tune_index(
    path: str | Path,
    settings: TuningSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tuning:
    """Choose how an index is searched, measure it, and store the least effort that finds the wanted share.

    Codes are made anew, of the photos that the index holds now. Readers keep what they opened.

    Parameters
    ----------
    path : path
    settings : TuningSettings or None
        None for the defaults.
    progress : callable or None
        Called with the photos coded and those to code.

    Raises
    ------
    PhotoIndexError
        The index has no such recipe, or none fits into the memory; its first build has not ended; it has too few photos, or they
        cannot be read; no effort finds the share.
    CorruptIndexError, LockedIndexError, StorageError
    """
    path, settings = Path(path), settings or TuningSettings()
    with changing_index(path) as before:
        manifest = dataclasses.replace(before, recipe=settings.recipe)
        chosen, possible = recipe_of(manifest, manifest.count, settings.recall, settings.max_memory, settings.recipe)
        try:
            # Codes made anew: the old ones may have been trained when the collection was another.
            manifest = with_recipe(path, without_codes(manifest), chosen, progress)
            measured = _measured(path, manifest, settings) if manifest.codes else ()
            write_manifest(path, _with_measured(manifest, measured))
        except BaseException:
            clear_leftovers(path, read_manifest(path).segments)
            raise
        clear_leftovers(path, manifest.segments)
    return Tuning(chosen, possible, measured)


def _with_measured(manifest: Manifest, measured: tuple[Measured, ...]) -> Manifest:
    if manifest.codes is None:
        return manifest
    codes = dataclasses.replace(manifest.codes, effort=measured[-1].effort, recall=round(measured[-1].recall, 4))
    return dataclasses.replace(manifest, codes=codes)


def _measured(path: Path, manifest: Manifest, settings: TuningSettings) -> tuple[Measured, ...]:
    """Measure with more and more effort until the share is found."""
    from indexes.exhaustive import exhaustive_search

    index = PhotoIndex(path, manifest)
    if len(index) <= NEAREST:
        raise PhotoIndexError(f"{path} holds {len(index)} photos: to measure a search takes more than {NEAREST}")
    queries = _queries(index, settings)
    grids, weights, own = (np.concatenate(arrays) for arrays in zip(*queries.values(), strict=True))
    # More than are wanted: where sums of float32 cannot tell photos apart, they are measured again.
    exact = exhaustive_search(index.grids(), grids, weights, min(len(index), 2 * NEAREST + 1)).ids
    rows = row_files(path, manifest)
    bounds = [_bound(rows, *one) for one in zip(grids, weights, exact, own, strict=True)]
    truth = dict(zip(queries, np.split(np.array(bounds), len(queries)), strict=True))
    vectors: PooledIndex = open_vectors(path, manifest)  # type: ignore[assignment]
    found: list[Measured] = []
    for effort in EFFORTS:
        vectors.effort = effort
        found.append(_measure(vectors, queries, truth))
        if found[-1].recall >= settings.recall:
            return tuple(found)
    hole, least = min(found[-1].recalls.items(), key=lambda one: one[1])
    raise PhotoIndexError(
        f"the codes of {path} find {least:.3f} of the nearest photos at most (holes: {hole}), less than {settings.recall}: "
        "choose a lower `recall`, or the `recipe` exact"
    )


def _bound(rows: "RowFiles", grid: np.ndarray, weights: np.ndarray, ids: np.ndarray, own: int) -> float:
    """Return the distance of the last of the NEAREST, given the ids of these and more; `own` does not count.

    It is measured as a search measures it: photos that are equally near are then equally good.
    """
    from indexes.halves import widen
    from indexes.masked import masked_distances

    others = widen(rows(ids[ids != own]))
    distances = masked_distances(grid.astype(np.float32), weights.astype(np.float32), others)
    return float(np.sort(distances)[NEAREST - 1])


def _measure(vectors: "PooledIndex", queries: Queries, truth: dict[str, np.ndarray]) -> Measured:
    """Return the share of a search's NEAREST that are as near as `truth` says, by the kind of hole, and its time."""
    recalls, seconds = {}, {}
    for hole, (grids, weights, own) in queries.items():
        shares, times = [], []
        for row, bound in enumerate(truth[hole]):
            start = time.perf_counter()
            found = vectors.search(grids[row : row + 1], weights[row : row + 1], NEAREST + 1)
            times.append(time.perf_counter() - start)
            distances = found.scores[0][found.ids[0] != own[row]][:NEAREST]
            shares.append(np.count_nonzero(distances <= bound * (1 + ROUNDING)) / NEAREST)
        recalls[hole] = float(np.mean(shares))
        seconds[hole] = statistics.median(times)
    return Measured(vectors.effort, recalls, seconds)


def _queries(index: PhotoIndex, settings: TuningSettings) -> Queries:
    """Describe some photos of the index with holes of several kinds; those that cannot be read any more are passed over."""
    rng = np.random.default_rng(settings.seed)
    chosen = rng.permutation(len(index))[: settings.queries]
    own, photos, errors = [], [], []
    for one, record in zip(chosen.tolist(), index.records(chosen), strict=True):
        try:
            photos.append(index.read_photo(record, index.manifest.size).pixels)
            own.append(one)
        except PhotoError as error:
            errors.append(str(error))
    if not photos:
        raise PhotoIndexError(f"no photo to measure with: {errors[0]}")
    focus = default_focus(index.descriptor)
    found = {}
    for hole, holes in _holes(index, [str(one) for one in own], rng).items():
        seen = np.where(holes[..., None], np.uint8(0), np.stack(photos))
        found[hole] = (*described_contexts(index, seen, holes, focus), np.array(own))
    return found


def _holes(index: PhotoIndex, names: list[str], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return holes bool (n, S, S) by their kind: from half of the photo down to 1/16 of its side."""
    size, count = index.manifest.size, len(names)
    if index.protocol_hole is not None:
        return {"centre": np.broadcast_to(index.protocol_hole, (count, size, size))}
    half = np.zeros((count, size, size), bool)
    half[:, :, size // 2 :] = True
    squares = {}
    for share in (16, 5):
        side = max(1, size // share)
        holes = np.zeros((count, size, size), bool)
        for hole, (top, left) in zip(holes, rng.integers(size - side + 1, size=(count, 2)), strict=True):
            hole[top : top + side, left : left + side] = True
        squares[f"1/{share} of the side"] = holes
    return {"half": half, "centre": center_holes(count, size), "blocks": holes_for("block", 0, names, size), **squares}
