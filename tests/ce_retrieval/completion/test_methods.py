"""The registry: every method can be made, and settings, index and weights that do not fit are named with their remedy."""

from dataclasses import asdict

import numpy as np
import pytest

from ce_retrieval import make_completer
from ce_retrieval.completion.completer import Completer
from ce_retrieval.completion.methods import METHODS, settings_of
from ce_retrieval.errors import SettingsError
from ce_retrieval.settings import ranges

WITH_INDEX = [name for name, method in METHODS.items() if method.index != "none"]
WITHOUT_INDEX = [name for name, method in METHODS.items() if method.index != "required" and not method.needs_photos]
SEARCHES_SCENES = [name for name in WITH_INDEX if "rerank" in ranges(METHODS[name].settings)]


def refused(method: str, settings: dict, *, has_index: bool) -> str:
    """The one line that refuses this."""
    with pytest.raises(SettingsError) as caught:
        settings_of(method, settings, has_index=has_index)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("method", "with_index"), [*((name, True) for name in WITH_INDEX), *((name, False) for name in WITHOUT_INDEX)]
)
def test_every_method_can_be_made(index, scenes, tiny_weights, method, with_index):
    has_network = "weights" in ranges(METHODS[method].settings)
    settings = {"weights": str(tiny_weights)} if has_network else {}
    settings |= {"start": "network"} if method == "patchmatch" else {}
    made = make_completer(method, index if with_index else None, workers=2, settings=settings, scenes=scenes)
    assert isinstance(made, Completer) and made.method == method and made.workers == 2
    assert type(made.settings) is METHODS[method].settings
    assert (made.about is not None) == with_index
    assert (made.network or {}).get("path") == settings.get("weights")


@pytest.mark.parametrize("method", SEARCHES_SCENES)
def test_the_search_is_set_alike_for_all_methods_with_an_index(method):
    shared = {"rerank", "focus", "candidates", "weights", "where", "exclude_same_source"}
    settings = settings_of(method, {"rerank": "none", "focus": 4.0, "candidates": 7}, has_index=True)
    assert shared <= set(asdict(settings))
    assert (settings.rerank, settings.focus, settings.candidates) == ("none", 4.0, 7)


def test_all_methods_but_places_and_the_network_search_scenes():
    assert set(METHODS) - set(SEARCHES_SCENES) == {"places", "network"}


@pytest.mark.parametrize("has_index", [False, True])
def test_an_unknown_method_names_those_there_are(has_index):
    assert (
        refused("magic", {}, has_index=has_index) == f"`method` 'magic' is unknown: choose one of {', '.join(METHODS)}"
    )


@pytest.mark.parametrize("method", METHODS)
def test_an_unknown_setting_names_those_of_the_method(method):
    said = refused(method, {"magic": 1}, has_index=METHODS[method].index == "required")
    assert (
        said == f"`method` {method} has no setting 'magic': choose among {', '.join(ranges(METHODS[method].settings))}"
    )


@pytest.mark.parametrize("method", [name for name, about in METHODS.items() if about.index == "required"])
def test_a_missing_index_names_what_needs_none(method):
    said = refused(method, {}, has_index=False)
    assert said == f"`method` {method} needs an `index`: give one, or use `method` auto, patchmatch or network"


def test_an_index_that_is_not_used_is_named():
    assert refused("network", {}, has_index=True) == "`method` network uses no `index`: leave it out"


READ_WITHOUT_SCENES = {"start": "network", "weights": None, "side": 60, "seed": 3}
OF_SCENES = {
    "rerank": "rim",
    "focus": None,
    "candidates": 5,
    "where": "width > 9",
    "exclude_same_source": True,
    "allow_same_photo": True,
    "aligned": 9,
    "kind": "none",
    "terms": {},
    "trust": 0.0,
    "sources": 2,
}


