"""The evaluation: hold out the hole of photos whose truth is known, fill it by every method, measure the fills."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ce_retrieval.completion.baselines import baseline
from ce_retrieval.completion.pipeline import Completer
from ce_retrieval.completion.poisson import PoissonSolver
from ce_retrieval.completion.rim import rim_of
from ce_retrieval.completion.scenes import SceneCache
from ce_retrieval.errors import CeretError, EvaluationError, PhotoError
from ce_retrieval.evaluation.collection import Leak, LeakGuard, NearestByPixels, read_collection
from ce_retrieval.evaluation.methods import FLAT_RIM, Method, parse_methods
from ce_retrieval.mask_files import holes_from_folder, load_shapes
from ce_retrieval.masks import STRATEGIES, holes_for
from ce_retrieval.metrics import Summary, measure, precision_at_k, summarise
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index
from ce_retrieval.photos import decode_photo, open_sources
from ce_retrieval.retrieval import default_focus, search_contexts

Progress = Callable[[str, int, int], None]  # what is under way, done, in all
CHUNK = 50  # queries completed as one batch


@dataclass(frozen=True)
class EvaluationSettings:
    """What is measured. The defaults of the command line are these.

    methods: names as in `parse_methods`; masks: a strategy of `masks.STRATEGIES` or a folder of mask files; shapes: a
    folder of object masks for "region"; keep_leaks: measure queries with near-duplicates in the collection too;
    limit: at most so many queries, drawn by the seed (None: all); precision_k: neighbours that P@k looks at; sheet_rows:
    photos on the contact sheets, drawn by the seed.
    """

    methods: tuple[str, ...]
    seed: int = 0
    masks: str = "center"
    shapes: str | None = None
    keep_leaks: bool = False
    limit: int | None = None
    precision_k: int = 10
    sheet_rows: int = 16


@dataclass(frozen=True)
class MethodResult:
    """A method's figures: their summary, P@k (None where photos have no labels or the method finds no neighbours),
    seconds a photo, and every measure of every photo.
    """

    method: Method
    summary: Summary
    precision: float | None
    seconds: float
    photos: dict[str, np.ndarray]


@dataclass(frozen=True)
class Evaluation:
    """All that was measured. `sheet`: rows of pictures (photo with hole, each method's fill, truth), with their names."""

    settings: EvaluationSettings
    names: Sequence[str]
    results: Sequence[MethodResult]
    leaks: Sequence[Leak]
    skipped: Sequence[str]
    about: dict[str, Any]
    sheet: Sequence[Sequence[np.ndarray]]
    sheet_names: Sequence[str]


@dataclass
class _Queries:
    names: list[str]
    labels: list[str]
    photos: np.ndarray
    holes: np.ndarray
    skipped: list[str] = field(default_factory=list)

    def only(self, rows: np.ndarray) -> "_Queries":
        names, labels = ([values[row] for row in rows] for values in (self.names, self.labels))
        return _Queries(names, labels, self.photos[rows], self.holes[rows], self.skipped)


def evaluate(
    photos: Sequence[str | Path],
    index: PhotoIndex,
    out: str | Path,
    settings: EvaluationSettings,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure methods on photos, filled from the collection of `index`, at the index's size.

    Photos are resized to size x size before their hole is cut, so truth and fill have the same pixels. A descriptor other
    than the index's is given an index of its own at `out`/FEATURES.ceret, built once from the same sources.
    EvaluationError: unknown method or mask strategy, no query left; the errors of searching and of building an index.
    """
    report = progress or (lambda what, done, total: None)
    methods = parse_methods(settings.methods)
    queries = _read_queries(photos, index.manifest.size, settings, report)
    indexes = {
        method.base: _index_for(method.base, index, Path(out), report)
        for method in methods
        if method.kind == "features"
    }
    scenes = SceneCache(index, 1 << 30, 2)
    guard = LeakGuard(queries.names, queries.photos)
    regions = {"oracle": queries.holes, "rim": np.stack([rim_of(hole, FLAT_RIM) for hole in queries.holes])}
    wanted = {method.base for method in methods if method.kind == "pixels"}
    searches = {name: NearestByPixels(queries.photos, regions[name]) for name in regions if name in wanted}
    spent: dict[str, float] = defaultdict(float)
    for ids, block in read_collection(index, scenes, lambda done, total: report("reading the collection", done, total)):
        guard.feed(ids, block)
        for name, search in searches.items():
            start = time.perf_counter()
            search.feed(ids, block)
            spent[name] += time.perf_counter() - start
    leaks = guard.leaks(index)
    rows = np.array([row for row in range(len(queries.names)) if settings.keep_leaks or row not in leaks], np.int64)
    if not len(rows):
        raise EvaluationError(
            f"all {len(leaks)} queries have near-duplicates in {index.path}: give other photos, or --keep-leaks"
        )
    queries = queries.only(rows)
    shown = np.sort(np.random.default_rng(settings.seed).permutation(len(rows))[: settings.sheet_rows])
    results, columns = [], []
    for number, method in enumerate(methods):
        report(f"measuring {method.name}", number, len(methods))
        start = time.perf_counter()
        precision = None
        if method.kind == "baseline":
            fills = _by_baseline(method, queries)
        elif method.kind == "pixels":
            fills = _from_scenes(method, queries, scenes, searches[method.base].ids[rows])
        else:
            fills = _by_features(method, queries, indexes[method.base])
        seconds = (time.perf_counter() - start + spent.get(method.base, 0.0)) / len(rows)
        if method.kind == "features":
            precision = _precision(method, queries, indexes[method.base], settings.precision_k)
        measured = measure(queries.photos, fills, queries.holes)
        results.append(MethodResult(method, summarise(**measured), precision, seconds, measured))
        columns.append(fills[shown])
    report("measuring", len(methods), len(methods))
    return Evaluation(
        settings,
        queries.names,
        results,
        list(leaks.values()),
        queries.skipped,
        _about(index, indexes),
        _sheet(queries, shown, columns),
        [queries.names[row] for row in shown],
    )


def _read_queries(paths: Sequence[str | Path], size: int, settings: EvaluationSettings, report: Progress) -> _Queries:
    """Read the query photos at the index's size, and give each its hole, from (seed, key) alone."""
    entries = [(source, item) for source in open_sources(paths) for item in source.items()]
    if settings.limit is not None and settings.limit < len(entries):
        chosen = np.sort(np.random.default_rng(settings.seed).permutation(len(entries))[: settings.limit])
        entries = [entries[row] for row in chosen]
    names, labels, photos, skipped = [], [], [], []
    for number, (source, item) in enumerate(entries):
        try:
            photos.append(decode_photo(source.read(item), name=item.key, size=size).pixels)
        except PhotoError as error:
            skipped.append(f"{item.key}: {error}")
            continue
        names.append(item.key)
        labels.append(item.label)
        report("reading the queries", number + 1, len(entries))
    if not photos:
        raise EvaluationError(f"no query photo could be read ({len(skipped)} skipped): give a folder of photos")
    return _Queries(names, labels, np.stack(photos), _holes(names, size, settings), skipped)


def _holes(names: Sequence[str], size: int, settings: EvaluationSettings) -> np.ndarray:
    if settings.masks in STRATEGIES:
        shapes = load_shapes(settings.shapes) if settings.shapes else None
        return holes_for(settings.masks, settings.seed, names, size, shapes)
    if Path(settings.masks).is_dir():
        return holes_from_folder(settings.masks, settings.seed, names, size)
    known = ", ".join(STRATEGIES)
    raise EvaluationError(
        f"masks {settings.masks!r} are unknown: choose one of {known}, or give a folder of mask files"
    )


def _index_for(features: str, index: PhotoIndex, out: Path, report: Progress) -> PhotoIndex:
    """Return the given index if it has these features, else one of the same photos that has, built at `out`."""
    manifest = index.manifest
    if manifest.descriptor == features:
        return index
    path = out / f"{features.replace(':', '-').replace('/', '-')}.ceret"
    settings = IndexSettings(features=features, hole=manifest.hole, size=manifest.size)
    roots = [source.root for source in manifest.sources]
    built = build_index(roots, path, settings, lambda done, total: report(f"indexing by {features}", done, total))
    if built.count != len(index):
        raise EvaluationError(
            f"{path} has {built.count} photos, {index.path} {len(index)}: the collection has changed since it was indexed; "
            f"rebuild {index.path} and delete {path}"
        )
    return PhotoIndex.open(path)


def _by_features(method: Method, queries: _Queries, index: PhotoIndex) -> np.ndarray:
    completer = Completer(index, method.settings())
    fills = queries.photos.copy()
    for start in range(0, len(fills), CHUNK):
        part = slice(start, start + CHUNK)
        done = completer.complete_many(list(queries.photos[part]), list(queries.holes[part]))
        for row, result in enumerate(done, start):
            if isinstance(result, CeretError):
                raise EvaluationError(f"{queries.names[row]} cannot be filled by {method.name}: {result}") from result
            fills[row] = result.best
    return fills


def _precision(method: Method, queries: _Queries, index: PhotoIndex, k: int) -> float | None:
    """Return the mean share of each query's k nearest contexts that carry its label, None where there are no labels."""
    if not any(queries.labels) or not any(index.labels) or k > len(index):
        return None
    focus = default_focus(index.descriptor) if method.focus == "auto" else method.focus
    assert not isinstance(focus, str), "only `auto` is a word"
    found = search_contexts(index, queries.photos, queries.holes, k, focus=focus)
    shares = precision_at_k(np.array(queries.labels), np.array(index.labels)[found.ids])
    return float(np.nanmean(shares))


def _by_baseline(method: Method, queries: _Queries) -> np.ndarray:
    """Fill by a baseline, photos with the same hole together."""
    fill = baseline(method.base)
    groups: dict[bytes, list[int]] = defaultdict(list)
    for row, hole in enumerate(queries.holes):
        groups[np.packbits(hole).tobytes()].append(row)
    fills = queries.photos.copy()
    for rows in groups.values():
        fills[rows] = fill(queries.photos[rows], queries.holes[rows[0]])
    return fills


def _from_scenes(method: Method, queries: _Queries, scenes: SceneCache, ids: np.ndarray) -> np.ndarray:
    """Fill each photo from one given scene, pasted or blended."""
    fills = queries.photos.copy()
    solvers: dict[bytes, PoissonSolver] = {}
    for row, (fill, hole) in enumerate(zip(fills, queries.holes, strict=True)):
        scene = scenes.get([ids[row]]).photos[0]
        if method.fill == "blend":
            key = np.packbits(hole).tobytes()
            if key not in solvers:
                solvers = {key: PoissonSolver(hole)}
            floats = (image.astype(np.float32) / 255 for image in (scene[None], fill))
            scene = np.rint(solvers[key].blend(*floats)[0] * 255).astype(np.uint8)
        fill[hole] = scene[hole]
    return fills


def _sheet(queries: _Queries, shown: np.ndarray, columns: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    from ce_retrieval.figures import show_hole

    rows = []
    for place, row in enumerate(shown):
        photo = queries.photos[row]
        rows.append([show_hole(photo, queries.holes[row]), *(column[place] for column in columns), photo])
    return rows


def _about(index: PhotoIndex, indexes: dict[str, PhotoIndex]) -> dict[str, Any]:
    """What a reader needs to know to read the figures: region, range, averaging, collection, versions."""
    manifest = index.manifest
    return {
        "region": "hole pixels, all channels",
        "range": "[0, 1]; L1 and L2 in percent",
        "averaging": "L1, L2, SSIM: mean over photos; psnr: mean of each photo's PSNR; sharpness: median over photos",
        "size": manifest.size,
        "collection": {"index": str(index.path), "photos": len(index), "hole": manifest.hole},
        "features": sorted({manifest.descriptor, *indexes}),
        "libraries": dict(manifest.libraries),
    }
