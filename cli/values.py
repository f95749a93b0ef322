"""The types of options' values. Each refuses what is outside the library's range, by a message that says the range."""

import re
from typing import Any

import click

from ce_retrieval.completion.settings import TERM_WEIGHT, TERM_WEIGHTS
from ce_retrieval.errors import shown
from ce_retrieval.reading import read_regular
from ce_retrieval.settings import FOCUS, Range

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def number_in(allowed: Range, text: Any) -> Any:
    """Return the number of a range that a text stands for, None where it is none."""
    try:
        number = (int if allowed.whole else float)(text)
    except (ValueError, OverflowError):
        return None
    return number if allowed.holds(number) else None


class Ranged(click.ParamType):
    """A number of a range; click's own types let nan pass, and infinity where a range has no end."""

    allowed: Range

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        number = number_in(self.allowed, value)
        if number is None:
            self.fail(f"{shown(value)} is not {self.allowed}", param, ctx)
        return number


class _Whole(Ranged, click.IntRange):
    name = "integer"

    def __init__(self, allowed: Range) -> None:
        super().__init__(int(allowed.low or 0), int(allowed.high or 0))
        self.allowed = allowed


class _Real(Ranged, click.FloatRange):
    name = "number"

    def __init__(self, allowed: Range) -> None:
        super().__init__(allowed.low, allowed.high, min_open=allowed.without_low, max_open=allowed.without_high)
        self.allowed = allowed


def number(allowed: Range) -> click.ParamType:
    """Return the type of a number of a range."""
    return _Whole(allowed) if allowed.whole else _Real(allowed)


class File(click.Path):
    """A path. An empty one would be the working directory: a variable of the shell that is not set."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if value == "":
            self.fail("an empty text is not a path", param, ctx)
        return super().convert(value, param, ctx)


class Listed(click.ParamType):
    """Texts, or numbers of a range, between commas; none of an empty text."""

    name = "list"

    def __init__(self, allowed: Range | None = None) -> None:
        self.allowed = allowed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """Return the entries."""
        if not isinstance(value, str):
            return tuple(value)
        entries = [one.strip() for one in value.split(",") if one.strip()]
        if self.allowed is None:
            return tuple(entries)
        numbers = [number_in(self.allowed, one) for one in entries]
        if None in numbers:
            self.fail(f"{shown(entries[numbers.index(None)])} is not {self.allowed}", param, ctx)
        return tuple(numbers)


class Memory(click.ParamType):
    """An amount of memory such as 4GB, 512MB or 1.5GB, in bytes (powers of 1024)."""

    name = "size"

    def __init__(self, allowed: Range) -> None:
        self.allowed = allowed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number of bytes."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", value.strip().upper())
        amount = float(match[1]) * _UNITS[match[2]] if match else 0.0
        if not (self.allowed.low or 0) <= amount <= (self.allowed.high or 0):
            ends = " to ".join(readable_memory(int(end or 0)) for end in (self.allowed.low, self.allowed.high))
            self.fail(f"{shown(value)} is not an amount of memory from {ends}, as in 4GB or 512MB", param, ctx)
        return int(amount)


class Focus(click.ParamType):
    """A number of pixels, `none`, or `auto`."""

    name = "px"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str | None:
        """Return the number, None, or "auto"."""
        if value is None or value in ("auto", "none"):
            return "auto" if value == "auto" else None
        focus: float | None = number_in(FOCUS, value)
        if focus is None:
            self.fail(f"{shown(value)} is not {FOCUS} px, `auto` or `none`", param, ctx)
        return focus


class TermWeight(click.ParamType):
    """TERM=VALUE, the weight of a ranking term."""

    name = "term=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        """Return the term and its weight."""
        name, _, text = value.partition("=")
        weight: float | None = number_in(TERM_WEIGHT, text)
        if name not in TERM_WEIGHTS or weight is None:
            what = f"TERM=VALUE, TERM one of {', '.join(TERM_WEIGHTS)}, VALUE {TERM_WEIGHT}"
            self.fail(f"{shown(value)} is not {what}", param, ctx)
        return name, weight


class Password(click.ParamType):
    """USER:PASSWORD, or a file that holds this in its first line: what a command line says, others on the machine can read."""

    name = "user:password|file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return the user and the password."""
        if isinstance(value, tuple):
            return value
        text = value
        if ":" not in value:
            try:
                text = read_regular(value).decode().partition("\n")[0].rstrip("\r")
            except (OSError, UnicodeDecodeError):
                self.fail(f"{shown(value)} is neither USER:PASSWORD nor a file that holds this", param, ctx)
        user, _, password = text.partition(":")
        if not user or not password:
            self.fail("expected USER:PASSWORD, or a file that holds this in its first line", param, ctx)
        return user, password


def readable_memory(amount: int) -> str:
    """Return an amount of memory as it would be typed."""
    unit = next((unit for unit in "TGM" if amount % _UNITS[unit] == 0), "")
    return f"{amount // _UNITS[unit]}{unit}B"
