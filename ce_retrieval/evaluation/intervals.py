"""How sure a figure is: bootstrap intervals over the photos, and paired differences between methods.

The photos are what is drawn at random, so they are what is drawn again: with replacement, as many as there are, DRAWS times.
All methods are computed from the same draws, so a difference of two methods is paired: photos that are hard for both cancel.

Notes
-----
The percentile interval of B. Efron and R. Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 13 and 8.3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ce_retrieval.metrics import Floats

DRAWS = 2000
LEVEL = 0.95
AT_ONCE = 1 << 22  # numbers that a step holds


class Interval(NamedTuple):
    """A figure and the bounds between which it lies in LEVEL of the draws; all NaN where it is undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """What a method's figure is above another's, on the same photos.

    Attributes
    ----------
    method, other : str
    interval : Interval
        Of the first less the other.
    """

    method: str
    other: str
    interval: Interval

    @property
    def is_clear(self) -> bool:
        """Whether the interval holds no 0: chance alone hardly makes such a difference."""
        return self.interval.low > 0 or self.interval.high < 0


class Bootstrap:
    """The draws of an evaluation.

    Parameters
    ----------
    photos : int
        How many were measured, 1 or more.
    seed : int
        Decides the draws.
    """

    def __init__(self, photos: int, seed: int) -> None:
        if photos < 1:
            raise ValueError(f"{photos} photos: expected 1 or more")
        self._photos, self._seed = photos, seed

    def interval(self, values: Floats, figure: str = "mean") -> Interval:
        """Return the figure of values float64 (Q,), one a photo; those that are not finite do not count.

        figure : a key of FIGURES.
        """
        return Interval(figure_of(values, figure), *_bounds(self._figures(FIGURES[figure], values)))

    def difference(self, values: Mapping[str, Floats], method: str, other: str, figure: str = "mean") -> Difference:
        """Return how much higher the figure of a method is than another's, given the values of each, float64 (Q,).

        Photos of which one of the two has no finite value do not count.
        """
        first, second = _finite(values[method]), _finite(values[other])
        undefined = np.isnan(first) | np.isnan(second)
        first, second = (np.where(undefined, np.nan, each) for each in (first, second))
        of = FIGURES[figure]
        drawn = self._figures(of, first) - self._figures(of, second)
        value = float(of(first[None])[0] - of(second[None])[0])
        return Difference(method, other, Interval(value, *_bounds(drawn)))

    def _figures(self, of: Callable[[Floats], Floats], values: Floats) -> Floats:
        """Return the figure of each draw float64 (DRAWS,); a generator of its own each time, so the draws are the same."""
        if len(values) != self._photos:
            raise ValueError(f"{len(values)} values of {self._photos} photos")
        rng, finite, parts = np.random.default_rng(self._seed), _finite(values), []
        step = max(1, AT_ONCE // self._photos)
        for start in range(0, DRAWS, step):
            rows = rng.integers(self._photos, size=(min(step, DRAWS - start), self._photos))
            parts.append(of(finite[rows]))
        return np.concatenate(parts)


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.nan)


def _bounds(drawn: Floats) -> tuple[float, float]:
    """Return the interval's ends; draws without a defined value do not count."""
    defined = drawn[~np.isnan(drawn)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _quiet(figure: Callable[..., Floats]) -> Callable[[Floats], Floats]:
    """Return a figure over the last axis that is NaN where no value is defined, without a warning."""

    def of(values: Floats) -> Floats:
        found = np.full(values.shape[:-1], np.nan)
        defined = ~np.isnan(values).all(axis=-1)
        found[defined] = figure(values[defined], axis=-1)
        return found

    return of


# Of values (..., Q): what a table shows of a measure.
FIGURES: dict[str, Callable[[Floats], Floats]] = {
    "mean": _quiet(np.nanmean),
    "median": _quiet(np.nanmedian),
}


def figure_of(values: Floats, figure: str) -> float:
    """Return a figure, a key of FIGURES, of values float64 (Q,); those that are not finite do not count."""
    return float(FIGURES[figure](_finite(values)[None])[0])
