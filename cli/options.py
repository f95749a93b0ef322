"""Options that several commands share, and the types of their values."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ce_retrieval.completion.settings import SearchSettings, ranges

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _default_max_pixels() -> int:
    from ce_retrieval.photos import DEFAULT_MAX_PIXELS  # which loads numpy and Pillow, too slow for --help

    return DEFAULT_MAX_PIXELS


_SEARCH = ranges(SearchSettings)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class Memory(click.ParamType):
    """An amount of memory such as 4GB, 512MB or 1.5GB, in bytes (powers of 1024)."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number of bytes."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", str(value).strip().upper())
        if match is None:
            self.fail(f"{value!r} is not an amount of memory: write it as 4GB or 512MB", param, ctx)
        return int(float(match[1]) * _UNITS[match[2]])


class Focus(click.ParamType):
    """A positive number of pixels, `none`, or `auto`."""

    name = "px"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str | None:
        """Return the number, None, or "auto"."""
        if value is None or value in ("auto", "none"):
            return "auto" if value == "auto" else None
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if not 0 < number < float("inf"):
            self.fail(f"{value!r} is not a positive number of pixels, `auto` or `none`", param, ctx)
        return number


def readable_memory(amount: int) -> str:
    """Return an amount of memory as it would be typed."""
    return f"{amount >> 30}GB" if amount % (1 << 30) == 0 else f"{amount >> 20}MB"


def default_k(k: int) -> str:
    """Return how to show the default of an option -k that is None: k, or less where the collection holds less."""
    return f"{k}, or all of a smaller collection"


def option_name(name: str) -> str:
    """Return the option for an argument of the library."""
    return {"k": "-k", "terms": "--term"}.get(name, f"--{name.replace('_', '-')}")


def options_of(command: click.Command) -> dict[str, str]:
    """Return a command's options by the library's arguments, as in max_memory: --max-memory.

    A command's parameters therefore have the names of the arguments.
    """
    return {p.name: max(p.opts, key=len) for p in command.params if p.name and isinstance(p, click.Option)}


def index_option(help_text: str = "The index to search.", *, required: bool = True) -> Decorator:
    """Return the option --index."""
    path = click.Path(path_type=Path)
    return click.option("--index", "index_path", metavar="NAME.ceret", type=path, required=required, help=help_text)


weights_option: Decorator = click.option("--weights", metavar="FILE", type=click.Path(), help=_SEARCH["weights"].help)
json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
focus_option: Decorator = click.option(
    "--focus", type=Focus(), default=SearchSettings.focus, show_default=True, help=_SEARCH["focus"].help
)


max_pixels_option: Decorator = click.option(
    "--max-pixels",
    type=click.IntRange(1),
    default=_default_max_pixels,
    show_default="120 million",
    help="Most pixels of a photo that is read.",
)


def filter_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --where and --exclude-same-source."""
    apart = "exclude_same_source"
    function = click.option(option_name(apart), apart, is_flag=True, help=_SEARCH[apart].help)(function)
    return click.option("--where", metavar="EXPRESSION", help=_SEARCH["where"].help)(function)


def mask_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --mask, --invert-mask and --mask-alpha."""
    options = (
        click.option(
            "--mask",
            type=click.Path(path_type=Path),
            required=True,
            help="The hole: white = missing, the photo's size.",
        ),
        click.option("--invert-mask", "invert", is_flag=True, help="Dark marks the hole, not white."),
        click.option("--mask-alpha", "alpha", is_flag=True, help="Transparent marks the hole."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def work_options(workers: int, max_memory: int) -> Decorator:
    """Add --workers and --max-memory with these defaults."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        function = click.option(
            "--max-memory",
            type=Memory(),
            default=max_memory,
            show_default=readable_memory(max_memory),
            help="Bound on the memory: photos too large to be decoded within it are skipped.",
        )(function)
        return click.option("--workers", type=click.IntRange(1), default=workers, show_default=True, help="Threads.")(
            function
        )

    return add
