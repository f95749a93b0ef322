"""Pieces of HTML and SVG. All text goes through `escaped`: names of photos may hold anything."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from ce_retrieval.errors import one_line

_JOINTS = re.compile(r"(?<=[/:_-])(?=.)|(?<=.)(?=[+.])")
_FOLDERS = re.compile(r"(?<![\w.…>])/(?:[^\s/,;:]+/)+(?=[^\s/])")


def escaped(text: object) -> str:
    """Return text as HTML that shows it and does nothing else, in elements and in quoted attributes."""
    return html.escape(one_line(str(text)), quote=True)


def breaking(text: str) -> str:
    """Return a name as HTML that breaks at its joints where it is too long for its place."""
    return "<wbr>".join(map(escaped, _JOINTS.split(one_line(text))))


def element(name: str, *content: str, **attributes: object) -> str:
    """Return an element; content is HTML already, the values of attributes are not.

    attributes : `_` stands for `-`, and one at the end is dropped, as in `class_`. True: without a value; None or False: none.
    """
    parts = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.removesuffix("_").replace("_", "-")
        parts.append(key if value is True else f'{key}="{escaped(value)}"')
    start = f"<{' '.join(parts)}>"
    return start if name in ("input", "img") else f"{start}{''.join(content)}</{name}>"


def data_block(name: str, value: Any) -> str:
    """Return a value of JSON types for the page's script to read; nothing in it ends the block."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return f'<script type="application/json" id="{name}">{text}</script>'


def names_only(text: str, paths: Iterable[str] = ()) -> str:
    """Return text in which paths are cut to their last name: those that are given, and whatever else looks absolute."""
    for path in sorted(paths, key=len, reverse=True):
        text = text.replace(path, PurePath(path).name)
    return _FOLDERS.sub("", text)
