"""Options that several commands share."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from ce_retrieval.completion.settings import DEFAULT_K, SearchSettings
from ce_retrieval.settings import COUNT, MOST, WORKERS, ranges
from cli.values import File, Focus, Memory, Ranged, number, readable_memory

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Option(click.Option):
    """An option whose help has no brackets within brackets, and no end of a range that nobody reaches."""

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Return what the help says of the default and the range; a default that is a text is shown as it is."""
        extra = super().get_help_extra(ctx)
        if isinstance(self.show_default, str):
            extra["default"] = self.show_default
        if isinstance(self.type, Ranged) and self.type.allowed.high == MOST:
            allowed = self.type.allowed
            extra["range"] = f"x{'>' if allowed.without_low else '>='}{allowed.low:g}"
        return extra


option = partial(click.option, cls=Option)

PATH = File(path_type=Path)


def _default_max_pixels() -> int:
    from ce_retrieval.photos import DEFAULT_MAX_PIXELS  # which loads numpy and Pillow, too slow for --help

    return DEFAULT_MAX_PIXELS


_SEARCH = ranges(SearchSettings)


def option_name(name: str) -> str:
    """Return the option for an argument of the library."""
    return {"k": "-k", "terms": "--term"}.get(name, f"--{name.replace('_', '-')}")


def options_of(command: click.Command) -> dict[str, str]:
    """Return a command's options by the library's arguments, as in max_memory: --max-memory.

    A command's parameters therefore have the names of the arguments, with `_path` where the library opens the path itself.
    """
    return {
        p.name.removesuffix("_path"): max(p.opts, key=len)
        for p in command.params
        if p.name and isinstance(p, click.Option)
    }


def index_option(help_text: str = "The index to search.", *, required: bool = True) -> Decorator:
    """Return the option --index."""
    return option("--index", "index_path", metavar="NAME.ceret", type=PATH, required=required, help=help_text)


weights_option: Decorator = option("--weights", metavar="FILE", type=File(), help=_SEARCH["weights"].help)
device_option: Decorator = option(
    "--device",
    metavar="auto|cpu|cuda|cuda:N",
    default="cpu",
    show_default=True,
    help="Where the index is searched; cuda: on all GPUs.",
)
store_option: Decorator = option(
    "--store",
    metavar="http://HOST:PORT|milvus:FOLDER.db",
    show_default="this process searches",
    help="The Milvus that searches, to which `ceret publish` has written the index.",
)
json_option: Decorator = option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
focus_option: Decorator = option(
    "--focus", type=Focus(), default=SearchSettings.focus, show_default=True, help=_SEARCH["focus"].help
)
k_option: Decorator = option(
    "-k", type=number(COUNT), show_default=f"{DEFAULT_K}, or all of a smaller collection", help="Neighbours."
)
max_pixels_option: Decorator = option(
    "--max-pixels",
    type=number(COUNT),
    default=_default_max_pixels,
    show_default="120 million",
    help="Most pixels of a photo that is read.",
)


def engine_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --device and --store: where an index is searched."""
    return device_option(store_option(function))


def open_index(path: Path | None, features: str = "index", **engine: Any) -> Any:
    """Return the index at a path, None without one.

    Parameters
    ----------
    path : of the index, or None.
    features : the value of --features.
    engine : the values of --device and --store, which are about the index's own features alone.
    """
    from ce_retrieval.photo_index import PhotoIndex

    given = [option_name(name) for name, value in engine.items() if value not in (None, "cpu")]
    if given and features != "index":
        raise click.UsageError(
            f"{given[0]} says where the index's own features are searched: leave it out with --features {features}"
        )
    return PhotoIndex.open(path, **engine) if path else None


def searched_index_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --index and --device."""
    return index_option()(device_option(function))


