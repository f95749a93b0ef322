"""Settings that check themselves: the range of every value, and the one check of it. Imports no heavy library."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field, fields, replace
from numbers import Integral, Real
from types import NoneType
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

from ce_retrieval.errors import SettingsError, shown

MOST = 10**9  # largest value of numbers without a natural bound: float32 can still multiply two of them


@dataclass(frozen=True)
class Range:
    """The values that a setting may have: one of `choices`, or a number from `low` to `high`; neither: any value.

    Attributes
    ----------
    choices : tuple of str or None
    low, high : number or None
        The ends of the interval.
    without_low, without_high : bool
        The end itself is excluded.
    whole : bool
        Whole numbers alone. A field of a `Checked` class takes this from its annotation.
    help : str
        One sentence for those who set it on the command line; "" for settings of the library alone.
    """

    choices: tuple[str, ...] | None = None
    low: float | None = None
    high: float | None = None
    without_low: bool = False
    without_high: bool = False
    whole: bool = False
    help: str = ""

    def __str__(self) -> str:
        """Return what is expected, as in "a whole number from 1 to 4096"."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        kind = "a whole number" if self.whole else "a number"
        if not (self.without_low or self.without_high):
            return f"{kind} from {self.low} to {self.high}"
        return (
            f"{kind} {'above' if self.without_low else 'of at least'} {self.low} and "
            f"{'below' if self.without_high else 'at most'} {self.high}"
        )

    def holds(self, value: Any) -> bool:
        """Return whether a value is in the range; nan and truth values are in no range of numbers."""
        if self.choices:
            return value in self.choices
        if self.low is None or self.high is None:
            return True
        if isinstance(value, bool) or not isinstance(value, Integral if self.whole else Real):
            return False
        number: Any = value
        above = number > self.low if self.without_low else number >= self.low
        return bool(above and (number < self.high if self.without_high else number <= self.high))

    def check(self, name: str, value: Any) -> None:
        """Raise SettingsError for a value outside the range; name: of the argument, as messages show it."""
        if not self.holds(value):
            raise SettingsError(f"{name} is {shown(value)}: expected {self}")


# Ranges that several rooms share. Seeds of single steps are derived from a run's seed, and torch takes 64 bits.
SEED = Range(low=0, high=2**32 - 1, whole=True)
COUNT = Range(low=1, high=MOST, whole=True)
WORKERS = Range(low=1, high=1024, whole=True)
FOCUS = Range(low=0.1, high=MOST)  # px


def check_focus(focus: object) -> None:
    """Raise SettingsError unless this is a number of `FOCUS`, None or "auto"."""
    if not (focus in (None, "auto") or FOCUS.holds(focus)):
        raise SettingsError(f"`focus` is {shown(focus)}: expected {FOCUS} px, None or 'auto'")


def check_list(name: str, values: object) -> None:
    """Raise SettingsError where one text or path is given in the place of a list: it would be read letter by letter."""
    if isinstance(values, str | bytes | os.PathLike):
        raise SettingsError(f"{name} is {shown(values)}: expected a list, also of one")


def setting(default: Any, allowed: Range | None = None, **values: Any) -> Any:
    """Return a dataclass field with a default and the range `allowed`, changed in these values of `Range`."""
    return field(default=default, metadata={"range": replace(allowed or Range(), **values)})


def ranges(settings: Any) -> dict[str, Range]:
    """Return the range of every field of a settings class that has one, by name."""
    return {name: allowed for name, (allowed, _) in _fields(settings).items()}


@functools.cache
def _fields(settings: Any) -> dict[str, tuple[Range, Any]]:
    """Return the range and the annotation of every field that has a range."""
    kinds = get_type_hints(settings)
    found = {}
    for entry in fields(settings):
        if "range" in entry.metadata:
            kind = kinds[entry.name]
            whole = {int, float} & {kind, *get_args(kind)} == {int}
            found[entry.name] = replace(entry.metadata["range"], whole=whole), kind
    return found


@dataclass(frozen=True)
class Checked:
    """Settings that refuse values out of their range with a SettingsError when they are made."""

    called: ClassVar[str] = "`{}`"  # how messages name a field

    def __post_init__(self) -> None:
        known: Any = type(self)
        for name, (allowed, kind) in _fields(known).items():
            value, called = getattr(self, name), self.called.format(name)
            if isinstance(value, os.PathLike):  # results write the settings as JSON
                value = os.fspath(value)
                object.__setattr__(self, name, value)
            if value is None and NoneType in get_args(kind):
                continue
            if kind is bool and not isinstance(value, bool):
                raise SettingsError(f"{called} is {shown(value)}: expected True or False")
            kinds = get_args(kind) or (kind,)
            if str in kinds and float not in kinds and not (allowed.choices or isinstance(value, str)):
                raise SettingsError(f"{called} is {shown(value)}: expected a text")
            if get_origin(kind) is not tuple:
                allowed.check(called, value)
            elif not (
                isinstance(value, tuple) and len(value) == len(get_args(kind)) and all(map(allowed.holds, value))
            ):
                raise SettingsError(
                    f"{called} is {shown(value)}: expected {len(get_args(kind))} values, each {allowed}"
                )
