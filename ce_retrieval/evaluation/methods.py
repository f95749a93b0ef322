"""The names of what is measured: FEATURES[@FOCUS][+RERANK][+FILL], a network, patches, a classical fill, or a limit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ce_retrieval.completion.methods import METHODS
from ce_retrieval.descriptors import DESCRIPTORS, Descriptor, make_descriptor, protocol_spec
from ce_retrieval.errors import DescriptorError, SettingsError, shown
from ce_retrieval.evaluation.classical import CLASSICAL
from ce_retrieval.models.network_fill import can_predict
from ce_retrieval.retrieval.search import default_focus
from ce_retrieval.settings import FOCUS

# Brute-force searches over the pixels of a region, through every photo of the collection.
#   oracle: the photo that is nearest under the hole, the limit of any fill from one photo;
#   ring: the photo that is nearest in a flat ring around the hole.
PIXEL_SEARCHES = ("oracle", "ring")
NETWORK = "network"  # a network's own fill
PATCHES = "patchmatch"  # the photo's own patches
FILLS = ("blend", "mean", "scenes", "patchmatch")  # of a method by features, beside "paste"


@dataclass(frozen=True)
class Method:
    """A way to fill that an evaluation measures; `parse_methods` explains its name.

    Attributes
    ----------
    kind : "features", "pixels" (a brute-force search), "network", "patches" or "classical".
    base : the descriptor's spec, the search, the checkpoint ("": the one of the settings), or the classical fill.
    focus : px; None: no focus; "auto": the descriptor's best.
    rerank : a `rerank` of SearchSettings; only methods by features have one.
    fill : "paste", "blend" or "mean"; methods by features also have "scenes" and "patchmatch".
    descriptor : of a method by features, else None.
    """

    name: str
    kind: str
    base: str
    focus: float | str | None = "auto"
    rerank: str = "none"
    fill: str = "paste"
    descriptor: Descriptor | None = field(default=None, compare=False)

    @property
    def focus_px(self) -> float | None:
        """The focus of a method by features in px, with the descriptor's best for "auto"; None: no focus."""
        assert self.descriptor is not None, "other methods search by no features"
        return default_focus(self.descriptor) if isinstance(self.focus, str) else self.focus

    @property
    def completion(self) -> str:
        """Which method of `completion.methods` fills; "" for a search by pixels and a classical fill."""
        if self.kind == "features":
            return self.fill if self.fill in METHODS else "retrieval"
        return {"network": "network", "patches": "patchmatch"}.get(self.kind, "")


def default_methods(features: str, weights: str | None = None) -> tuple[str, ...]:
    """Return the methods that are measured by default: the features by every fill, the best classical fill, the limit.

    With torch and the weights installed, also the guided re-rank and the network's own fill.
    """
    hand_made = (features, f"{features}+rim", f"{features}+rim+blend", f"{features}+rim+mean")
    guided = (f"{features}+guided", f"{features}+guided+blend", f"{features}+guided+mean", NETWORK)
    return (*hand_made, *(guided if can_predict(weights) else ()), "smooth", "oracle")


def parse_methods(names: Sequence[str], size: int, hole: str = "none") -> list[Method]:
    """Return the methods with these names, in order.

    Parameters
    ----------
    names : each is one of
        - FEATURES[@PX][+rim|+guided][+blend|+mean|+scenes|+patchmatch]: a descriptor (`hog`, `thumbnail:16`, ...), its
          focus (`@none`: no focus; default: the descriptor's best), a re-rank, and a fill (default: paste the best scene).
          `+mean` averages the best blends; `+scenes` and `+patchmatch` are methods of completion and keep every known
          pixel here.
        - `network[:CHECKPOINT][+blend]`: a network's own fill.
        - `patchmatch`: the photo's own patches.
        - `telea`, `navier-stokes`, `biharmonic`, `smooth`: classical fills.
        - `oracle`, `ring` [+blend]: searches by pixels.
    size : px, side of the photos.
    hole : hole protocol of the index.

    Raises
    ------
    SettingsError : no name, a name that cannot be read, or one that stands twice.
    """
    methods = [_parse(name.strip(), size, hole) for name in names]
    if not methods:
        raise SettingsError("`methods` names none: give at least one, for example thumbnail+rim or smooth")
    seen = [method.name for method in methods]
    for name in seen:
        if seen.count(name) > 1:
            raise SettingsError(f"`methods` names {shown(name)} twice: name it once")
    return methods


def _parse(name: str, size: int, hole: str) -> Method:
    if name.partition("+")[0].partition(":")[0] == NETWORK:
        return _parse_network(name)
    if name == PATCHES:
        return Method(name, "patches", "")
    head, *parts = name.split("+")
    base, at, focus_text = head.partition("@")
    fill, rerank = "paste", "none"
    for part in parts:
        if part in ("rim", "guided") and rerank == "none":
            rerank = part
        elif part in FILLS and fill == "paste":
            fill = part
        else:
            raise SettingsError(
                f"`methods` {shown(name)}: {part!r} does not fit there: expected FEATURES[@PX][+rim|+guided][+{'|+'.join(FILLS)}]"
            )
    if base in CLASSICAL:
        if parts or at:
            raise SettingsError(f"`methods` {shown(name)}: a classical fill takes no additions: name it {base} alone")
        return Method(name, "classical", base)
    if base in PIXEL_SEARCHES:
        if at or rerank != "none" or fill not in ("paste", "blend"):
            raise SettingsError(f"`methods` {shown(name)}: {base} takes +blend alone: name it {base} or {base}+blend")
        return Method(name, "pixels", base, fill=fill)
    if base.partition(":")[0] not in DESCRIPTORS:
        known = ", ".join([*DESCRIPTORS, NETWORK, PATCHES, *CLASSICAL, *PIXEL_SEARCHES])
        raise SettingsError(f"`methods` {shown(name)} is unknown: it begins with one of {known}")
    try:
        descriptor = make_descriptor(protocol_spec(base, hole), size)
    except (DescriptorError, SettingsError) as error:
        raise SettingsError(f"`methods` {shown(name)}: {error}") from error
    focus = _focus(name, focus_text) if at else "auto"
    # One spelling each, so that an index is shared and nothing is measured twice.
    suffix = "" if not at else "@none" if focus is None else f"@{focus:g}"
    suffix += f"+{rerank}" * (rerank != "none") + f"+{fill}" * (fill != "paste")
    return Method(descriptor.spec + suffix, "features", descriptor.spec, focus, rerank, fill, descriptor)


def _parse_network(name: str) -> Method:
    """Parse `network[:CHECKPOINT][+blend]`; a path may hold any character."""
    base = name.removesuffix("+blend")
    fill = "paste" if base == name else "blend"
    head, colon, checkpoint = base.partition(":")
    if head != NETWORK or (colon and not checkpoint):
        raise SettingsError(f"`methods` {shown(name)}: expected network[:CHECKPOINT][+blend]")
    return Method(name, "network", checkpoint, fill=fill)


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
