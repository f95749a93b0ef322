"""Which of the scenes that fit a hole comes first, and what is expected under the hole.

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, section 5: the composites are ordered by
the sum of the scene distance, the local context distance, the local texture distance and the cost of the seam, "normalized
[...] to contribute roughly equally". The paper does not say how; here each term is shifted to median 0 and scaled by its
median absolute deviation over the candidates, so that bad candidates do not squeeze the others together, and one that is far
better than all others in one term is not held to what that term contributes elsewhere. Deviations: the further terms
(`terms`); context, rim and content by their logarithms, detail as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.completion.rerank.query import Query
from ce_retrieval.completion.rerank.rim import SAME_PLACE
from ce_retrieval.completion.scenes.dropped import Dropped
from ce_retrieval.completion.scenes.fit import Fitted
from ce_retrieval.completion.scenes.region import Region
from ce_retrieval.completion.scenes.terms import GistDistance, HoleTerms, hole_terms
from ce_retrieval.completion.settings import AGREEING, KIND_TERMS, TERM_WEIGHTS, SceneSettings
from ce_retrieval.errors import PhotoError, SettingsError, shown
from ce_retrieval.pixels import to_unit

CONSENSUS = 20  # scenes whose blends are averaged, at most; the best tenth of fewer than 200
# The scenes' mean tells less than a network's fill, so the weight of the term content shrinks to this share.
AGREEMENT = 0.75
# Terms that are ranked by their logarithm, and the distance under which all are equally good: 2 of L*a*b* (squared), and
# squares of [0, 1] values. So a photo of the very place, or one just as expected, overrules the other terms.
LOGARITHMIC = {"context": 4.0, "content": 1e-5, "rim": SAME_PLACE}
# Not normalised: the square of a logarithm has a meaning of its own. Half the detail costs 0.5, whatever the others have.
AS_IS = ("detail",)
DUPLICATE = 0.03  # root mean square difference, in [0, 1] units, below which two candidates look the same
NORMAL = 1.4826  # standard deviation over median absolute deviation, of a normal distribution

Scores = Mapping[str, NDArray[Any]]


class Scored(NamedTuple):
    """A fitted scene among the best.

    Attributes
    ----------
    fitted : the scene in its place.
    scores : its distances, by term.
    total : the weighted sum by which it is ordered.
    correction : float32 (S, S, 3) or None
        what the blend should add to it in the hole, at the index's size (`HoleTerms.corrections`); None: nothing is expected,
        or the settings turn the correction off.
    """

    fitted: Fitted
    scores: dict[str, float]
    total: float
    correction: np.ndarray | None


class Order(NamedTuple):
    """The best scenes, best first and no two alike.

    Attributes
    ----------
    best : at most `top`.
    cut : whether a larger `top` would have kept more.
    expected : where the expected content came from, as in `Completion`.
    """

    best: Sequence[Scored]
    cut: bool
    expected: str | None


def term_weights(settings: SceneSettings, own_terms: Iterable[str], *, by_kind: bool) -> dict[str, float]:
    """Return the weights of all ranking terms; SettingsError for an unknown term, or a further one with a name that is taken.

    by_kind: whether scenes have a kind. Of the two terms of KIND_TERMS the other one weighs nothing, unless the settings say so.
    """
    own = dict.fromkeys(own_terms, 1.0)
    for name in own.keys() & TERM_WEIGHTS.keys():
        raise SettingsError(f"a ranking term {name!r} exists: give yours another name")
    gist, kind = KIND_TERMS
    weights = {**TERM_WEIGHTS, **own, (gist if by_kind else kind): 0.0}
    for name in settings.terms:
        if name not in weights:
            raise SettingsError(f"`terms`: no ranking term is called {shown(name)}: choose among {', '.join(weights)}")
    return weights | settings.terms


class SceneRanker:
    """Orders fitted scenes by the settings; keeps the terms of the last holes. Safe to share by threads."""

    def __init__(self, settings: SceneSettings) -> None:
        self._settings = settings
        self._of_hole = hole_terms()
        self._gist = GistDistance()

    def order(self, query: Query, region: Region, fitted: Sequence[Fitted], dropped: Dropped) -> Order:
        """Rank scenes by the weighted sum of their terms; of near-duplicates keep the better one.

        Parameters
        ----------
        fitted : one or more.
        dropped : collects the scenes with a distance that is not finite.

        Raises
        ------
        PhotoError : none can be ranked.
        """
        weights, trust = self._settings.terms, self._settings.trust
        terms = self._of_hole(query.square_hole)
        pictures = np.stack([one.square for one in fitted])
        scores = self._scores(query, region, fitted, terms, pictures)
        expected, source = self._expected(query, scores, terms, pictures)
        if expected is not None and weights["content"]:
            scores["content"] = terms.content(query.square, pictures, expected)
        if source == "scenes":
            weights = weights | {"content": weights["content"] * AGREEMENT}
        _refuse_not_finite(fitted, scores, weights, dropped)
        ranking = rank(_scaled(scores), weights)
        kept = distinct(np.stack([fitted[number].look for number in ranking.order]), self._settings.top)
        order = ranking.order[kept]
        corrections: Sequence[np.ndarray | None] = [None] * len(order)
        if expected is not None and trust:
            corrections = list(terms.corrections(query.square, pictures[order], expected, trust))
        best = [
            Scored(fitted[n], {name: float(values[n]) for name, values in scores.items()}, float(ranking.total[n]), one)
            for n, one in zip(order, corrections, strict=True)
        ]
        return Order(best, len(kept) == self._settings.top < len(ranking.order), source)

    def _scores(
        self, query: Query, region: Region, fitted: Sequence[Fitted], terms: HoleTerms, pictures: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return the distances (K,) by all terms but content; those of `terms` only where they have a weight."""
        weights, photo, hole, _ = self._settings.terms, *region.working
        scores = {name: np.array([one.scores[name] for one in fitted]) for name in fitted[0].scores}
        kinds = [one.neighbor.kind for one in fitted]
        if weights["kind"] and None not in kinds:
            scores["kind"] = 1 - np.array(kinds, np.float64)
        if weights["gist"]:
            scores["gist"] = self._gist.distances(photo, hole, np.stack([one.whole for one in fitted]))
        if weights["detail"]:
            scores["detail"] = terms.detail(query.square, pictures)
        if weights["structure"]:
            scores["structure"] = terms.structure(query.square, pictures)
        if weights["rim"]:
            scores["rim"] = terms.rim(query.square, pictures)
        return scores

    def _expected(
        self, query: Query, scores: Scores, terms: HoleTerms, pictures: np.ndarray
    ) -> tuple[np.ndarray | None, str | None]:
        """Return the expected content float32 (S, S, 3) and its source: the network's fill, or the mean of the best scenes."""
        if not (self._settings.terms["content"] or self._settings.trust):
            return None, None
        if query.expected is not None:
            return query.expected, "network"
        if len(pictures) >= AGREEING:
            best = rank(_scaled(scores), self._settings.terms).order[: min(CONSENSUS, len(pictures) // 10)]
            if len(best):
                return terms.consensus(query.square, pictures[best]), "scenes"
        return None, None


def _scaled(scores: Scores) -> dict[str, np.ndarray]:
    return {name: np.log(LOGARITHMIC[name] + v) if name in LOGARITHMIC else v for name, v in scores.items()}


def _refuse_not_finite(
    fitted: Sequence[Fitted], scores: Scores, weights: Mapping[str, float], dropped: Dropped
) -> None:
    """Drop the scenes that `rank` leaves out, each by its first term that is not finite; PhotoError where that is all."""
    bad: dict[int, str] = {}
    for name, values in scores.items():
        if weights[name] > 0:
            for number in np.flatnonzero(~np.isfinite(values)).tolist():
                bad.setdefault(number, name)
    if len(bad) == len(fitted):
        names = ", ".join(sorted(set(bad.values())))
        raise PhotoError(
            f"no scene can be ranked: of all {len(bad)} the distance by {names} is not finite; return numbers, or give that "
            "term the weight 0 in `terms`"
        )
    for number, name in bad.items():
        dropped.refuse(f"{fitted[number].neighbor.name}: its distance by the ranking term {name} is not finite")


class Ranking(NamedTuple):
    """Candidates in order.

    Attributes
    ----------
    order : int (M,), the candidates that can be used, best first.
    total : float (K,), infinite for the others.
    """

    order: NDArray[np.intp]
    total: NDArray[np.float64]


def rank(scores: Scores, weights: Mapping[str, float]) -> Ranking:
    """Order K candidates by the weighted sum of their normalised scores.

    Parameters
    ----------
    scores : name -> (K,)
        distances in any unit: lower is better. Those of AS_IS are not normalised.
    weights : name -> 0 or more, for all names of `scores`; 0 leaves a term out.

    Returns
    -------
    Ranking : without the candidates that have a score that is not finite, in a term of positive weight; median and deviation
        are those of the others. A term equal for all of them adds 0. Equal totals keep the candidates' order.
    """
    active = {name: np.asarray(values, np.float64) for name, values in scores.items() if weights[name] > 0}
    total = np.zeros(len(next(iter(scores.values()))))
    usable = np.ones(len(total), dtype=bool)
    for values in active.values():
        usable &= np.isfinite(values)
    total[~usable] = np.inf
    for name, values in active.items():
        total[usable] += weights[name] * (values[usable] if name in AS_IS else _normalised(values[usable]))
    order = np.argsort(total, kind="stable")
    return Ranking(order[: int(usable.sum())], total)


def _normalised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shift to median 0 and scale to the median absolute deviation of a normal distribution of deviation 1.

    Where more than half are equal, by the standard deviation; all 0 where the values differ by rounding alone.
    """
    if not len(values):
        return values
    # Scaled first: squares of large scores would overflow, those of small ones vanish.
    largest = np.abs(values).max()
    if largest == 0:
        return np.zeros_like(values)
    values = values / largest
    centred = values - np.median(values)
    spread = NORMAL * np.median(np.abs(centred))
    if spread <= 1e-12:
        spread = values.std()
    return centred / spread if spread > 1e-12 else np.zeros_like(values)


def distinct(looks: NDArray[np.uint8], limit: int) -> NDArray[np.intp]:
    """Return the places, ascending, of the first `limit` pictures that differ from every one kept before by DUPLICATE or more.

    looks: uint8 (K, h, w, 3), best first; small means over areas, so that grain and JPEG noise count little.
    """
    kept: list[int] = []
    values = to_unit(looks)
    for place, value in enumerate(values):
        if len(kept) == limit:
            break
        if all(np.sqrt(np.mean((value - values[other]) ** 2)) >= DUPLICATE for other in kept):
            kept.append(place)
    return np.array(kept, dtype=np.intp)