def search_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --index, --device, --store, --features, -k, --focus, --where and --exclude-same-source."""
    features = option(
        "--features",
        type=click.Choice(("index", "kind", "places")),
        default="index",
        show_default=True,
        help="Search by the features that the index was built with; by kind: what sort of place the photos show; or by places: "
        "photos of the same place, from other viewpoints too.",
    )
    return index_option()(engine_options(features(k_option(focus_option(filter_options(function))))))


def filter_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --where and --exclude-same-source."""
    apart = "exclude_same_source"
    function = option(option_name(apart), apart, is_flag=True, help=_SEARCH[apart].help)(function)
    return option("--where", metavar="EXPRESSION", help=_SEARCH["where"].help)(function)


def mask_options(text: str = "The hole: white = missing, the photo's size.", *, required: bool = True) -> Decorator:
    """Return --mask, with its help, and --invert-mask and --mask-alpha."""
    options = (
        option("--mask", type=PATH, required=required, help=text),
        option("--invert-mask", "invert", is_flag=True, help="Dark marks the hole, not white."),
        option("--mask-alpha", "alpha", is_flag=True, help="Transparent marks the hole."),
    )

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for add_option in reversed(options):
            function = add_option(function)
        return function

    return add


def number_option(name: str, settings: Any, text: str, **more: Any) -> Decorator:
    """Return the option of a number of a settings class, with its range and default; more: of `click.option`."""
    kind = number(ranges(settings)[name])
    values = {"default": getattr(settings, name), "show_default": True, **more}
    return option(option_name(name), type=kind, help=text, **values)


def workers_option(default: int | None, text: str, **more: Any) -> Decorator:
    """Return the option --workers; more: of `click.option`."""
    return option("--workers", type=number(WORKERS), default=default, help=text, **{"show_default": True, **more})


def kind_option(default: str | None, text: str) -> Decorator:
    """Return the option --kind."""
    return option("--kind", metavar="kind|onnx:FILE|none", default=default, show_default=True, help=text)


def places_option(switch: str, default: bool | None, text: str) -> Decorator:
    """Return the option --places; switch: its name, with its opposite's where there is one."""
    return option(switch, "places", is_flag=True, default=default, help=text)


def recipe_options(settings: Any) -> Decorator:
    """Add --recipe and --recall of a settings class."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        text = "Least share of the ten nearest photos that a search by codes is to find."
        function = number_option("recall", settings, text)(function)
        return option(
            "--recipe",
            type=click.Choice(ranges(settings)["recipe"].choices or ()),
            default=settings.recipe,
            show_default=True,
            help="How the index is searched. exact: all vectors, in memory; pooled: short codes, in memory, and the best "
            "candidates exactly; lists: the same, but only a part of the codes is compared; auto: pooled from 100,000 photos on, "
            "lists from 3,000,000 on.",
        )(function)

    return add


def search_memory_option(defaults: Any) -> Decorator:
    """Return --max-memory of a search; defaults: a settings object."""
    return option(
        "--max-memory",
        type=Memory(ranges(type(defaults))["max_memory"]),
        default=defaults.max_memory,
        show_default=readable_memory(defaults.max_memory),
        help="Bound on the memory that a search may take for vectors or codes.",
    )


def skip_duplicates_option(switch: str, default: bool | None, text: str) -> Decorator:
    """Return the option --skip-duplicates; switch: its name, with its opposite's where there is one."""
    return option(switch, "skip_duplicates", is_flag=True, default=default, help=text)


def engine_option(default: str) -> Decorator:
    """Return the option --engine."""
    text = "What describes the photos: local, this process; ray, Ray on this machine; ray://HOST:PORT, the cluster it is part of."
    return option("--engine", metavar="local|ray|ray://HOST:PORT", default=default, show_default=True, help=text)


def work_options(defaults: Any) -> Decorator:
    """Add --workers and --max-memory; defaults: an `IndexSettings`."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        function = option(
            "--max-memory",
            type=Memory(ranges(type(defaults))["max_memory"]),
            default=defaults.max_memory,
            show_default=readable_memory(defaults.max_memory),
            help="Bound on the memory: photos too large to be decoded within it are skipped, and a search may take no more.",
        )(function)
        return workers_option(defaults.workers, "Threads.")(function)

    return add
