"""What is measured: the methods of completion, classical fills, and the limits of searches by pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ce_retrieval.completion.methods import METHODS, runs_network, settings_of
from ce_retrieval.completion.settings import SearchSettings
from ce_retrieval.descriptors import Descriptor
from ce_retrieval.errors import SettingsError, shown
from ce_retrieval.evaluation.settings import EvaluationSettings
from ce_retrieval.models.network_fill import can_predict
from ce_retrieval.retrieval.search import default_focus
from ce_retrieval.settings import ranges

# Brute-force searches over the pixels of a region, through every photo of the collection.
#   oracle: the photo that is nearest under the hole, the limit of any fill from one photo;
#   ring: the photo that is nearest in a flat ring around the hole.
PIXEL_SEARCHES = ("oracle", "ring")
KEPT = 20  # candidates of a photo whose labels are looked at


@dataclass(frozen=True)
class Method:
    """A way to fill that an evaluation measures; `parse_methods` explains its name.

    Attributes
    ----------
    kind : "completion", "pixels" (a brute-force search) or "classical".
    base : the key in `completion.methods.METHODS`, the search, or the classical fill.
    settings : what the name sets, by field of the completion method's settings; of a search by pixels `fill` alone.
    descriptor : of the index that a completion method fills from; None: from none.
    """

    name: str
    kind: str
    base: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    descriptor: Descriptor | None = field(default=None, compare=False)

    @property
    def features(self) -> str:
        """The features of the index that it fills from, "" for none."""
        return self.descriptor.spec if self.descriptor else ""

    @property
    def uses_collection(self) -> bool:
        """Whether it fills from photos of the collection."""
        return self.kind == "pixels" or self.descriptor is not None

    @property
    def focus(self) -> float | None:
        """The focus of its search in px, None for none; only a method with an index has one."""
        assert self.descriptor is not None, "other methods search by no features"
        focus = self.settings.get("focus", "auto")
        return default_focus(self.descriptor) if focus == "auto" else focus


def default_methods(features: str, weights: str | None = None) -> tuple[str, ...]:
    """Return the methods that are measured by default: the features by every fill, the best classical fill, the limit.

    With torch and the weights installed, also the guided re-rank and the network's own fill.
    """
    hand_made = (features, f"{features}+rim", f"{features}+rim+blend", f"{features}+rim+mean")
    guided = (f"{features}+guided", f"{features}+guided+blend", f"{features}+guided+mean", "network")
    return (*hand_made, *(guided if can_predict(weights) else ()), "smooth", "oracle")


def completion_settings(method: Method, settings: EvaluationSettings, photos: int) -> dict[str, Any]:
    """Return the settings with which a completion method is measured: those of its name before those of the evaluation.

    Every known pixel is kept (`seam` 0), and copies are allowed, since the leak guard has looked at the whole photos.

    Parameters
    ----------
    photos : how many the index holds.

    Raises
    ------
    SettingsError : the settings do not go together.
    """
    about = METHODS[method.base]
    known = ranges(about.settings)
    photos = min(photos, settings.collection or photos)
    has_index = method.descriptor is not None
    wanted: dict[str, Any] = {"seam": 0.0, "allow_same_photo": True}
    given = {"candidates": settings.candidates, "aligned": settings.aligned}
    wanted |= {name: value for name, value in given.items() if value is not None}
    if method.base == "retrieval":
        looked_at = min(KEPT, method.settings.get("candidates", settings.candidates or SearchSettings.candidates))
        wanted["k"] = min(settings.k if method.settings.get("fill") == "mean" else looked_at, photos)
    read = known if has_index or about.index == "none" else about.without_index
    chosen = {name: value for name, value in wanted.items() if name in read} | dict(method.settings)
    try:
        made = settings_of(method.base, chosen, has_index=has_index)
    except SettingsError as error:
        raise SettingsError(f"`methods` {shown(method.name)}: {error}") from error
    if settings.weights and made.weights is None and runs_network(method.base, made, has_index):
        chosen["weights"] = settings.weights
    return chosen


def network_of(method: Method, chosen: Mapping[str, Any]) -> str | None:
    """Return the weights of the network that a completion method runs with these settings, "" for those of the package.

    None: it runs none.
    """
    has_index = method.descriptor is not None
    made = settings_of(method.base, chosen, has_index=has_index)
    return (made.weights or "") if runs_network(method.base, made, has_index) else None
