"""What became of a part of a hole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ce_retrieval.completion.candidate import Candidate
from ce_retrieval.pixels import Box


@dataclass(frozen=True)
class FilledPart:
    """A part of a hole, and what it was filled by.

    Attributes
    ----------
    box : Box
        In px of the photo.
    pixels : int
        How many of the part are missing.
    method : str
        "places" (other photos of the same place), "patchmatch", "scenes", "scenes+patchmatch" (the patches of a scene's
        fill), or "network".
    confidence : float or None
        In [0, 1]. Of scenes: the chance that they show the same kind of place as the photo; None without kind features. Of
        patches: the chance that no scene would look better. None for other photos of the place, which fill where they certainly
        show it, and for the network, which fills where nothing else can.
    evidence : mapping of str to float
        What the choice was made by (`auto.evidence`).
    scene : Candidate or None
        The scene that fills it; of several photos of the place the one that fills most.
    more : sequence of Candidate
        The further photos of the place that fill it.
    """

    box: Box
    pixels: int
    method: str
    confidence: float | None
    evidence: Mapping[str, float]
    scene: Candidate | None = None
    more: Sequence[Candidate] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the part as JSON types."""
        return {
            "box": list(self.box),
            "pixels": self.pixels,
            "method": self.method,
            "confidence": None if self.confidence is None else round(self.confidence, 3),
            "evidence": {name: round(value, 3) for name, value in self.evidence.items()},
            "scene": asdict(self.scene) if self.scene else None,
            **({"more": [asdict(one) for one in self.more]} if self.more else {}),
        }
