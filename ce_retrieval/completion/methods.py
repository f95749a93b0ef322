"""Completion in one call."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from ce_retrieval.completion.folders import AnyCompleter
from ce_retrieval.completion.network import DecoderCompleter
from ce_retrieval.completion.overlay import Completer
from ce_retrieval.completion.patches.completer import PatchCompleter
from ce_retrieval.completion.result import Completion, only
from ce_retrieval.completion.scenes.completer import SceneCompleter
from ce_retrieval.completion.settings import (
    METHODS,
    CompletionSettings,
    DecoderSettings,
    PatchSettings,
    SceneSettings,
)
from ce_retrieval.errors import PhotoIndexError
from ce_retrieval.photo_index import Origin, PhotoIndex

_SETTINGS: dict[str, Callable[..., Any]] = {
    "retrieval": CompletionSettings,
    "encoder": DecoderSettings,
    "scenes": SceneSettings,
    "patchmatch": PatchSettings,
}


def complete(
    photo: np.ndarray,
    hole: np.ndarray,
    index: PhotoIndex | str | Path | None = None,
    *,
    method: str = "scenes",
    candidate_fills: bool = False,
    origin: str | Path | None = None,
    workers: int | None = None,
    **settings: Any,
) -> Completion:
    """Fill the hole of one photo.

    Args:
        photo: uint8 (H, W, 3), RGB.
        hole: bool (H, W), True = missing.
        index: an open index or its path. Needed by the methods "scenes" and "retrieval".
        method: one of `settings.METHODS`.
        candidate_fills: also make the whole photo filled from each candidate alone (`Completion.fills`).
        origin: the photo's file, for the setting `exclude_same_source`.
        workers: threads; None for all cores.
        settings: fields of the method's settings: SceneSettings, CompletionSettings, DecoderSettings, PatchSettings.

    Returns:
        Completion: `.best`, `.candidates`, `.provenance()`, `.save("out/photo.png")`.

    Raises:
        PhotoIndexError: an unknown method or setting, one out of range, or no index where it is needed; the errors of the
        method's completer. For many photos make that once: this opens the index and the weights at each call.
    """
    if method not in METHODS:
        raise PhotoIndexError(f"method {method!r} is unknown: choose one of {', '.join(METHODS)}")
    chosen = _SETTINGS[method]()
    known = [field.name for field in fields(chosen)]
    for name in settings:
        if name not in known:
            raise PhotoIndexError(f"{method} has no setting {name!r}: choose among {', '.join(known)}")
    chosen = replace(chosen, **settings)
    file = None if origin is None else Origin.of(origin)

    def done(completer: AnyCompleter) -> Completion:
        return only(completer.complete_many([photo], [hole], candidate_fills=candidate_fills, origins=[file]))

    if method == "encoder":
        return done(DecoderCompleter(chosen, workers=workers))
    opened = PhotoIndex.open(index) if isinstance(index, str | Path) else index
    if method == "patchmatch":
        return done(PatchCompleter(opened, chosen, workers=workers))
    if opened is None:
        raise PhotoIndexError(f"{method} needs an index: give one, or use the method encoder or patchmatch")
    if method == "scenes":
        return done(SceneCompleter(opened, chosen, workers=workers))
    if "k" not in settings:
        chosen = replace(chosen, k=min(chosen.k, len(opened)))
    return done(Completer(opened, chosen, workers=workers))
