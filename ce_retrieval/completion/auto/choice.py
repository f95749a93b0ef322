"""Which way of filling looks best, and how sure that is: logistic models of the evidence (benchmarks/auto.py fits them)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from ce_retrieval.completion.auto.evidence import Evidence


class Weighed(NamedTuple):
    """An entry of the evidence in a model: its mean and deviation over the photos of the fit, and its weight."""

    mean: float
    deviation: float
    weight: float


class Model(NamedTuple):
    """A logistic model. An entry that is missing counts as its mean; one beyond three deviations as three."""

    bias: float
    terms: Mapping[str, Weighed]

    def chance(self, evidence: Evidence) -> float:
        """Return the chance in (0, 1) of what the model is about."""
        total = self.bias
        for name, (mean, deviation, weight) in self.terms.items():
            if name in evidence:
                total += weight * min(max((evidence[name] - mean) / deviation, -3.0), 3.0)
        return 1 / (1 + math.exp(-total))


# The chance that the best scene looks better than the photo's own patches, before and after the scene was placed.
BEFORE = Model(
    -0.238,
    {
        "width": Weighed(-1.426, 0.654, 1.019),
        "alike": Weighed(0.669, 0.145, 0.333),
    },
)
AFTER = Model(
    -0.621,
    {
        "width": Weighed(-1.426, 0.654, 0.432),
        "detail": Weighed(2.404, 0.599, 0.738),
        "kind": Weighed(0.597, 0.188, 0.642),
        "context": Weighed(6.453, 0.644, -0.377),
        "sharp_patches": Weighed(-0.573, 0.392, -0.572),
        "border_patches": Weighed(0.212, 0.331, 0.991),
        "sharp_scenes": Weighed(-0.269, 0.456, 0.735),
        "border_scenes": Weighed(0.243, 0.425, -1.284),
    },
)
# The chance that the best scene is of the photo's own kind.
OWN_KIND = Model(
    1.800,
    {
        "kind": Weighed(0.660, 0.138, 1.087),
        "alike": Weighed(0.733, 0.116, -0.228),
    },
)

NARROW = -2.6  # width of a part under which its scenes are not searched
WIDE = -1.0  # width of a part from which a scene stays as it is: patches would smear it
SAME_KIND = (
    0.85  # similarity in kind from which one scene is placed, whatever the others are: it may show the very place
)
WORTH = 0.25  # chance before placement under which scenes are not placed
UNLIKE = 0.55  # similarity in kind under which two photos are not alike


def wide_of_kind(evidence: Evidence) -> bool:
    """Return whether a part is wide and its scene of the kind: then the scene wins, whatever `AFTER` says of the looks."""
    return evidence["width"] >= WIDE and evidence.get("kind", -1.0) >= UNLIKE


def scene_wins(evidence: Evidence) -> bool:
    """Return whether a scene that was placed is better than patches."""
    return wide_of_kind(evidence) or AFTER.chance(evidence) >= 0.5
