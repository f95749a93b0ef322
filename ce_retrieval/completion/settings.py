"""How a photo is completed: the choices and their defaults. Imports nothing, so that the command line's help is instant."""

from dataclasses import dataclass

RERANKS = ("none", "rim")
FILLS = ("paste", "blend", "mean")


@dataclass(frozen=True)
class CompletionSettings:
    """How a photo is completed. The defaults of the command line are these; they did best on held-out photos.

    k: candidates that are kept, and blends that `fill="mean"` averages; rerank: "none" (order of the context distance)
    or "rim" (order of the squared difference in the rim); fill: "paste", "blend" (Poisson) or "mean" (of k blends);
    focus: px, None for no focus, "auto" for the descriptor's best; candidates: how many nearest contexts are considered
    (k, if that is more, and no more than the collection holds); rim: width in pixels at the index's size.
    """

    k: int = 20
    rerank: str = "rim"
    fill: str = "blend"
    focus: float | str | None = "auto"
    candidates: int = 200
    rim: int = 16
