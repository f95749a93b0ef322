"""How a photo is completed: the choices and their defaults. Imports nothing, so that the command line's help is instant."""

from dataclasses import dataclass, field

METHODS = ("retrieval", "encoder")
RERANKS = ("none", "rim", "guided")
FILLS = ("paste", "blend", "mean")
DECODER_FILLS = ("paste", "blend")


@dataclass(frozen=True)
class GuidedSettings:
    """What `rerank="guided"` orders candidates by: the lowest weighted sum of three distances (`completion.guided`).

    content, rim, context: weights of the distance to the decoder's fill after a low-pass, of the distance in the rim, and
    of the context distance over its median; none is negative, one at least positive. lowpass: px at the index's size,
    over 0: twice the deviation of a Gaussian. falloff: px, of the rim's weights. blended: compare what a blend makes of
    the candidate, where the fill is a blend or a mean of blends. mirror: the decoder's fill is the mean over the photo
    and its mirror image, twice the time for a slightly lower error.
    """

    lowpass: float = 8.0
    content: float = 1.0
    rim: float = 0.25
    context: float = 0.0
    falloff: float = 4.0
    blended: bool = True
    mirror: bool = False


@dataclass(frozen=True)
class SearchSettings:
    """Which scenes are considered, and in which order.

    rerank: "none" (order of the context distance), "rim" (order of the squared difference in the rim) or "guided" (nearest
    to a network's fill); focus: px, None for no focus, "auto" for the descriptor's best; candidates: how many nearest
    contexts are considered (no more than the collection holds); rim: width in pixels at the index's size; guided,
    weights: of the guided re-rank alone, the latter a file, None for those of the package.
    """

    rerank: str = "rim"
    focus: float | str | None = "auto"
    candidates: int = 200
    rim: int = 16
    guided: GuidedSettings = field(default_factory=GuidedSettings)
    weights: str | None = None


@dataclass(frozen=True)
class CompletionSettings(SearchSettings):
    """How a photo is completed by retrieval. The defaults of the command line are these; they did best on held-out photos.

    k: candidates that are kept, and blends that `fill="mean"` averages; k contexts are considered, if that is more than
    `candidates`; fill: "paste", "blend" (Poisson) or "mean" (of k blends).
    """

    k: int = 20
    fill: str = "blend"


@dataclass(frozen=True)
class DecoderSettings:
    """How a network's decoder completes a photo, without a collection.

    fill: "paste" (the prediction as it is) or "blend" (its gradients, Poisson); mirror: as in `GuidedSettings`; weights: a
    file, None for those of the package.
    """

    fill: str = "paste"
    mirror: bool = False
    weights: str | None = None
