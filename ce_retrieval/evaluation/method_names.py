"""The names of what is measured: FEATURES[@PX][+WORD...], a method of completion, a classical fill, or a limit."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Container, Sequence
from types import NoneType
from typing import Any, get_args, get_type_hints

from ce_retrieval.completion.methods import METHODS
from ce_retrieval.completion.settings import TERM_WEIGHTS
from ce_retrieval.descriptors import DESCRIPTORS, Descriptor, make_descriptor, protocol_spec
from ce_retrieval.errors import DescriptorError, SettingsError, shown
from ce_retrieval.evaluation.classical import CLASSICAL
from ce_retrieval.evaluation.methods import PIXEL_SEARCHES, Method
from ce_retrieval.settings import FOCUS, ranges

ALONE, INDEXED = "alone", "index"
WITHOUT_INDEX = ("patchmatch",)  # methods that are measured without the index unless `+index` says so
NETWORK, OVERLAY = "network", "retrieval"  # OVERLAY: what `+blend` and `+mean` belong to
# Words for settings.
WORDS = {
    "rim": ("rerank", "rim"),
    "guided": ("rerank", "guided"),
    "blend": ("fill", "blend"),
    "mean": ("fill", "mean"),
}
YES = {"yes": True, "true": True, "no": False, "false": False}
UNSET = ("exclude_same_source",)  # needs the photos' files; the leak guard knows near-duplicates

Described = Callable[[str], Descriptor]


def parse_methods(names: Sequence[str], size: int, hole: str, features: str) -> list[Method]:
    """Return the methods with these names, in order.

    Parameters
    ----------
    names : each is one of
        - FEATURES[@PX][+rim|+guided][+blend|+mean|+METHOD][+NAME=VALUE...]: a descriptor (`hog`, `thumbnail:16`, ...), its
          focus (`@none`: no focus; default: the descriptor's best), a re-rank (default: none), and a fill (default: paste
          the best scene). `+mean` averages the best blends; METHOD is one of `completion.methods` that fills from an index.
        - METHOD[+rim|+guided][+blend|+mean][+NAME=VALUE...]: a method of `completion.methods` with its own defaults, and
          the index of the run where it uses one. `+alone`: without it, `+index`: with it, where it may do without;
          `patchmatch` is measured alone unless `+index` is added.
        - `network[:CHECKPOINT][+blend][+NAME=VALUE...]`: a network's own fill.
        - `telea`, `navier-stokes`, `biharmonic`, `smooth`: classical fills.
        - `oracle`, `ring` [+blend]: searches by pixels.
        NAME=VALUE is a field of METHOD's settings class, as in `start=network`; `terms.TERM=VALUE` weighs a ranking term.
        A truth value is yes or no, an absent one none.
    size : px, side of the photos.
    hole : hole protocol of the index.
    features : of the index.

    Raises
    ------
    SettingsError : no name, a name that cannot be read, or one that stands twice.
    """
    described = functools.cache(lambda spec: make_descriptor(protocol_spec(spec, hole), size))
    methods = [_parse(name.strip(), features, described) for name in names]
    if not methods:
        raise SettingsError("`methods` names none: give at least one, for example thumbnail+rim or smooth")
    seen = [method.name for method in methods]
    for name in seen:
        if seen.count(name) > 1:
            raise SettingsError(f"`methods` names {shown(name)} twice: name it once")
    return methods


def _parse(name: str, features: str, described: Described) -> Method:
    head, *parts = name.split("+")
    base, at, focus = head.partition("@")
    if (base in METHODS and not at) or base.startswith(f"{NETWORK}:"):
        return _parse_completion(name, features, described)
    if base in CLASSICAL:
        if parts or at:
            raise SettingsError(f"`methods` {shown(name)}: a classical fill takes no additions: name it {base} alone")
        return Method(name, "classical", base)
    if base in PIXEL_SEARCHES:
        if at or parts not in ([], ["blend"]):
            raise SettingsError(f"`methods` {shown(name)}: {base} takes +blend alone: name it {base} or {base}+blend")
        return Method(name, "pixels", base, {"fill": parts[0] if parts else "paste"})
    if base.partition(":")[0] not in DESCRIPTORS:
        known = ", ".join([*DESCRIPTORS, *METHODS, *CLASSICAL, *PIXEL_SEARCHES])
        raise SettingsError(f"`methods` {shown(name)} is unknown: it begins with one of {known}")
    return _parse_features(name, base, focus if at else None, parts, described)


def _parse_features(name: str, base: str, focus: str | None, parts: Sequence[str], described: Described) -> Method:
    """Parse FEATURES[@PX][+rim|+guided][+blend|+mean|+METHOD][+NAME=VALUE...]; a part of it in any order."""
    methods = [key for key, about in METHODS.items() if about.index != "none" and key != OVERLAY]
    grammar = f"FEATURES[@PX][+rim|+guided][+blend|+mean|+{'|+'.join(methods)}][+NAME=VALUE...]"
    taken: dict[str, str] = {}  # re-rank and fill
    for part in [part for part in parts if "=" not in part]:
        setting = "fill" if part in methods else WORDS.get(part, ("", ""))[0]
        if not setting or setting in taken:
            raise _misfit(name, part, grammar)
        taken[setting] = part
    key = taken["fill"] if taken.get("fill") in methods else OVERLAY
    settings: dict[str, Any] = {} if focus is None else {"focus": _focus(name, focus)}
    if "rerank" in taken or "rerank" in ranges(METHODS[key].settings):
        settings["rerank"] = taken.get("rerank", "none")
    if key == OVERLAY:
        settings["fill"] = taken.get("fill", "paste")
    if twice := [part for part in parts if part.partition("=")[0].strip() in ("focus", "rerank", "fill")]:
        raise _misfit(name, twice[0], grammar)
    texts = [_add(name, key, part, settings) for part in parts if "=" in part]
    descriptor = _made(name, base, described)
    # One spelling each, so that an index is shared and nothing is measured twice.
    ordered = [taken[setting] for setting in ("rerank", "fill") if setting in taken]
    suffix = "" if focus is None else "@none" if settings["focus"] is None else f"@{settings['focus']:g}"
    return Method(
        descriptor.spec + "".join([suffix, *(f"+{part}" for part in (*ordered, *texts))]),
        "completion",
        key,
        settings,
        descriptor,
    )


def _parse_completion(name: str, features: str, described: Described) -> Method:
    """Parse METHOD[:CHECKPOINT][+PART...]; the path of a checkpoint may hold any character."""
    key = name.split("+")[0].partition(":")[0]
    known = ranges(METHODS[key].settings)
    base, parts = name, list[str]()
    while "+" in base and _is_part(base.rpartition("+")[2], known):
        base, _, part = base.rpartition("+")
        parts.insert(0, part)
    head, colon, checkpoint = base.partition(":")
    if head != key or (colon and not checkpoint):
        expected = f"{key}{'[:CHECKPOINT]' if key == NETWORK else ''}[+NAME=VALUE...], NAME one of {', '.join(known)}"
        raise _misfit(name, base.rpartition("+")[2] if head != key else base, expected)
    settings: dict[str, Any] = {"weights": checkpoint} if checkpoint else {}
    indexed = _indexed(name, key, [part for part in parts if part in (ALONE, INDEXED)])
    texts = [_add(name, key, part, settings) for part in parts if part not in (ALONE, INDEXED)]
    if METHODS[key].index == "optional" and indexed == (key in WITHOUT_INDEX):
        texts.insert(0, INDEXED if indexed else ALONE)
    descriptor = _made(name, features, described) if indexed else None
    return Method("+".join([base, *texts]), "completion", key, settings, descriptor)


def _is_part(text: str, known: Container[str]) -> bool:
    """Return whether this is a word, or sets a known setting."""
    setting, equals, _ = text.partition("=")
    return text in (*WORDS, ALONE, INDEXED) or bool(equals and setting.strip().partition(".")[0] in known)


def _indexed(name: str, key: str, parts: Sequence[str]) -> bool:
    """Return whether a method of completion fills from the index of the run."""
    need = METHODS[key].index
    if parts and (need != "optional" or len(parts) > 1):
        raise _misfit(
            name, parts[-1], f"one of +{ALONE} and +{INDEXED}, and only of methods that may do without an index"
        )
    if need != "optional":
        return need == "required"
    return parts == [INDEXED] if parts else key not in WITHOUT_INDEX


def _add(name: str, key: str, part: str, settings: dict[str, Any]) -> str:
    """Add what a word or NAME=VALUE sets; return its one spelling."""
    known = ranges(METHODS[key].settings)
    setting, value = WORDS.get(part, (part.partition("=")[0].strip(), None))
    head, _, term = setting.partition(".")
    if head not in known or setting in UNSET or (value is None and "=" not in part) or (term and head != "terms"):
        names = [entry for entry in known if entry not in UNSET]
        raise _misfit(name, part, f"NAME=VALUE, NAME one of {', '.join(names)}")
    text = part.partition("=")[2].strip()
    if head == "terms":
        if term not in TERM_WEIGHTS:
            raise _misfit(name, part, f"terms.TERM=VALUE, TERM one of {', '.join(TERM_WEIGHTS)}")
        weights = settings.setdefault("terms", {})
        if term in weights:
            raise SettingsError(f"`methods` {shown(name)} sets {setting} twice: set it once")
        weights[term] = _number(name, setting, text)
        return f"{setting}={text}"
    if head in settings:
        raise SettingsError(f"`methods` {shown(name)} sets {head} twice: set it once")
    settings[head] = value if value is not None else _value(name, key, head, text)
    if settings[head] is not None:
        known[head].check(f"`methods` {shown(name)}: {head}", settings[head])
    return part if value is not None else f"{setting}={text}"


def _value(name: str, key: str, setting: str, text: str) -> Any:
    """Return a text as a value of the type that the setting has."""
    kind = get_type_hints(METHODS[key].settings)[setting]
    kinds = get_args(kind) or (kind,)
    if NoneType in kinds and text == "none":
        return None
    if kind is bool:
        if text not in YES:
            raise SettingsError(f"`methods` {shown(name)}: {setting} is {shown(text)}: expected yes or no")
        return YES[text]
    if str in kinds and (float not in kinds or text == "auto"):
        return text
    return _number(name, setting, text, whole=float not in kinds)


def _number(name: str, setting: str, text: str, *, whole: bool = False) -> float:
    try:
        return int(text) if whole else float(text)
    except ValueError as error:
        what = "a whole number" if whole else "a number"
        raise SettingsError(f"`methods` {shown(name)}: {setting} is {shown(text)}: expected {what}") from error


def _focus(name: str, text: str) -> float | None:
    if text == "none":
        return None
    try:
        focus = float(text)
    except ValueError:
        focus = math.nan
    if not FOCUS.holds(focus):
        raise SettingsError(f"`methods` {shown(name)}: the focus {shown(text)} is not {FOCUS} px, nor none")
    return focus


def _made(name: str, spec: str, described: Described) -> Descriptor:
    try:
        return described(spec)
    except (DescriptorError, SettingsError) as error:
        raise SettingsError(f"`methods` {shown(name)}: {error}") from error


def _misfit(name: str, part: str, expected: str) -> SettingsError:
    return SettingsError(f"`methods` {shown(name)}: {part!r} does not fit there: expected {expected}")
