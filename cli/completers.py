"""What fills a hole, by the options of `ceret complete`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ce_retrieval.completion.settings import CompletionSettings, DecoderSettings, PatchSettings, SceneSettings

if TYPE_CHECKING:
    from ce_retrieval.completion.folders import AnyCompleter


def make_completer(
    method: str,
    index_path: Path | None,
    weights: Path | None,
    workers: int | None,
    fill: str | None,
    start: str,
    **chosen: Any,
) -> AnyCompleter:
    """Return what completes photos by these values of `completer_options`."""
    file = str(weights) if weights else None
    if method == "encoder":
        from ce_retrieval.completion.network import DecoderCompleter

        return DecoderCompleter(DecoderSettings(fill=fill or DecoderSettings.fill, weights=file), workers=workers)
    from ce_retrieval.photo_index import PhotoIndex

    index = PhotoIndex.open(index_path) if index_path else None
    if method == "patchmatch":
        from ce_retrieval.completion.patches.completer import PatchCompleter

        settings = PatchSettings(start=start, scenes=_scene_settings(file, **chosen), weights=file)
        return PatchCompleter(index, settings, workers=workers)
    assert index is not None, "checked by check_choices"
    if method == "scenes":
        from ce_retrieval.completion.scenes.completer import SceneCompleter

        return SceneCompleter(index, _scene_settings(file, **chosen), workers=workers)
    from ce_retrieval.completion.overlay import Completer

    k = chosen["k"] or min(CompletionSettings.k, len(index))
    by_retrieval = CompletionSettings(
        k=k,
        rerank=chosen["rerank"],
        fill=fill or CompletionSettings.fill,
        focus=chosen["focus"],
        weights=file,
        where=chosen["where"],
        exclude_same_source=chosen["exclude_same_source"],
    )
    return Completer(index, by_retrieval, workers=workers)


def _scene_settings(weights: str | None, **chosen: Any) -> SceneSettings:
    return SceneSettings(
        rerank=chosen["rerank"],
        focus=chosen["focus"],
        weights=weights,
        where=chosen["where"],
        exclude_same_source=chosen["exclude_same_source"],
        aligned=chosen["aligned"],
        candidates=max(SceneSettings.candidates, chosen["aligned"]),
        top=chosen["top"],
        pick=chosen["pick"],
        seam=chosen["seam"],
        mixed=chosen["mixed"],
        terms=dict(chosen["terms"]),
        trust=chosen["trust"],
    )