def test_without_an_index_settings_of_the_scenes_are_refused():
    assert {*READ_WITHOUT_SCENES, *OF_SCENES} == set(ranges(METHODS["patchmatch"].settings))
    for name, value in OF_SCENES.items():
        said = refused("patchmatch", {**READ_WITHOUT_SCENES, name: value}, has_index=False)
        assert said == f"without an `index`, `method` patchmatch does not read `{name}`: give one, or leave them out"
    chosen = settings_of("patchmatch", READ_WITHOUT_SCENES, has_index=False)
    assert {name: getattr(chosen, name) for name in READ_WITHOUT_SCENES} == READ_WITHOUT_SCENES


@pytest.mark.parametrize(
    ("method", "settings", "has_index"),
    [
        ("scenes", {"rerank": "rim"}, True),
        ("retrieval", {"rerank": "none"}, True),
        ("patchmatch", {"rerank": "rim"}, True),
        ("patchmatch", {}, False),
        ("patchmatch", {"start": "smooth"}, False),
    ],
)
def test_weights_that_nothing_reads_are_named(method, settings, has_index):
    said = refused(method, {**settings, "weights": "a.safetensors"}, has_index=has_index)
    assert said == "no network is used by these settings: leave `weights` out, or set `rerank` to guided"
    settings_of(method, settings, has_index=has_index)


@pytest.mark.parametrize(
    ("method", "settings", "said"),
    [
        ("scenes", {"aligned": 0}, "`aligned` is 0: expected a whole number from 1 to 1000000000"),
        ("scenes", {"aligned": 2.5}, "`aligned` is 2.5: expected a whole number from 1 to 1000000000"),
        ("scenes", {"aligned": "many"}, "`aligned` is 'many': expected a whole number from 1 to 1000000000"),
        ("scenes", {"seam": 41}, "`seam` is 41: expected a number from 0 to 40"),
        ("scenes", {"seam": "wide"}, "`seam` is 'wide': expected a number from 0 to 40"),
        ("scenes", {"trust": float("nan")}, "`trust` is nan: expected a number from 0 to 1"),
        ("scenes", {"pick": 3, "top": 2}, "`pick` is 3, but 2 candidates are kept: choose a larger `top`"),
        ("scenes", {"terms": {"rim": -1}}, "`terms`: the weight of rim is -1: expected a number from 0 to 1000000000"),
        (
            "scenes",
            {"terms": {"rim": 1e308}},
            "`terms`: the weight of rim is 1e+308: expected a number from 0 to 1000000000",
        ),
        ("scenes", {"mixed": "no"}, "`mixed` is 'no': expected True or False"),
        ("scenes", {"focus": 1e-300}, "`focus` is 1e-300: expected a number from 0.1 to 1000000000 px, None or 'auto'"),
        ("scenes", {"focus": "near"}, "`focus` is 'near': expected a number from 0.1 to 1000000000 px, None or 'auto'"),
        ("retrieval", {"k": 0}, "`k` is 0: expected a whole number from 1 to 1000000000"),
        ("retrieval", {"fill": "smooth"}, "`fill` is 'smooth': expected one of paste, blend, mean"),
        ("patchmatch", {"start": "here"}, "`start` is 'here': expected one of auto, smooth, network, scene"),
        ("patchmatch", {"sources": -1}, "`sources` is -1: expected a whole number from 0 to 1000000000"),
        ("network", {"fill": "mean"}, "`fill` is 'mean': expected one of paste, blend"),
    ],
)
def test_values_out_of_range_are_named(method, settings, said):
    assert refused(method, settings, has_index=method != "network") == said


def test_numbers_of_numpy_are_numbers():
    settings = settings_of("scenes", {"aligned": np.int64(5), "seam": np.float32(2.5)}, has_index=True)
    assert (settings.aligned, settings.seam) == (5, 2.5)


def test_no_thread_at_all_is_refused(index):
    with pytest.raises(SettingsError, match="`workers` is 0: expected a whole number from 1 to 1024"):
        make_completer("scenes", index, workers=0, settings={"rerank": "rim"})
