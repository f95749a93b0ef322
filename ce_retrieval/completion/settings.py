"""How a photo is completed: the choices and their defaults. Imports nothing, so that the command line's help is instant."""

from dataclasses import dataclass, field

METHODS = ("scenes", "retrieval", "patchmatch", "encoder")
RERANKS = ("none", "rim", "guided")
FILLS = ("paste", "blend", "mean")
DECODER_FILLS = ("paste", "blend")
STARTS = ("auto", "smooth", "encoder", "scene")
# So many scenes tell what is to be expected in a hole, by the mean of the best tenth; that of fewer shows each of them.
AGREEING = 100
# The terms that scenes are ranked by, and their weights: the paper's four, and those of `scene_terms`.
TERM_WEIGHTS = {
    "scene": 0.25,
    "context": 1.0,
    "texture": 1.0,
    "seam": 0.5,
    "gist": 2.0,
    "rim": 2.0,
    "content": 3.0,
    "detail": 8.0,
}


@dataclass(frozen=True)
class GuidedSettings:
    """What `rerank="guided"` orders candidates by: the lowest weighted sum of four terms (`completion.guided`).

    content, rim, context, texture: weights of the distance to the decoder's fill after a low-pass, of the log distance in
    the rim, of the context distance over its median, and of a candidate's lack of texture (not for `fill="mean"`); none is
    negative, one at least positive. lowpass: px at the index's size, over 0: twice the deviation of a Gaussian. falloff: px,
    of the rim's weights. blended: compare what a blend makes of the candidate, where the fill is a blend or a mean of
    blends. mirror: the decoder's fill is the mean over the photo and its mirror image, twice the time for a slightly lower
    error.
    """

    lowpass: float = 4.0
    content: float = 1.0
    rim: float = 0.005
    context: float = 0.0
    texture: float = 0.002
    falloff: float = 4.0
    blended: bool = True
    mirror: bool = False


@dataclass(frozen=True)
class SearchSettings:
    """Which scenes are considered, and in which order.

    rerank: "none" (order of the context distance), "rim" (order of the squared difference in the rim) or "guided" (nearest
    to a network's fill); focus: px, None for no focus, "auto" for the descriptor's best; candidates: how many nearest
    contexts are considered (no more than the collection holds); rim: width in pixels at the index's size; guided: of the
    guided re-rank, and its lengths, like the rim, of scenes' terms; weights: of the guided re-rank, a file, None for those
    of the package; where: consider scenes alone for which this holds, an expression of `photo_index.where`;
    exclude_same_source: and none of the query's own folder, nor near-duplicates of the query (`retrieval.search_apart`).
    """

    rerank: str = "guided"
    focus: float | str | None = "auto"
    candidates: int = 200
    rim: int = 16
    guided: GuidedSettings = field(default_factory=GuidedSettings)
    weights: str | None = None
    where: str | None = None
    exclude_same_source: bool = False


@dataclass(frozen=True)
class CompletionSettings(SearchSettings):
    """How a photo is completed by retrieval. The defaults of the command line are these; they did best on held-out photos.

    k: candidates that are kept, and blends that `fill="mean"` averages; k contexts are considered, if that is more than
    `candidates`; fill: "paste", "blend" (Poisson) or "mean" (of k blends).
    """

    k: int = 20
    fill: str = "blend"


@dataclass(frozen=True)
class SceneSettings(SearchSettings):
    """How a photo is completed by scene completion in full (`scene_completion`).

    aligned: how many candidates, first in the order of `rerank`, are placed, cut and ranked; top: how many are kept; pick:
    which of these fills, from 1. seam: px of a photo 1024 px long that a seam may cut into known pixels, and around thin
    parts of a hole no more than half their thickness, 1 px at least (`seam_domain`); 0 keeps all of them. mixed: blend with
    mixed gradients.
    terms: weights of the ranking's terms, TERM_WEIGHTS where none is given, 0 for none. trust: the most, of [0, 1] values, by
    which the fill's colours yield to what is expected under the hole (`scene_terms`: a network's fill with a guided re-rank,
    else what the best of AGREEING scenes or more agree on); 0 for not at all. radius, scales: of the local context
    (`local_context.ContextSettings`). side: px, the longest at which a photo is worked on. duplicate: root mean square
    difference, of images in [0, 1], below which two candidates are one.
    """

    aligned: int = 200
    top: int = 20
    pick: int = 1
    seam: float = 16.0
    mixed: bool = False
    terms: dict[str, float] = field(default_factory=dict)
    trust: float = 0.2
    radius: float = 80.0
    scales: tuple[float, ...] = (0.81, 0.90, 1.0)
    side: int = 1024
    duplicate: float = 0.03


@dataclass(frozen=True)
class PatchSettings:
    """How a photo is completed by its own patches, and those of its best scenes (`patch_completion`).

    start: the fill to begin with: "smooth"; "encoder", a network's; "scene", the best scene blended in, which needs an index;
    "auto": "scene" with an index, else "smooth". sources: how many of the best scenes, blended into the photo, patches are
    taken from beside the photo's own, where there is an index (0: none). scenes: how these are found. seed: of the random
    search. side: px, the longest at which a photo is worked on. weights: of the start "encoder", a file, None for those of
    the package.
    """

    start: str = "auto"
    sources: int = 1
    scenes: SceneSettings = field(default_factory=SceneSettings)
    seed: int = 0
    side: int = 1024
    weights: str | None = None


@dataclass(frozen=True)
class DecoderSettings:
    """How a network's decoder completes a photo, without a collection.

    fill: "paste" (the prediction as it is) or "blend" (its gradients, Poisson); mirror: as in `GuidedSettings`; weights: a
    file, None for those of the package.
    """

    fill: str = "paste"
    mirror: bool = False
    weights: str | None = None
