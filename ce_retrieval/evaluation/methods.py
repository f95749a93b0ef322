"""The names of methods: FEATURES[@FOCUS][+rim][+blend|+mean] for retrieval, else a baseline or a limit."""

from collections.abc import Sequence
from dataclasses import dataclass

from ce_retrieval.completion.baselines import BASELINES
from ce_retrieval.completion.result import CompletionSettings
from ce_retrieval.descriptors import DESCRIPTORS
from ce_retrieval.errors import EvaluationError

# Searches over all pixels of a region of every photo of the collection, by brute force.
#   oracle: the photo whose true content is nearest to the truth, the limit of any fill from one photo;
#   rim: the photo whose rim of FLAT_RIM px, unweighted, is nearest; it needs no descriptor but reads every photo.
PIXEL_SEARCHES = ("oracle", "rim")
FLAT_RIM = 8


@dataclass(frozen=True)
class Method:
    """A way to fill: kind "features", "pixels" (brute-force search) or "baseline"; see `parse_methods` for the names."""

    name: str
    kind: str
    base: str
    focus: float | str | None = "auto"
    rerank: str = "none"
    fill: str = "paste"

    def settings(self) -> CompletionSettings:
        """Return the completion settings of a method by features; what its name does not say is the default."""
        return CompletionSettings(rerank=self.rerank, fill=self.fill, focus=self.focus)


def default_methods(features: str) -> tuple[str, ...]:
    """Return what is measured when nothing is named: these features by every fill, the best baseline, and the limit."""
    return (features, f"{features}+rim", f"{features}+rim+blend", f"{features}+rim+mean", "smooth", "oracle")


def parse_methods(names: Sequence[str]) -> list[Method]:
    """Return the methods with these names, in order.

    A name is `telea`, `navier-stokes`, `biharmonic`, `smooth`; or `oracle`, `rim`; or a descriptor (`hog`, `gist`,
    `thumbnail`, `thumbnail:16`, ...), then `@PX` or `@none` for the focus (default: the descriptor's best). A search may
    be followed by `+rim` (descriptors: re-rank by the rim) and by `+blend` or `+mean` instead of pasting.
    EvaluationError names what is wrong and lists what there is.
    """
    methods = [_parse(name.strip()) for name in names]
    doubled = {method.name for method in methods if [m.name for m in methods].count(method.name) > 1}
    if doubled:
        raise EvaluationError(f"method {doubled.pop()} is named twice")
    if not methods:
        raise EvaluationError("no method is named: give at least one, as in --methods thumbnail+rim,smooth")
    return methods


def _parse(name: str) -> Method:
    base, *parts = name.split("+")
    base, at, focus_text = base.partition("@")
    fill, rerank = "paste", "none"
    for part in parts:
        if part == "rim" and rerank == "none" and base not in PIXEL_SEARCHES:
            rerank = "rim"
        elif part in ("blend", "mean") and fill == "paste":
            fill = part
        else:
            raise EvaluationError(
                f"method {name}: {part!r} does not fit there: expected FEATURES[@PX][+rim][+blend|+mean]"
            )
    if base in BASELINES:
        if parts or at:
            raise EvaluationError(f"method {name}: a baseline takes no additions: name it {base} alone")
        return Method(name, "baseline", base)
    if base in PIXEL_SEARCHES:
        if at or fill == "mean":
            raise EvaluationError(f"method {name}: {base} takes +blend alone")
        return Method(name, "pixels", base, fill=fill)
    if base.partition(":")[0] in DESCRIPTORS:
        return Method(name, "features", base, _focus(name, focus_text) if at else "auto", rerank, fill)
    known = ", ".join([*DESCRIPTORS, *BASELINES, *PIXEL_SEARCHES])
    raise EvaluationError(f"method {name!r} is unknown: it begins with one of {known}")


def _focus(name: str, text: str) -> float | None:
    if text == "none":
        return None
    try:
        focus = float(text)
    except ValueError:
        focus = 0.0
    if not focus > 0:
        raise EvaluationError(f"method {name}: the focus {text!r} is no positive number of pixels (or `none`)")
    return focus
