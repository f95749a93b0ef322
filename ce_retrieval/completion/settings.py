"""How a photo is completed: one dataclass a method, with defaults and ranges. The command line offers what is marked here.

Imports no heavy library, so that the command line's help is instant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ce_retrieval.errors import SettingsError, shown
from ce_retrieval.settings import COUNT, MOST, SEED, Checked, Range, check_focus, setting

PLACED, PLACED_OF_KIND = 200, 60  # scenes that are placed by default
DEFAULT_K = 20  # candidates of method `retrieval`, or all of a smaller collection
# With at least this many scenes, the mean of the best tenth serves as the expected content; with fewer, single scenes show
# through.
AGREEING = 100
# Ranking terms of scene completion and their weights: the paper's four, then those of `scenes.terms`.
TERM_WEIGHTS = {
    "scene": 0.25,
    "context": 1.0,
    "texture": 1.0,
    "seam": 0.5,
    "gist": 2.0,
    "rim": 2.0,
    "content": 3.0,
    "detail": 6.0,
    "kind": 3.0,
    "structure": 1.0,
}
# Only one of two terms that ask for the kind of scene has a weight by default: kind where the index holds it, else gist.
KIND_TERMS = ("gist", "kind")
TERM_WEIGHT = Range(low=0, high=MOST, help="Weight of a ranking term, TERM=VALUE; 0 turns it off.")


def _as_in(settings: Any, name: str) -> Any:
    """Return the field of another settings class once more: its default, range and help."""
    (entry,) = (one for one in fields(settings) if one.name == name)
    return field(default=entry.default, metadata=entry.metadata)


@dataclass(frozen=True)
class SearchSettings(Checked):
    """Which photos of the index are considered, and in which order.

    Attributes
    ----------
    rerank : "none", "rim" or "guided"
        order of the candidates: by the distance of their contexts, by the squared difference in the rim, or by
        closeness to a network's fill.
    focus : px, None or "auto"
        weights of the context fall as exp(-distance from the hole / focus); None: they do not; "auto": the
        descriptor's best.
    candidates : how many of the nearest contexts are considered, or all of a smaller collection.
    weights : file of a network's weights, None for those of the package.
    where : expression of `photo_index.where` that every scene must satisfy, None for all scenes.
    exclude_same_source : leave out photos of the query's own folder, and near-duplicates of it (`search_apart`).
    allow_same_photo : fill from the photo itself and its copies too (`photos.copies`): what was removed may come back.
    """

    rerank: str = setting("guided", choices=("none", "rim", "guided"), help="Order of the candidates.")
    focus: float | str | None = setting(
        "auto",
        help="Distance from the hole over which weights of the context fall by e, in pixels of the index's photo size; "
        "`none`: they do not fall; `auto`: the best for the index's features.",
    )
    candidates: int = setting(200, COUNT)
    weights: str | None = setting(
        None, help="The network's weights, a checkpoint of `ceret train` [default: the package's]."
    )
    where: str | None = setting(
        None,
        help="Search only photos for which this holds, as in \"licence == 'CC0' and width >= 1024\".",
    )
    exclude_same_source: bool = setting(
        False, help="Leave out photos of the query's own folder, and near-duplicates of it."
    )
    allow_same_photo: bool = setting(
        False, help="Fill from the photo itself and its copies too: what was removed may come back."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_focus(self.focus)

    @property
    def by_kind(self) -> bool:
        """Whether most scenes must be of the photo's kind."""
        return False


@dataclass(frozen=True)
class RetrievalSettings(SearchSettings):
    """How method `retrieval` completes a photo: the best scenes are laid over it as wholes.

    Attributes
    ----------
    k : candidates kept, and blends that `fill="mean"` averages. None: 20, or all of a smaller collection.
    fill : "paste", "blend" (Poisson) or "mean" (of k blends).
    """

    k: int | None = setting(
        None, COUNT, help="Candidates kept, and blends in a mean [default: 20, or all of a smaller collection]."
    )
    fill: str = setting(
        "blend", choices=("paste", "blend", "mean"), help="How the scene or the prediction fills the hole."
    )


