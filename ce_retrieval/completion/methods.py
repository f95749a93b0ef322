"""The methods of completion, in one registry, and completion in one call.

The command line, `complete` and the evaluation read the registry. A completer is imported when it is made, so that the
command line's help is instant.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ce_retrieval.completion.settings import (
    AutoSettings,
    NetworkSettings,
    PatchSettings,
    PlaceSettings,
    RetrievalSettings,
    SceneSettings,
)
from ce_retrieval.errors import SettingsError, shown
from ce_retrieval.settings import Range, ranges

if TYPE_CHECKING:
    import numpy as np

    from ce_retrieval.completion.completer import Completer
    from ce_retrieval.completion.places.others import OtherPhotos
    from ce_retrieval.completion.result import Completion
    from ce_retrieval.photo_index import PhotoIndex
    from ce_retrieval.photo_index.photo_cache import PhotoCache


@dataclass(frozen=True)
class Method:
    """A way to complete photos.

    Attributes
    ----------
    settings : the class of its settings.
    completer : "module:class" in `ce_retrieval.completion`.
    index : whether it needs an index: "required", "optional" or "none".
    has_candidates : whether it can also fill the photo from each candidate alone.
    others : whether it fills from other photos of the place that are given without an index.
    needs_photos : whether an index or others must be given.
    without_index : the settings that it reads where an index is optional and not given.
    with_others : the further ones that it reads then, where others are given.
    """

    settings: type
    completer: str
    index: str
    has_candidates: bool = False
    others: bool = False
    needs_photos: bool = False
    without_index: tuple[str, ...] = ()
    with_others: tuple[str, ...] = ()

    def options(self) -> dict[str, Range]:
        """Return the settings that the command line offers, by name."""
        return {name: allowed for name, allowed in ranges(self.settings).items() if allowed.help}


_OF_PLACES = ("allow_same_photo", "top", "seam")

METHODS: dict[str, Method] = {
    "auto": Method(
        AutoSettings,
        "auto.completer:AutoCompleter",
        "optional",
        others=True,
        without_index=("weights", "side", "seed"),
        with_others=(*_OF_PLACES, "places"),
    ),
    "places": Method(
        PlaceSettings,
        "places.completer:PlaceCompleter",
        "optional",
        others=True,
        needs_photos=True,
        with_others=(*_OF_PLACES, "side"),
    ),
    "scenes": Method(SceneSettings, "scenes.completer:SceneCompleter", "required", has_candidates=True),
    "retrieval": Method(RetrievalSettings, "overlay:RetrievalCompleter", "required", has_candidates=True),
    "patchmatch": Method(
        PatchSettings,
        "patches.completer:PatchCompleter",
        "optional",
        without_index=("start", "weights", "side", "seed"),
    ),
    "network": Method(NetworkSettings, "network:NetworkCompleter", "none"),
}
DEFAULT_METHOD = "auto"


def make_completer(
    method: str = DEFAULT_METHOD,
    index: PhotoIndex | str | Path | None = None,
    *,
    workers: int | None = None,
    settings: Mapping[str, Any] | None = None,
    scenes: PhotoCache | None = None,
    others: OtherPhotos | str | Path | None = None,
) -> Completer:
    """Return what completes photos by a method; keep it to complete many.

    Parameters
    ----------
    method : a key of `METHODS`.
    index : an open index or its path, for the methods that use one.
    workers : threads in all; None for all cores.
    settings : fields of the method's settings class, by name.
    scenes : decoded photos of the index to share among completers; None: each has its own.
    others : other photos of the same place, or the path of their folder, for the methods `auto` and `places`.

    Raises
    ------
    SettingsError : an unknown method or setting, a value out of range, a missing index, or an index or weights that the
        method does not read.
    CeretError : the errors of opening the index and the weights.
    """
    from ce_retrieval.photo_index import PhotoIndex

    if not isinstance(index, PhotoIndex | str | Path | None):
        raise SettingsError(f"`index` is {shown(index)}: expected an open index or its path")
    chosen = settings_of(method, settings or {}, has_index=index is not None, has_others=others is not None)
    module, _, name = METHODS[method].completer.partition(":")
    completer = getattr(importlib.import_module(f"ce_retrieval.completion.{module}"), name)
    if METHODS[method].index == "none":
        return completer(chosen, workers=workers)
    opened = PhotoIndex.open(index) if isinstance(index, str | Path) else index
    if METHODS[method].others:
        if isinstance(others, str | Path):
            from ce_retrieval.completion.places.others import OtherPhotos

            others = OtherPhotos(others)
        return completer(opened, chosen, workers=workers, scenes=scenes, others=others)
    return completer(opened, chosen, workers=workers, scenes=scenes)


def settings_of(method: str, settings: Mapping[str, Any], *, has_index: bool, has_others: bool = False) -> Any:
    """Return the settings of a method with these fields; SettingsError where method, fields, index and others do not fit."""
    if not isinstance(method, str) or method not in METHODS:
        raise SettingsError(f"`method` {shown(method)} is unknown: choose one of {', '.join(METHODS)}")
    about = METHODS[method]
    known = ranges(about.settings)
    for name in settings:
        if name not in known:
            raise SettingsError(f"`method` {method} has no setting {shown(name)}: choose among {', '.join(known)}")
    if about.index == "required" and not has_index:
        *others, last = (n for n, other in METHODS.items() if other.index != "required" and not other.needs_photos)
        raise SettingsError(
            f"`method` {method} needs an `index`: give one, or use `method` {', '.join(others)} or {last}"
        )
    if about.index == "none" and has_index:
        raise SettingsError(f"`method` {method} uses no `index`: leave it out")
    if has_others and not about.others:
        fit = " or ".join(name for name, other in METHODS.items() if other.others)
        raise SettingsError(f"`method` {method} uses no `others`: leave them out, or use `method` {fit}")
    if has_others and settings.get("places") == "none":
        raise SettingsError("`places` is none, so that no `others` are looked at: leave one of them out")
    if about.needs_photos and not (has_index or has_others):
        raise SettingsError(f"`method` {method} needs other photos: give `others`, an `index`, or both")
    read = {*about.without_index, *(about.with_others if has_others else ())}
    unread = [name for name in settings if name not in read]
    if about.index == "optional" and not has_index and unread:
        names = ", ".join(f"`{name}`" for name in unread)
        raise SettingsError(f"without an `index`, `method` {method} does not read {names}: give one, or leave them out")
    chosen = about.settings(**settings)
    if getattr(chosen, "weights", None) is not None and not runs_network(method, chosen, has_index):
        raise SettingsError("no network is used by these settings: leave `weights` out, or set `rerank` to guided")
    return chosen


def runs_network(method: str, settings: Any, has_index: bool) -> bool:
    """Return whether a method with these settings runs a network."""
    # `auto` runs it where nothing else can fill, whatever the re-rank.
    starts = method in ("auto", "network") or getattr(settings, "start", None) == "network"
    return starts or (has_index and getattr(settings, "rerank", None) == "guided")


def complete(
    photo: np.ndarray,
    hole: np.ndarray,
    index: PhotoIndex | str | Path | None = None,
    *,
    method: str = DEFAULT_METHOD,
    candidate_fills: bool = False,
    origin: str | Path | None = None,
    others: OtherPhotos | str | Path | None = None,
    workers: int | None = None,
    **settings: Any,
) -> Completion:
    """Fill the hole of one photo.

    Parameters
    ----------
    photo : uint8 (H, W, 3), RGB.
    hole : bool (H, W), True = missing.
    index : an open index or its path; methods `scenes` and `retrieval` need one.
    method : a key of `METHODS`; `auto` chooses for each part of the hole.
    candidate_fills : also fill the whole photo from each candidate alone (`Completion.fills`).
    origin : the photo's file, by which its copies are known; the setting `exclude_same_source` needs it.
    others : other photos of the same place, or the path of their folder; methods `auto` and `places` fill from them.
    workers : threads in all; None for all cores.
    settings : fields of the method's settings class: AutoSettings, PlaceSettings, SceneSettings, RetrievalSettings,
        PatchSettings, NetworkSettings.

    Returns
    -------
    Completion : `.best`, `.candidates`, `.provenance()`, `.save("out/photo.png")`.

    Raises
    ------
    SettingsError : as `make_completer`.
    CeretError : the errors of the method's completer.

    Notes
    -----
    Opens the index and the weights at each call: for many photos use `make_completer` once.
    """
    from ce_retrieval.photo_index import Origin

    if not isinstance(origin, str | Path | None):
        raise SettingsError(f"`origin` is {shown(origin)}: expected the path of the photo's file, or None")
    completer = make_completer(method, index, workers=workers, settings=settings, others=others)
    file = None if origin is None else Origin.of(origin)
    return completer.complete(photo, hole, candidate_fills=candidate_fills, origin=file)
