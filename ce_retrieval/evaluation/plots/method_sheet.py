"""Sheets for publication after Context Encoders (Pathak et al. 2016): Figure 6, methods side by side, and Figure 5, two of them.

Figure 5 of the paper shows photo, context encoder and Content-Aware Fill, which is PatchMatch (Barnes et al. 2009).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ce_retrieval.evaluation.plots.drawing import FINE_DPI, on_figure
from ce_retrieval.evaluation.run import Evaluation

FIRST, LAST = "photo", "truth"  # titles of columns
PAGE = 7.0  # inches: width of a page's text
SMALLEST, LARGEST = 0.62, 1.6  # inches, side of a cell
GAP = 0.03  # inches between cells
FONT, LINE = 7, 0.115  # points; inches, height of a line
LETTER = 0.058  # inches, a wide guess of a letter's width
PHOTOS, LARGE_PHOTOS = 8, 5  # rows of Figure 6 and of Figure 5
RIVAL = "patchmatch"


def chosen_methods(evaluation: Evaluation) -> list[str]:
    """Return the two methods of Figure 5: the first one and PatchMatch; none where either is missing."""
    names = [result.method.name for result in evaluation.results]
    rivals = [result.method.name for result in evaluation.results if result.method.base == RIVAL]
    others = [name for name in names if name not in rivals]
    return [others[0], rivals[0]] if rivals and others else []


def method_sheet(
    evaluation: Evaluation,
    methods: Sequence[str] | None = None,
    rows: Sequence[int] | None = None,
    cell: float | None = None,
) -> Any:
    """Return a sheet as matplotlib's figure: a photo a row; columns: with its hole, filled by each method, the truth.

    Parameters
    ----------
    methods : names of methods of the evaluation, in the order of their columns; None: all.
    rows : of the evaluation's photos; None: at most PHOTOS of those that the seed drew.
    cell : side of a cell in inches; None: as large as a page of text allows.

    Raises
    ------
    InstallationError
        matplotlib is not installed.
    """
    every = [result.method.name for result in evaluation.results]
    names = every if methods is None else list(methods)
    shown = spread(evaluation.drawn, PHOTOS) if rows is None else rows
    columns = len(names) + 2
    side = cell or min(LARGEST, max(SMALLEST, PAGE / columns - GAP))
    pixels = round(side * FINE_DPI)
    gap = round(GAP * FINE_DPI)
    titles = [wrapped(name, int(side / LETTER)) for name in (FIRST, *names, LAST)]
    head = round((max(map(len, titles)) * LINE + 0.05) * FINE_DPI)
    width, height = columns * (pixels + gap) + gap, head + len(shown) * (pixels + gap)

    def draw(figure: Any) -> None:
        figure.set_layout_engine("none")
        for column, lines in enumerate(titles):
            x = (gap + column * (pixels + gap) + pixels / 2) / width
            at = 1 - (head - 0.05 * FINE_DPI) / height
            figure.text(x, at, "\n".join(lines), fontsize=FONT, ha="center", va="baseline", linespacing=1.1)
        for number, row in enumerate(shown):
            first, *fills, truth = evaluation.pictures(row)
            y = 1 - (head + (number + 1) * pixels + number * gap) / height
            for column, picture in enumerate([first, *(fills[every.index(name)] for name in names), truth]):
                place = ((gap + column * (pixels + gap)) / width, y, pixels / width, pixels / height)
                axes = figure.add_axes(place)
                axes.set_axis_off()
                axes.imshow(picture, interpolation="lanczos", aspect="auto")

    return on_figure(width / FINE_DPI, height / FINE_DPI, draw)


def spread(rows: Sequence[int], count: int) -> list[int]:
    """Return at most so many of the rows, from all parts of their order: photos of one folder stand together."""
    picked = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)
    return [rows[place] for place in picked]


def wrapped(name: str, letters: int) -> list[str]:
    """Return a method's name in lines of at most so many letters, cut before "+" or "." or behind ":" where possible."""
    lines = [""]
    for part in re.findall(r"[+.]?[^+.:]*:?", name):
        for piece in (part[start : start + letters] for start in range(0, len(part), letters)):
            if len(lines[-1]) + len(piece) > letters:
                lines.append("")
            lines[-1] += piece
    return [line for line in lines if line] or [""]