@dataclass(frozen=True)
class PlacementSettings(SearchSettings):
    """How scenes are placed and ranked, for the methods `scenes` and `patchmatch`.

    Attributes
    ----------
    aligned : how many candidates are placed, cut and ranked: the first in the order of `rerank`. None: PLACED; but
        PLACED_OF_KIND where candidates are of the photo's kind and a network orders them.
    kind : "auto" or "none"
        auto: where the index has kind features, nine of ten candidates are those most alike in kind (`rerank.scene_search`);
        none: all are the nearest contexts.
    terms : weights of ranking terms, by name; `TERM_WEIGHTS` for those not named; 0 turns a term off.
    trust : largest correction, in [0, 1] units, of the fill's colours towards the expected content; 0 turns it off.
    side : px, longest side at which a photo is worked on.
    """

    aligned: int | None = setting(
        None,
        COUNT,
        help=f"Scenes that are placed, cut and ranked [default: {PLACED}; with a network and kind features {PLACED_OF_KIND}].",
    )
    kind: str = setting(
        "auto",
        choices=("auto", "none"),
        help="Whether most scenes must show the same kind of place; `auto`: where the index has kind features.",
    )
    terms: dict[str, float] = field(default_factory=dict, metadata={"range": Range(help=TERM_WEIGHT.help)})
    trust: float = setting(
        0.2,
        low=0,
        high=1,
        help="Largest correction of the fill's colours towards the expected content, in [0, 1] units; 0 turns it off.",
    )
    side: int = setting(1024, low=16, high=MOST)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.terms, Mapping):
            raise SettingsError(
                f"`terms` is {shown(self.terms)}: expected weights by ranking term, as in {{'gist': 0}}; the terms are "
                f"{', '.join(TERM_WEIGHTS)}"
            )
        for name, weight in self.terms.items():
            TERM_WEIGHT.check(f"`terms`: the weight of {name}", weight)
        asked = self.terms.get("content", 0.0) not in (0.0, TERM_WEIGHTS["content"])
        if asked and self.rerank != "guided" and (self.aligned or PLACED) < AGREEING:
            raise SettingsError(
                f"`terms`: content needs a network (`rerank` guided) or {AGREEING} scenes: raise `aligned` to {AGREEING}, or "
                "leave content out"
            )

    @property
    def by_kind(self) -> bool:
        """Whether most scenes must be of the photo's kind."""
        return self.kind == "auto"


@dataclass(frozen=True)
class SceneSettings(PlacementSettings):
    """How method `scenes` completes a photo: the best scene is placed, cut along a seam and blended.

    Attributes
    ----------
    places : "auto" or "none"
        auto: where other photos of the same place show all of the hole, they are the first candidate; none: they are not
        looked for.
    top : candidates kept.
    pick : which candidate becomes the result (1 = best).
    mixed : blend with the stronger gradient of scene and photo.
    seam : how far the seam may cut into known pixels, in px of a photo 1024 px long; around thin parts of a hole no more
        than half their thickness, and 1 px at least (`scenes.seam_domain`). 0 keeps every known pixel.
    """

    places: str = setting(
        "auto",
        choices=("auto", "none"),
        help="Whether other photos of the same place are looked for first: what the hole hides is in them.",
    )
    top: int = setting(20, COUNT, help="Candidates kept and shown.")
    pick: int = setting(1, COUNT, help="Which candidate to write as the result (1 = best).")
    mixed: bool = setting(False, help="Blend with the stronger gradient of scene and photo.")
    seam: float = setting(
        16.0,
        low=0,
        high=40,
        help="How far a seam may cut into known pixels, in px of a photo 1024 px long; 0 keeps every known pixel.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pick > self.top:
            raise SettingsError(f"`pick` is {self.pick}, but {self.top} candidates are kept: choose a larger `top`")


@dataclass(frozen=True)
class PlaceSettings(Checked):
    """How method `places` completes a photo: from other photos of the same place.

    Attributes
    ----------
    where, exclude_same_source, allow_same_photo : as in SearchSettings, for photos of an index.
    top, seam, side : as in SceneSettings.
    """

    where: str | None = _as_in(SearchSettings, "where")
    exclude_same_source: bool = _as_in(SearchSettings, "exclude_same_source")
    allow_same_photo: bool = _as_in(SearchSettings, "allow_same_photo")
    top: int = _as_in(SceneSettings, "top")
    seam: float = _as_in(SceneSettings, "seam")
    side: int = _as_in(PlacementSettings, "side")


@dataclass(frozen=True)
class AutoSettings(PlacementSettings):
    """How method `auto` completes a photo: each part of the hole by what suits it best.

    Attributes
    ----------
    places : "auto" or "none"
        auto: other photos of the same place go before all else; none: they are not looked for.
    top, seam : as in SceneSettings, for the parts that scenes fill.
    seed : of the random search for patches.
    """

    places: str = setting(
        "auto",
        choices=("auto", "none"),
        help="Whether other photos of the same place are looked for first: what the hole hides is in them.",
    )

    top: int = _as_in(SceneSettings, "top")
    seam: float = _as_in(SceneSettings, "seam")
    seed: int = setting(0, SEED)


@dataclass(frozen=True)
class PatchSettings(PlacementSettings):
    """How method `patchmatch` completes a photo: by its own patches, and those of its best scenes.

    Attributes
    ----------
    start : the fill to begin with: "smooth"; "network", a network's; "scene", the best scene blended in, which needs an
        index; "auto": "scene" with an index, else "smooth".
    sources : how many of the best scenes, blended into the photo, give patches beside the photo's own; 0: none.
    seed : of the random search.
    """

    start: str = setting(
        "auto", choices=("auto", "smooth", "network", "scene"), help="The fill that patches begin with."
    )
    sources: int = setting(1, low=0, high=MOST)
    seed: int = setting(0, SEED)


@dataclass(frozen=True)
class NetworkSettings(Checked):
    """How method `network` completes a photo: by a network's prediction, without an index.

    Attributes
    ----------
    fill : "paste" (the prediction as it is) or "blend" (its gradients, Poisson).
    mirror : average the predictions for the photo and its mirror image: twice the time, a slightly lower error.
    weights : file of the network's weights, None for those of the package.
    """

    fill: str = setting("paste", choices=("paste", "blend"), help="How the scene or the prediction fills the hole.")
    mirror: bool = setting(False)
    weights: str | None = setting(None, help="The network's weights.")
