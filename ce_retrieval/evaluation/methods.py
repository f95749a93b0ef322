"""The names of methods: FEATURES[@FOCUS][+rim|+guided][+blend|+mean|+scenes], or a network, a baseline or a limit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ce_retrieval.completion.scenes.settings_check import can_predict
from ce_retrieval.descriptors import DESCRIPTORS, Descriptor, make_descriptor, protocol_spec
from ce_retrieval.errors import DescriptorError, EvaluationError, SettingsError
from ce_retrieval.evaluation.classical import BASELINES

# Searches over all pixels of a region of every photo of the collection, by brute force.
#   oracle: the photo whose true content is nearest to the truth, the limit of any fill from one photo;
#   rim: the photo nearest in a flat ring around the hole, which needs no descriptor but reads every photo.
PIXEL_SEARCHES = ("oracle", "rim")
DECODER = "decoder"  # a network's own fill


@dataclass(frozen=True)
class Method:
    """A way to fill; see `parse_methods` for the names.

    kind: "features", "pixels" (brute-force search), "decoder" or "baseline"; base: the descriptor's spec, the search, the
    checkpoint ("": that of the settings) or the baseline; focus: px, None for none, "auto" for the descriptor's best;
    descriptor: of a method by features, else None.
    """

    name: str
    kind: str
    base: str
    focus: float | str | None = "auto"
    rerank: str = "none"
    fill: str = "paste"
    descriptor: Descriptor | None = field(default=None, compare=False)


def default_methods(features: str, weights: str | None = None) -> tuple[str, ...]:
    """Return what is measured when nothing is named: these features by every fill, the best baseline, and the limit.

    Where torch and the weights are there, the guided re-rank and the network's own fill too.
    """
    hand_made = (features, f"{features}+rim", f"{features}+rim+blend", f"{features}+rim+mean")
    guided = (f"{features}+guided", f"{features}+guided+blend", f"{features}+guided+mean", DECODER)
    return (*hand_made, *(guided if can_predict(weights) else ()), "smooth", "oracle")


def parse_methods(names: Sequence[str], size: int, hole: str = "none") -> list[Method]:
    """Return the methods with these names, in order, for photos of size x size and an index of this hole protocol.

    A name is `telea`, `navier-stokes`, `biharmonic`, `smooth`; or `oracle`, `rim`; or a descriptor (`hog`, `gist`,
    `thumbnail`, `thumbnail:16`, ...), then `@PX` or `@none` for the focus (default: the descriptor's best). A search may
    be followed by `+rim` or `+guided` (descriptors: the re-rank) and by `+blend`, or for descriptors `+mean` (of the best
    blends) or `+scenes` (scene completion in full, every known pixel kept), instead of pasting.
    `decoder[:CHECKPOINT][+blend]` is a network's own fill. EvaluationError names what is wrong and lists what there is.
    """
    methods = [_parse(name.strip(), size, hole) for name in names]
    if not methods:
        raise EvaluationError("no method is named: give at least one, as in --methods thumbnail+rim,smooth")
    seen = [method.name for method in methods]
    for name in seen:
        if seen.count(name) > 1:
            raise EvaluationError(f"method {name} is named twice: name it once")
    return methods


def _parse(name: str, size: int, hole: str) -> Method:
    if name.partition("+")[0].partition(":")[0] == DECODER:
        return _parse_decoder(name)
    head, *parts = name.split("+")
    base, at, focus_text = head.partition("@")
    fill, rerank = "paste", "none"
    for part in parts:
        if part in ("rim", "guided") and rerank == "none":
            rerank = part
        elif part in ("blend", "mean", "scenes") and fill == "paste":
            fill = part
        else:
            raise EvaluationError(
                f"method {name}: {part!r} does not fit there: expected FEATURES[@PX][+rim|+guided][+blend|+mean|+scenes]"
            )
    if base in BASELINES:
        if parts or at:
            raise EvaluationError(f"method {name}: a baseline takes no additions: name it {base} alone")
        return Method(name, "baseline", base)
    if base in PIXEL_SEARCHES:
        if at or rerank != "none" or fill not in ("paste", "blend"):
            raise EvaluationError(f"method {name}: {base} takes +blend alone: name it {base} or {base}+blend")
        return Method(name, "pixels", base, fill=fill)
    if base.partition(":")[0] not in DESCRIPTORS:
        known = ", ".join([*DESCRIPTORS, DECODER, *BASELINES, *PIXEL_SEARCHES])
        raise EvaluationError(f"method {name!r} is unknown: it begins with one of {known}")
    try:
        descriptor = make_descriptor(protocol_spec(base, hole), size)
    except (DescriptorError, SettingsError) as error:
        raise EvaluationError(f"method {name}: {error}") from error
    focus = _focus(name, focus_text) if at else "auto"
    # One spelling each, so that an index is shared and nothing is measured twice.
    suffix = "" if not at else "@none" if focus is None else f"@{focus:g}"
    suffix += f"+{rerank}" * (rerank != "none") + f"+{fill}" * (fill != "paste")
    return Method(descriptor.spec + suffix, "features", descriptor.spec, focus, rerank, fill, descriptor)


def _parse_decoder(name: str) -> Method:
    """Parse `decoder[:CHECKPOINT][+blend]`; a path may hold any character."""
    base = name.removesuffix("+blend")
    fill = "paste" if base == name else "blend"
    head, colon, checkpoint = base.partition(":")
    if head != DECODER or (colon and not checkpoint):
        raise EvaluationError(f"method {name}: expected decoder[:CHECKPOINT][+blend]")
    return Method(name, "decoder", checkpoint, fill=fill)


def _focus(name: str, text: str) -> float | None:
    if text == "none":
        return None
    try:
        focus = float(text)
    except ValueError:
        focus = 0.0
    if not 0 < focus < math.inf:
        raise EvaluationError(f"method {name}: the focus {text!r} is no positive number of pixels (or `none`)")
    return focus
