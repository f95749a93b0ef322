"""The figures of a run, and the files that hold them: results.json and table.md."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import EvaluationError, counted, one_line
from ce_retrieval.own_files import RESULTS, TRANSFER, check_free, check_results, sealed_json, sealed_text, sealed_values
from ce_retrieval.storage import check_folder, replace_file
from ce_retrieval.transfer.sets.class_labels import Task
from ce_retrieval.transfer.voc_measures import Curve, check_numbers, classification_curve

TABLE = "table.md"
LEVEL = 0.95
_MARKUP = re.compile(r"[\\|<*`]")  # of Markdown, in a class's name
NAMES = {
    "accuracy": "accuracy %",
    "map_11": "mAP % (11 points, VOC 2007)",
    "map_area": "mAP % (area, VOC 2010)",
    "mean_iu": "mean IU %",
    "pixel_accuracy": "pixel accuracy %",
}


@dataclass(frozen=True)
class SeedResult:
    """What one seed reached.

    Attributes
    ----------
    seed : int
    photos : number of photos that it learned from.
    figures : by a key of NAMES, in percent.
    classes : by class, figures in percent; None where the test photos do not show it.
    """

    seed: int
    photos: int
    figures: dict[str, float]
    classes: dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class Interval:
    """The mean over seeds, and the ends of Student's interval at LEVEL; no ends with one seed."""

    mean: float
    low: float | None
    high: float | None


def measured(task: Task, scores: NDArray[np.floating[Any]], *, seed: int, photos: int) -> SeedResult:
    """Return the figures of scores (N, classes) of the task's test photos.

    EvaluationError where a score is not a number.
    """
    targets = task.test.targets
    if targets.ndim == 2:
        curves = {name: classification_curve(scores[:, n], targets[:, n]) for n, name in enumerate(task.classes)}
        return average_precisions(curves, seed=seed, photos=photos)
    check_numbers(scores, "a photo")
    right = scores.argmax(axis=1) == targets
    shown = [targets == number for number in range(len(task.classes))]
    each = {
        name: {"accuracy": percent(float(right[rows].mean())) if rows.any() else None}
        for name, rows in zip(task.classes, shown, strict=True)
    }
    return SeedResult(seed, photos, {"accuracy": 100 * float(right.mean())}, each)


def average_precisions(curves: Mapping[str, Curve], *, seed: int, photos: int) -> SeedResult:
    """Return the average precision of each class's curve, and their means; EvaluationError where no class has one."""
    classes = {
        name: {"ap_11": percent(one.eleven_points()), "ap_area": percent(one.area())} for name, one in curves.items()
    }
    means = {f"m{key}": _mean([one[key] for one in classes.values()]) for key in ("ap_11", "ap_area")}
    return SeedResult(seed, photos, means, classes)


def percent(share: float) -> float | None:
    """Return a share in percent; None for NaN, which JSON has not."""
    return None if math.isnan(share) else 100 * share


def _mean(values: Sequence[float | None]) -> float:
    defined = [value for value in values if value is not None]
    if not defined:
        raise EvaluationError("the test photos show no class: check the image sets of the test photos")
    return float(np.mean(defined))


def over_seeds(values: Sequence[float]) -> Interval:
    """Return the mean of a figure over seeds and its interval, which takes the seeds for independent and normal."""
    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return Interval(mean, None, None)
    from scipy.special import stdtrit  # quicker to import than scipy.stats

    reach = float(stdtrit(count - 1, (1 + LEVEL) / 2)) * float(np.std(values, ddof=1)) / math.sqrt(count)
    return Interval(mean, mean - reach, mean + reach)


