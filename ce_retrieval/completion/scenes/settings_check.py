"""What settings of scene completion are allowed, and whether a network can tell what is to be expected."""

from collections.abc import Iterable
from dataclasses import replace

from ce_retrieval.completion.settings import AGREEING, TERM_WEIGHTS, SceneSettings
from ce_retrieval.errors import CeretError, PhotoIndexError


def can_predict(weights: str | None) -> bool:
    """Whether a network can be loaded, by a look at the files alone."""
    from ce_retrieval.models.requirements import require_torch
    from ce_retrieval.models.shipped import weights_path

    try:
        require_torch("a network")
        weights_path(weights)
    except CeretError:
        return False
    return True


def checked(settings: SceneSettings, own_terms: Iterable[str]) -> SceneSettings:
    """Return the settings with the weights of all terms that scenes are ranked by; PhotoIndexError for one out of range."""
    for name, number in (("aligned", settings.aligned), ("top", settings.top), ("pick", settings.pick)):
        if number < 1:
            raise PhotoIndexError(f"{name} is {number}: expected 1 or more")
    if settings.pick > settings.top:
        raise PhotoIndexError(f"pick is {settings.pick}, but {settings.top} candidates are kept: choose a larger top")
    if not 0 < settings.radius < float("inf"):
        raise PhotoIndexError(f"radius is {settings.radius} px: expected a positive number")
    if not 0 <= settings.seam <= settings.radius / 2:
        raise PhotoIndexError(f"seam is {settings.seam:g} px: expected 0 to {settings.radius / 2:g}, half the context")
    if not 0 <= settings.trust <= 1:
        raise PhotoIndexError(f"trust is {settings.trust}: expected 0 to 1, of values in [0, 1]")
    if settings.side < 16:
        raise PhotoIndexError(f"side is {settings.side} px: expected 16 or more")
    if not settings.duplicate >= 0:
        raise PhotoIndexError(f"duplicate is {settings.duplicate}: expected 0 or more")
    if not settings.scales or not all(0 < scale < float("inf") for scale in settings.scales):
        raise PhotoIndexError(f"scales are {settings.scales}: expected one or more positive numbers")
    own = dict.fromkeys(own_terms, 1.0)
    for name in own.keys() & TERM_WEIGHTS.keys():
        raise PhotoIndexError(
            f"a ranking term of one's own is called {name!r}, as one that is there: give it another name"
        )
    weights = {**TERM_WEIGHTS, **own}
    for name, weight in settings.terms.items():
        if name not in weights:
            raise PhotoIndexError(f"no ranking term is called {name!r}: choose among {', '.join(weights)}")
        if not 0 <= weight < float("inf"):
            raise PhotoIndexError(f"the weight of {name} is {weight}: expected 0 or more")
    few = min(settings.aligned, settings.candidates) < AGREEING
    asked = settings.terms.get("content", 0.0) not in (0.0, TERM_WEIGHTS["content"])
    if asked and settings.rerank != "guided" and few:
        raise PhotoIndexError(
            f"the term content needs a network's weights or {AGREEING} scenes that agree: rank by `guided`, have more "
            "candidates aligned, or leave it out"
        )
    weights.update(settings.terms)
    return replace(settings, terms=weights)
