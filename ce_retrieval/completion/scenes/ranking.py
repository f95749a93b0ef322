"""Which of the scenes that fit a hole comes first, and what may be expected under the hole.

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, section 5; the terms are those of `fitting`
(the paper's) and `scene_terms`, normalised and added by `ranking`. Deviation: context, rim and content by their
logarithms, detail as it is.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ce_retrieval.completion.rerank.candidates import Query
from ce_retrieval.completion.rerank.rim import SAME_PLACE
from ce_retrieval.completion.scenes.dropped import Dropped
from ce_retrieval.completion.scenes.fit import Fitted
from ce_retrieval.completion.scenes.normalised import Ranking, distinct, not_finite, rank
from ce_retrieval.completion.scenes.terms import GistDistance, hole_terms
from ce_retrieval.completion.settings import AGREEING, TERM_WEIGHTS, SceneSettings
from ce_retrieval.errors import PhotoError, SettingsError

CONSENSUS = 20  # scenes whose blends are averaged, at most; the best tenth of fewer than 200
AGREEMENT = 0.75  # what scenes agree on tells less than a network's fill: its content counts so much of the weight
# Terms that are ranked by their logarithm, and the distance under which all are equally good: 2 of L*a*b* (squared), and
# squares of [0, 1] values. So a photo of the very place, or one just as expected, overrules the other terms.
LOGARITHMIC = {"context": 4.0, "content": 1e-5, "rim": SAME_PLACE}
DUPLICATE = 0.03  # root mean square difference, in [0, 1] units, below which two candidates look the same
# The square of a logarithm means something by itself: a fill of half the detail is the worse by 0.5, whatever others are.
AS_IS = ("detail",)


def term_weights(settings: SceneSettings, own_terms: Iterable[str]) -> dict[str, float]:
    """Return the weights of all ranking terms; SettingsError for an unknown term, or a further one with a name that is taken."""
    own = dict.fromkeys(own_terms, 1.0)
    for name in own.keys() & TERM_WEIGHTS.keys():
        raise SettingsError(f"a ranking term {name!r} exists: give yours another name")
    weights = {**TERM_WEIGHTS, **own}
    for name in settings.terms:
        if name not in weights:
            raise SettingsError(f"no ranking term is called {name!r}: choose among {', '.join(weights)}")
    return weights | settings.terms


class Ordered(NamedTuple):
    """Fitted scenes, best first and no two alike, with their totals.

    cut: a larger `top` would have kept more. wanted: float32 (S, S, 3) of each, at the index's size, what should be added to
    it under the hole (`scene_terms`); None where the settings do not ask for it, or nothing is expected.
    expected: as in `Completion`.
    """

    fitted: Sequence[Fitted]
    totals: Sequence[float]
    cut: bool
    wanted: np.ndarray | None
    expected: str | None


class SceneRanker:
    """Orders fitted scenes by the settings, for any hole. Safe to share by threads."""

    def __init__(self, settings: SceneSettings) -> None:
        self._settings = settings
        self._weights = settings.terms
        self._of_hole = hole_terms()
        self._gist = GistDistance()

    def order(
        self, query: Query, photo: np.ndarray, hole: np.ndarray, fitted: Sequence[Fitted], dropped: Dropped
    ) -> Ordered:
        """Rank by the weighted sum of the terms; of near-duplicates keep the better one.

        photo: uint8 (H, W, 3) with its hole bool (H, W), of any size; dropped gets the scenes of a distance that is no number.
        What was measured is written to the `scores` of the fitted. PhotoError where none can be ranked.
        """
        scores = {name: np.array([one.scores[name] for one in fitted]) for name in fitted[0].scores}
        squares = np.stack([one.square for one in fitted])
        terms = self._of_hole(query.square_hole)
        if self._weights["gist"]:
            scores["gist"] = self._gist.distances(photo, hole, np.stack([one.whole for one in fitted]))
        if self._weights["detail"]:
            scores["detail"] = terms.detail(query.square, squares)
        if self._weights["rim"]:
            scores["rim"] = terms.rim(query.square, squares)
        asked = bool(self._weights["content"] or self._settings.trust)
        expected = query.expected if asked else None
        if asked and expected is None and len(fitted) >= AGREEING:
            agreeing = self._ranked(scores).order[: min(CONSENSUS, len(fitted) // 10)]
            expected = terms.consensus(query.square, squares[agreeing]) if len(agreeing) else None
        if self._weights["content"] and expected is not None:
            scores["content"] = terms.content(query.square, squares, expected)
        for number, one in enumerate(fitted):
            one.scores.update((name, float(values[number])) for name, values in scores.items())
        source = _source(query, expected)
        order, totals, cut = self._kept(fitted, scores, dropped, source)
        wanted = None
        if expected is not None and self._settings.trust:
            wanted = terms.wanted(query.square, squares[order], expected, self._settings.trust)
        return Ordered([fitted[n] for n in order], totals, cut, wanted, source)

    def _ranked(self, scores: dict[str, np.ndarray], source: str | None = None) -> Ranking:
        scaled = {n: np.log(LOGARITHMIC[n] + v) if n in LOGARITHMIC else v for n, v in scores.items()}
        weights = {name: weight for name, weight in self._weights.items() if name in scores}
        if source == "scenes" and "content" in weights:
            weights["content"] *= AGREEMENT
        return rank(scaled, weights, as_is=AS_IS)

    def _kept(
        self, fitted: Sequence[Fitted], scores: dict[str, np.ndarray], dropped: Dropped, source: str | None
    ) -> tuple[np.ndarray, list[float], bool]:
        """Return which of the fitted are kept, in order, with their totals, and whether `top` cut any off."""
        ranking = self._ranked(scores, source)
        bad = not_finite(scores, self._weights)
        if not len(ranking.order):
            names = ", ".join(sorted(set(bad.values())))
            raise PhotoError(
                f"no scene can be ranked: of all {len(bad)} the distance by {names} is not finite; return numbers, or give that "
                "ranking term the weight 0"
            )
        for number, name in bad.items():
            dropped.refuse(
                f"{fitted[number].place.neighbor.name}: its distance by the ranking term {name} is not finite"
            )
        looks = np.stack([fitted[number].look for number in ranking.order])
        kept = distinct(looks, DUPLICATE, limit=self._settings.top)
        order = ranking.order[kept]
        cut = len(kept) == self._settings.top < len(ranking.order)
        return order, [float(ranking.total[n]) for n in order], cut


def _source(query: Query, expected: np.ndarray | None) -> str | None:
    if expected is None:
        return None
    return "network" if query.expected is not None else "scenes"
