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
    -0.181,
    {
        "width": Weighed(-1.333, 0.644, 0.904),
        "repeats": Weighed(-2.092, 0.619, 0.206),
        "alike": Weighed(0.656, 0.147, 1.119),
    },
)
AFTER = Model(
    -0.313,
    {
        "width": Weighed(-1.333, 0.644, 1.023),
        "repeats": Weighed(-2.092, 0.619, 0.217),
        "detail": Weighed(2.455, 0.687, 0.689),
        "alike": Weighed(0.656, 0.147, 0.082),
        "kind": Weighed(0.625, 0.181, -0.393),
        "agree": Weighed(0.578, 0.169, 0.894),
        "context": Weighed(6.336, 0.666, -0.393),
        "rim": Weighed(-3.382, 0.680, 0.026),
        "strange_patches": Weighed(-3.386, 1.127, 0.789),
        "sharp_patches": Weighed(-0.597, 0.376, -0.862),
        "border_patches": Weighed(0.137, 0.303, 0.323),
        "strange_scenes": Weighed(-2.774, 1.040, -1.100),
        "sharp_scenes": Weighed(-0.208, 0.351, 0.712),
        "border_scenes": Weighed(0.140, 0.330, -0.803),
    },
)
# The chance that the best scene is of the photo's own kind.
OWN_KIND = Model(
    1.548,
    {
        "kind": Weighed(0.694, 0.116, 0.277),
        "agree": Weighed(0.651, 0.094, 0.431),
        "alike": Weighed(0.715, 0.090, 0.007),
        "gist": Weighed(-1.091, 0.411, 0.266),
        "context": Weighed(6.244, 0.679, 0.152),
    },
)

NARROW = -2.6  # width of a part under which its scenes are not searched
SAME_KIND = (
    0.85  # similarity in kind from which one scene, perhaps of the very place, is placed whatever the others are
)
WORTH = 0.25  # chance before placement under which scenes are not placed
UNLIKE = 0.55  # similarity in kind under which a collection holds nothing alike
