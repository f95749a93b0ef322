"""What a user asks for: a photo, its hole, a method and its settings."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from ce_retrieval.app.others import FOLDER
from ce_retrieval.app.uploads import GivenMask, GivenPhoto
from ce_retrieval.completion.methods import METHODS
from ce_retrieval.errors import SettingsError, shown


class Order(NamedTuple):
    """What is to be filled, and how.

    Attributes
    ----------
    photo, mask : as given; mask: None where none is loaded.
    painting : JSON of the strokes, "" for none: then the mask is the hole.
    method : a key of `METHODS`.
    collection : the name of the index; None: without one.
    settings : fields of the method's settings.
    others : folder of other photos of the place (`Others`), for the methods that take them; None: none.
    """

    photo: GivenPhoto
    mask: GivenMask | None
    painting: str
    method: str
    collection: str | None
    settings: Mapping[str, Any]
    others: Path | None = None


def command_of(order: Order, index: str | None) -> str:
    """Return the command that makes the same result from the photo, the mask and a folder of the other photos.

    index : the path of the index, or None.
    """
    words = ["ceret", "complete", order.photo.name, "--mask", f"{order.photo.stem}_mask.png"]
    if index is not None:
        words += ["--index", index]
    if order.others is not None:
        words += ["--others", FOLDER]
    words += ["--method", order.method]
    for name, value in order.settings.items():
        option = {"k": "-k", "terms": "--term"}.get(name, f"--{name.replace('_', '-')}")
        if isinstance(value, Mapping):
            words += [word for term, weight in value.items() for word in (option, f"{term}={weight:g}")]
        elif isinstance(value, bool):
            words += [option]
        else:
            words += [option, "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join([*words, "--out", "filled"])


def differing(method: str, values: Mapping[str, Any], *, has_index: bool, has_others: bool = False) -> dict[str, Any]:
    """Return those values of controls that a method reads and that are not its defaults.

    Raises
    ------
    SettingsError : an unknown method.
    """
    if method not in METHODS:
        raise SettingsError(f"`method` {shown(method)} is unknown: choose one of {', '.join(METHODS)}")
    about = METHODS[method]
    read = set(about.options())
    if about.index == "optional" and not has_index:
        read &= {*about.without_index, *(about.with_others if has_others else ())}
    defaults = {entry.name: entry.default for entry in fields(about.settings)}
    return {
        name: value for name, value in values.items() if name in read and value not in (None, "", {}, defaults[name])
    }