def same_run(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether what two runs say of themselves makes them one: seeds may be added, and files may be moved."""
    return _identity(one) == _identity(other)


def _identity(about: dict[str, Any]) -> dict[str, Any]:
    """Return what makes a run. Hashes say which photos and weights it read, wherever they were."""
    settings = {name: value for name, value in about.get("settings", {}).items() if name != "seeds"}
    settings["init"] = str(settings.get("init")).partition(":")[0]
    return {**{name: value for name, value in about.items() if name not in ("data", "val")}, "settings": settings}


class ResultFiles:
    """results.json and table.md in a folder.

    Parameters
    ----------
    out : the folder.
    about : JSON values that say what was run; results of another run are not continued.
    made_with : by what: the device, and versions of libraries.
    """

    def __init__(self, out: Path, about: dict[str, Any], made_with: dict[str, str] | None = None) -> None:
        self.out, self.about, self.made_with = out, json.loads(json.dumps(about)), made_with or {}

    def check(self) -> None:
        """Raise StorageError where the folder cannot be written, or a file stands there that ceret did not write."""
        check_folder(self.out)
        check_results(self.out, TRANSFER)
        check_free(self.out / TABLE)

    def finished(self) -> tuple[SeedResult, ...]:
        """Return the seeds of results.json if it is of this very run; none where there is no such file."""
        found = self.stored()
        return (
            tuple(SeedResult(**one) for one in found["seeds"]) if same_run(found.get("about", {}), self.about) else ()
        )

    @property
    def complete(self) -> bool | None:
        """Whether results.json is of a run, this one or another, that has trained all its seeds; None without the file."""
        return self.stored().get("complete")

    def stored(self) -> dict[str, Any]:
        """Return results.json; nothing where there is none, or a part of one."""
        return sealed_values(self.out / RESULTS) or {}

    def begin(self) -> None:
        """Write results.json without a seed where there is none: other commands then leave the folder alone."""
        if not self.stored():
            self.write([], 1)

    def write(self, seeds: Sequence[SeedResult], wanted: int) -> None:
        """Write results.json; table.md too when all `wanted` seeds are there."""
        values = {
            "about": self.about,
            "complete": len(seeds) == wanted,
            "made_with": self.made_with,
            "figures": {name: vars(one) for name, one in figures(seeds).items()} if seeds else {},
            "seeds": [vars(one) for one in seeds],
        }
        text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False)
        replace_file(self.out / RESULTS, sealed_json(f"{text}\n"))
        if len(seeds) == wanted:
            replace_file(self.out / TABLE, sealed_text(f"{table(self.about, seeds)}\n"))


def figures(seeds: Sequence[SeedResult]) -> dict[str, Interval]:
    """Return each figure over the seeds."""
    return {name: over_seeds([one.figures[name] for one in seeds]) for name in seeds[0].figures}


def summary(task: str, settings: dict[str, Any], seeds: Sequence[SeedResult]) -> list[str]:
    """Return the lines of the table of a run's figures over its seeds."""
    found = figures(seeds)
    start = settings["init"] + (" + rescale" if settings["rescale"] else "")
    match task:
        case "classify":
            way = "fine-tuning" if settings["fine_tuning"] else f"linear probe, {settings['layer']}"
            columns = {"training": way, "labels a class": str(settings["labels"] or "all")}
        case "detect":
            columns = {"network": "Fast R-CNN"}
        case _:
            columns = {"network": f"FCN-{settings['fcn']}"}
    head = ["first weights", *columns, *(NAMES[name] for name in found)]
    cells = [start, *columns.values(), *(_cell(one) for one in found.values())]
    return [_row(head), "|---" * (1 + len(columns)) + "|" + "---:|" * len(found), _row(cells)]


def _measured_how(about: dict[str, Any]) -> str:
    """Return how each test photo was measured."""
    settings = about["settings"]
    match about["task"]:
        case "classify":
            return f"each by the mean of {counted(settings['crops'], 'random crop')} of {settings['size']} px"
        case "detect":
            return f"each resized to a shorter side of {settings['shorter']} px (a longer one of {settings['longer']} at most)"
        case _:
            return "each at its own size"


def _trained_how(about: dict[str, Any]) -> str:
    """Return a sentence on how all layers were trained, "" for a probe."""
    way = about["settings"]["fine_tuning"]
    if way is None:
        return ""
    steps, photos = counted(way["steps"], "step"), counted(way["batch"], "photo")
    return f" Trained for {steps} of {photos}, at a rate of {way['rate']:g} at first."


def table(about: dict[str, Any], seeds: Sequence[SeedResult]) -> str:
    """Return the figures in Markdown: over the seeds, and of each class."""
    lines = [*summary(about["task"], about["settings"], seeds), ""]
    photos = sorted({one.photos for one in seeds})
    many = " to ".join(str(number) for number in dict.fromkeys((photos[0], photos[-1])))
    lines += [
        f"{about['data']}: {counted(len(seeds), 'seed')}, each trained on {many} photos; {about['test_photos']} photos measured, "
        f"{_measured_how(about)}.{_trained_how(about)}"
        + (f" In brackets: {100 * LEVEL:g} % intervals of the mean over seeds (Student)." if len(seeds) > 1 else ""),
        "",
    ]
    names = list(next(iter(seeds[0].classes.values())))
    lines += [_row(["class", *(f"{name.replace('_', ', ')} %" for name in names)]), "|---|" + "---:|" * len(names)]
    for kind in seeds[0].classes:
        values = [[one.classes[kind][name] for one in seeds] for name in names]
        shown = [[value for value in each if value is not None] for each in values]
        lines.append(_row([kind, *(f"{np.mean(each):.1f}" if each else "-" for each in shown)]))
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_MARKUP.sub(r"\\\g<0>", one_line(cell)) for cell in cells) + " |"


def _cell(one: Interval) -> str:
    return f"{one.mean:.1f}" + ("" if one.low is None else f" ({one.low:.1f} to {one.high:.1f})")
