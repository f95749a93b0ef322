"""Carrying out an experiment: every evaluation, and what they say together."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ce_retrieval.errors import EvaluationError, SettingsError, counted
from ce_retrieval.evaluation.collection import drawn_photos
from ce_retrieval.evaluation.experiments.experiment import Experiment
from ce_retrieval.evaluation.experiments.figures import check_figures, write_figures
from ce_retrieval.evaluation.experiments.growth import GROWTH, Growth, growth_of, growth_plot, growth_tables
from ce_retrieval.evaluation.measuring import MethodResult
from ce_retrieval.evaluation.page.page import page
from ce_retrieval.evaluation.page.told import as_toml
from ce_retrieval.evaluation.place import check_place
from ce_retrieval.evaluation.plots.drawing import check_plots, has_plots
from ce_retrieval.evaluation.queries import check_masks
from ce_retrieval.evaluation.report import tables, write_report
from ce_retrieval.evaluation.run import SCENE_BYTES, Evaluation, evaluate
from ce_retrieval.evaluation.settings import EvaluationSettings, Metric, Progress
from ce_retrieval.evaluation.watch import Cost
from ce_retrieval.metrics import PHOTO_METRICS, summarise
from ce_retrieval.own_files import check_free, check_picture, sealed_text
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.photo_index.photo_cache import PhotoCache
from ce_retrieval.photos.files import save_result
from ce_retrieval.reading import read_regular
from ce_retrieval.storage import replace_file

SUMMARY, REPORT = "experiment.md", "report.html"
MEASURED = "measured"  # folder of `reuse`


def run_experiment(
    experiment: Experiment,
    out: str | Path,
    progress: Progress | None = None,
    done: Callable[[str, Evaluation], None] | None = None,
    metrics: Mapping[str, Metric] | None = None,
) -> dict[str, Evaluation]:
    """Measure all that an experiment asks for, and write it.

    Each evaluation has a folder OUT/MASKS-SEED, or OUT/MASKS-SEED-COLLECTION (`write_report`). What all seeds together say of
    a kind of holes is in OUT/experiment.md and OUT/report.html, and how it grows with the collection in OUT/growth.png. Where
    matplotlib is installed, figures for publication are drawn (`write_figures`), of the whole collection or its largest part.
    A second run with the same OUT measures only what has changed.

    Parameters
    ----------
    out : folder of the results.
    progress, metrics : as of `evaluate`.
    done : called with the name and the result of each evaluation.

    Returns
    -------
    By the kind of holes, and the collection if there are several, the figures over all seeds: those of a photo are its means
    over the seeds.

    Raises
    ------
    EvaluationError : `out` holds the results of another experiment.
    CeretError : as `evaluate`, `write_report` and `growth_plot`; two kinds of holes are of one name.
    """
    out, grows = Path(out), experiment.collection != (None,)
    _check_own(experiment, out / SUMMARY)
    if grows:
        check_picture(out / GROWTH)
        check_plots()
    names = [Path(masks).name or masks for masks in experiment.masks]
    if len(set(names)) < len(names):
        raise SettingsError(f"`masks` {', '.join(names)}: two are of one name, and would share a folder; rename one")
    check_free(out / REPORT)
    check_figures(out, names)
    index = PhotoIndex.open(experiment.index)
    found: dict[tuple[str, int | None], list[Evaluation]] = {}
    cells = experiment.cells()
    kinds = [(name, size) for name in names for size in experiment.collection for _ in experiment.seeds]
    places = [out / _folder(name, one) for (name, _), one in zip(kinds, cells, strict=True)]
    for settings, place in zip(cells, places, strict=True):  # before hours of work
        check_masks(settings)
        check_place(place)
        drawn_photos(index, settings)
    scenes = PhotoCache(index, SCENE_BYTES, os.cpu_count() or 1)
    for kind, settings, place in zip(kinds, cells, places, strict=True):
        evaluation = evaluate(
            experiment.photos, index, out, settings, progress, reuse=out / MEASURED, scenes=scenes, metrics=metrics
        )
        write_report(evaluation, place)
        found.setdefault(kind, []).append(evaluation)
        if done:
            done(place.name, evaluation)
    growths = dict[str, Growth]()
    if grows:
        by_size = {name: {size: found[name, size] for size in experiment.collection if size} for name in names}
        growths = {name: growth_of(evaluations, experiment.settings.seed) for name, evaluations in by_size.items()}
        save_result(out / GROWTH, growth_plot(growths))
    pooled = {_title(*kind): _pooled(evaluations) for kind, evaluations in found.items()}
    titles = {name: _title(name, experiment.collection[-1]) for name in names}
    shown = {titles[name]: found[name, experiment.collection[-1]][0] for name in names}
    if has_plots():
        write_figures(out, {name: (pooled[title], shown[title]) for name, title in titles.items()})
    told = page(as_toml(experiment), experiment.photos, pooled, shown, growths, experiment.seeds)
    replace_file(out / REPORT, sealed_text(told))
    replace_file(out / SUMMARY, sealed_text(summary(experiment, pooled, growths)))
    return pooled


def _check_own(experiment: Experiment, path: Path) -> None:
    """Raise EvaluationError where a summary is of other photos or of another index; StorageError as `check_free`."""
    check_free(path)
    if (
        path.exists()
        and path.stat().st_size
        and _identity(experiment) not in read_regular(path).decode(errors="replace")
    ):
        raise EvaluationError(
            f"{path.parent} holds the results of another experiment, with other photos or another index: choose another `out`"
        )


def _identity(experiment: Experiment) -> str:
    """Return a comment that tells an experiment from those with other photos or another index."""
    paths = "\0".join(os.path.abspath(path) for path in (*experiment.photos, experiment.index))
    return f"<!-- experiment {hashlib.sha256(os.fsencode(paths)).hexdigest()[:16]} -->"


def _folder(name: str, settings: EvaluationSettings) -> str:
    """Return the folder of an evaluation: MASKS-SEED, or MASKS-SEED-COLLECTION."""
    size = "" if settings.collection is None else f"-{settings.collection}"
    return f"{name}-{settings.holes_seed}{size}"


def _title(name: str, size: int | None) -> str:
    """Return the title of a kind of holes and a size of the collection."""
    return name if size is None else f"{name}, {counted(size, 'photo')}"


def summary(
    experiment: Experiment, pooled: Mapping[str, Evaluation], growths: Mapping[str, Growth] | None = None
) -> str:
    """Return what an experiment found, in Markdown: for each kind of holes the tables of an evaluation.

    growths : how the figures grow with the collection, by the kind of holes; these tables come first.
    """
    seeds = ", ".join(map(str, experiment.seeds))
    title = ", ".join(Path(photos).name for photos in experiment.photos)
    parts = [
        f"# {title}, filled from {Path(experiment.index).name}",
        _identity(experiment),
        f"Seeds: {seeds}. The figures of a photo are its means over them.",
    ]
    for name, growth in (growths or {}).items():
        parts += [f"## {name}, by the size of the collection", growth_tables(growth)]
    for name, evaluation in pooled.items():
        parts += [f"## {name}", tables(evaluation)]
    return "\n\n".join([*parts, ""])


def _pooled(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Return the figures over all seeds, of the photos that were measured under each of them."""
    known = [set(one.names) for one in evaluations]
    common = [name for name in evaluations[0].names if all(name in each for each in known)]
    if not common:
        raise EvaluationError("no photo was measured under all seeds: set `limit` to more photos, or take fewer seeds")
    rows = []
    for one in evaluations:
        place = {name: row for row, name in enumerate(one.names)}
        rows.append([place[name] for name in common])
    results = [
        _of_seeds([one.results[number] for one in evaluations], rows) for number in range(len(evaluations[0].results))
    ]
    areas = np.mean([one.areas[row] for one, row in zip(evaluations, rows, strict=True)], axis=0)
    return replace(evaluations[0].only(rows[0]), results=results, areas=areas)


def _of_seeds(results: Sequence[MethodResult], rows: Sequence[Sequence[int]]) -> MethodResult:
    """Return a method's figures over its results under each seed, given the rows of the same photos in each."""
    names = [name for name in results[0].photos if all(name in one.photos for one in results)]
    photos = {
        name: np.mean([one.photos[name][row] for one, row in zip(results, rows, strict=True)], axis=0) for name in names
    }
    kind = {name: float(np.nanmean(photos[name])) for name in results[0].kind if not np.isnan(photos[name]).all()}
    layers = {name: float(np.mean([one.perceptual[name] for one in results])) for name in results[0].perceptual}
    precisions = [one.precision for one in results if one.precision is not None]
    return MethodResult(
        method=results[0].method,
        summary=summarise(**{name: photos[name] for name in PHOTO_METRICS}),
        precision=float(np.mean(precisions)) if precisions else None,
        kind=kind,
        perceptual=layers,
        cost=Cost(
            seconds=float(np.mean([one.cost.seconds for one in results])),
            memory=max(one.cost.memory for one in results),
            others=max(one.cost.others for one in results),
        ),
        photos=photos,
    )
