"""Completion in one call."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from ce_retrieval.completion.decoder import DecoderCompleter
from ce_retrieval.completion.patch_completion import PatchCompleter
from ce_retrieval.completion.pipeline import Completer
from ce_retrieval.completion.result import Completion
from ce_retrieval.completion.scene_completion import SceneCompleter
from ce_retrieval.completion.settings import (
    METHODS,
    CompletionSettings,
    DecoderSettings,
    PatchSettings,
    SceneSettings,
)
from ce_retrieval.errors import PhotoIndexError
from ce_retrieval.photo_index import PhotoIndex

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
    if method == "encoder":
        return _one(DecoderCompleter(chosen, workers=workers), photo, hole, candidate_fills)
    opened = PhotoIndex.open(index) if isinstance(index, str | Path) else index
    if method == "patchmatch":
        return _one(PatchCompleter(opened, chosen, workers=workers), photo, hole, candidate_fills)
    if opened is None:
        raise PhotoIndexError(f"{method} needs an index: give one, or use the method encoder or patchmatch")
    if method == "scenes":
        return SceneCompleter(opened, chosen, workers=workers).complete(photo, hole, candidate_fills=candidate_fills)
    if "k" not in settings:
        chosen = replace(chosen, k=min(chosen.k, len(opened)))
    return Completer(opened, chosen, workers=workers).complete(photo, hole, candidate_fills=candidate_fills)


def _one(completer: Any, photo: np.ndarray, hole: np.ndarray, candidate_fills: bool) -> Completion:
    """Complete by a method that has no candidates of its own: `candidate_fills` is its error then."""
    result = completer.complete_many([photo], [hole], candidate_fills=candidate_fills)[0]
    if isinstance(result, Exception):
        raise result
    return result
