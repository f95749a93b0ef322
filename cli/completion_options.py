"""The options of `ceret complete` that choose what fills a hole, generated from the registry of methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields, replace
from typing import Any, NamedTuple

import click

from ce_retrieval.completion.methods import DEFAULT_METHOD, METHODS, settings_of
from ce_retrieval.settings import Range
from cli.options import PATH, Decorator, index_option, option, option_name
from cli.values import File, Focus, TermWeight, number


class _Offered(NamedTuple):
    """A setting that methods offer: its range, and its default by method."""

    allowed: Range
    defaults: dict[str, Any]


def _offered() -> dict[str, _Offered]:
    """Return the settings of all methods, by name, in the order of the methods."""
    found: dict[str, _Offered] = {}
    for method, about in METHODS.items():
        entries = {entry.name: entry for entry in fields(about.settings)}
        for name, allowed in about.options().items():
            one = found.setdefault(name, _Offered(allowed, {}))
            default = entries[name].default
            one.defaults[method] = None if default is MISSING else default
            if allowed.choices and one.allowed.choices:
                both = dict.fromkeys((*one.allowed.choices, *allowed.choices))
                found[name] = one._replace(allowed=replace(one.allowed, choices=tuple(both)))
    return found


def _option(name: str, offered: _Offered) -> Callable[..., Any]:
    allowed, default = offered.allowed, next(iter(offered.defaults.values()))
    differing = "".join(f"; {method}: {value}" for method, value in offered.defaults.items() if value != default)
    more: dict[str, Any] = {"help": allowed.help, "default": default}
    if isinstance(default, bool):
        return option(option_name(name), name, is_flag=True, **more)
    if default is not None:
        more["show_default"] = f"{default}{differing}" if differing else True
    if name == "terms":
        more.update(type=TermWeight(), multiple=True)
    elif name == "focus":
        more.update(type=Focus())
    elif name == "weights":
        more.update(type=File(), metavar="FILE")
    elif name == "where":
        more.update(metavar="EXPRESSION")
    elif allowed.choices:
        more.update(type=click.Choice(allowed.choices))
    elif allowed.low is not None:
        more.update(type=number(allowed))
    return option(option_name(name), name, **more)


def completer_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --method, --index, and every setting that a method offers."""
    methods = click.Choice(list(METHODS))
    options: list[Decorator] = [
        option("--method", type=methods, default=DEFAULT_METHOD, show_default=True, help="Where the fill comes from."),
        index_option("The index to fill from; not for --method network.", required=False),
        option(
            "--others",
            metavar="FOLDER",
            type=PATH,
            help="Other photos of the same place: what the hole hides is in them (--method auto and places).",
        ),
        *(_option(name, offered) for name, offered in _offered().items()),
    ]
    for add_option in reversed(options):
        function = add_option(function)
    return function


def chosen_settings(method: str, has_index: bool, has_others: bool, values: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that were given on the command line.

    Parameters
    ----------
    method : a key of `METHODS`.
    has_index, has_others : whether --index and --others were given.
    values : of the options that `completer_options` adds for settings, given or not.

    Raises
    ------
    SettingsError, click.UsageError : method, index and settings do not go together.
    """
    source = click.get_current_context().get_parameter_source
    unset = (click.core.ParameterSource.DEFAULT, click.core.ParameterSource.DEFAULT_MAP, None)
    given = {name: value for name, value in values.items() if source(name) not in unset}
    about = METHODS[method]
    if unread := [name for name in given if name not in about.options()]:
        raise click.UsageError(
            f"--method {method} does not read all options: leave out {', '.join(map(option_name, unread))}"
            + _readers(given)
        )
    if about.index == "required" and not has_index:
        raise click.UsageError(
            f"--method {method} needs --index NAME.ceret; --method {DEFAULT_METHOD} works without one"
        )
    if about.index == "none" and has_index:
        raise click.UsageError(f"--method {method} uses no index: leave out --index")
    engine = [name for name in ("device", "store") if source(name) not in unset]
    if engine and not has_index:
        raise click.UsageError(
            f"--{engine[0]} says where an index is searched: give --index NAME.ceret too, or leave it out"
        )
    if has_others and not about.others:
        fit = " or ".join(name for name, other in METHODS.items() if other.others)
        raise click.UsageError(f"--method {method} does not read --others: leave it out, or use --method {fit}")
    if about.others and about.needs_photos and not (has_index or has_others):
        raise click.UsageError(f"--method {method} needs other photos: give --others FOLDER or --index NAME.ceret")
    if "terms" in given:
        given["terms"] = dict(given["terms"])
    settings_of(method, given, has_index=has_index, has_others=has_others)
    return given


def _readers(given: dict[str, Any]) -> str:
    """Return the end of a message that names a method that reads all of these settings, "" where there is none."""
    readers = [name for name, about in METHODS.items() if set(given) <= set(about.options())]
    return f", or use --method {readers[0]}" if readers else ""
