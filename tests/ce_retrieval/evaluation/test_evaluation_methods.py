"""The grammar of methods."""

import dataclasses
import re

import pytest

from ce_retrieval.completion.methods import METHODS
from ce_retrieval.errors import SettingsError
from ce_retrieval.evaluation import EvaluationSettings, default_methods, parse_methods
from ce_retrieval.evaluation.methods import completion_settings


def parse(*names, size=128, features="gist"):
    return parse_methods(names, size, "none", features)


GUIDED_PATCHES = {"rerank": "guided", "focus": 4.0}
TERMS = {"terms": {"content": 0.0, "rim": 2.5}}


@pytest.mark.parametrize(
    ("name", "kind", "base", "features", "settings"),
    [
        ("smooth", "classical", "smooth", "", {}),
        ("navier-stokes", "classical", "navier-stokes", "", {}),
        ("oracle", "pixels", "oracle", "", {"fill": "paste"}),
        ("ring+blend", "pixels", "ring", "", {"fill": "blend"}),
        ("hog", "completion", "retrieval", "hog", {"rerank": "none", "fill": "paste"}),
        (
            "thumbnail:16@none",
            "completion",
            "retrieval",
            "thumbnail:16",
            {"focus": None, "rerank": "none", "fill": "paste"},
        ),
        (
            "thumbnail@8.5+rim+mean",
            "completion",
            "retrieval",
            "thumbnail",
            {"focus": 8.5, "rerank": "rim", "fill": "mean"},
        ),
        (
            "hog:cells@4+blend",
            "completion",
            "retrieval",
            "hog:cells",
            {"focus": 4.0, "rerank": "none", "fill": "blend"},
        ),
        ("hog+guided", "completion", "retrieval", "hog", {"rerank": "guided", "fill": "paste"}),
        ("hog+blend+k=3", "completion", "retrieval", "hog", {"rerank": "none", "fill": "blend", "k": 3}),
        ("thumbnail+rim+scenes", "completion", "scenes", "thumbnail", {"rerank": "rim"}),
        ("hog+scenes+guided", "completion", "scenes", "hog", {"rerank": "guided"}),
        ("thumbnail@4+guided+patchmatch", "completion", "patchmatch", "thumbnail", GUIDED_PATCHES),
        ("hog+patchmatch+sources=3", "completion", "patchmatch", "hog", {"rerank": "none", "sources": 3}),
        ("scenes", "completion", "scenes", "gist", {}),
        ("auto", "completion", "auto", "gist", {}),
        ("auto+alone", "completion", "auto", "", {}),
        (
            "scenes+rim+aligned=60+focus=8",
            "completion",
            "scenes",
            "gist",
            {"rerank": "rim", "aligned": 60, "focus": 8.0},
        ),
        ("scenes+focus=none+mixed=yes", "completion", "scenes", "gist", {"focus": None, "mixed": True}),
        ("scenes+focus=auto+trust=0.5", "completion", "scenes", "gist", {"focus": "auto", "trust": 0.5}),
        ("scenes+terms.content=0+terms.rim=2.5", "completion", "scenes", "gist", TERMS),
        ("scenes+where=width >= 64", "completion", "scenes", "gist", {"where": "width >= 64"}),
        ("retrieval+mean", "completion", "retrieval", "gist", {"fill": "mean"}),
        ("patchmatch", "completion", "patchmatch", "", {}),
        ("patchmatch+start=network", "completion", "patchmatch", "", {"start": "network"}),
        ("patchmatch+index", "completion", "patchmatch", "gist", {}),
        ("patchmatch+index+start=smooth", "completion", "patchmatch", "gist", {"start": "smooth"}),
        ("network", "completion", "network", "", {}),
        ("network+blend", "completion", "network", "", {"fill": "blend"}),
        ("network+mirror=yes", "completion", "network", "", {"mirror": True}),
        (
            "network:a/b@c+d.safetensors+blend+mirror=no",
            "completion",
            "network",
            "",
            {"weights": "a/b@c+d.safetensors", "fill": "blend", "mirror": False},
        ),
    ],
)
def test_names(name, kind, base, features, settings):
    (method,) = parse(f" {name} ")
    assert method.name == ("hog+guided+scenes" if name == "hog+scenes+guided" else name)
    assert (method.kind, method.base, method.features) == (kind, base, features)
    assert method.settings == settings


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("thumbnail:32@8.0+blend+rim", "thumbnail@8+rim+blend"),
        ("thumbnail:32+blend+guided", "thumbnail+guided+blend"),
        ("thumbnail:32", "thumbnail"),
        ("hog@1e1", "hog@10"),
        ("patchmatch+alone", "patchmatch"),
        ("patchmatch+ start = smooth+index", "patchmatch+index+start=smooth"),
        ("scenes+ aligned =60", "scenes+aligned=60"),
    ],
)
def test_every_spelling_has_one_name(spelled, name):
    (method,) = parse(spelled)
    assert method == parse(name)[0] and method.name == name
    if method.base == "retrieval":
        assert method.features == name.partition("@")[0].partition("+")[0]
    with pytest.raises(SettingsError, match=f"`methods` names '{re.escape(name)}' twice"):
        parse(spelled, "smooth", name)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("sift", "scenes, retrieval, patchmatch, network, telea, navier-stokes, biharmonic, smooth, oracle, ring"),
        ("", "begins with one of"),
        ("hog+rim+rim", "'rim' does not fit"),
        ("hog+blend+mean", "'mean' does not fit"),
        ("hog+paste", r"expected FEATURES\[@PX\]"),
        ("smooth+blend", "takes no additions"),
        ("telea@4", "takes no additions"),
        ("oracle+mean", r"takes \+blend alone"),
        ("oracle+scenes", r"takes \+blend alone"),
        ("hog+blend+scenes", "'scenes' does not fit"),
        ("hog+scenes+patchmatch", "'patchmatch' does not fit"),
        ("patchmatch+blend", "'blend' does not fit there: expected NAME=VALUE, NAME one of rerank, focus"),
        ("scenes+colour=3", "'colour=3' does not fit there: .*NAME one of rerank, focus, candidates"),
        ("scenes+aligned", "'aligned' does not fit there"),
        ("scenes+aligned=many", "aligned is 'many': expected a whole number"),
        ("scenes+aligned=6.5", "aligned is '6.5': expected a whole number"),
        ("scenes+aligned=0", "aligned is 0: expected a whole number from 1 to"),
        ("scenes+trust=nan", "trust is nan: expected a number from 0 to 1"),
        ("scenes+mixed=perhaps", "mixed is 'perhaps': expected yes or no"),
        ("scenes+rerank=best", "rerank is 'best': expected one of none, rim, guided"),
        ("scenes+rim+rerank=guided", "sets rerank twice"),
        ("scenes+terms=2", "'terms=2' does not fit there: expected terms.TERM=VALUE, TERM one of scene, context"),
        ("scenes+terms.sky=2", "TERM one of scene, context"),
        ("scenes+terms.rim=much", "terms.rim is 'much': expected a number"),
        ("scenes+terms.rim=1+terms.rim=2", "sets terms.rim twice"),
        ("scenes+aligned.rim=1", "'aligned.rim=1' does not fit there"),
        ("scenes+exclude_same_source=yes", "'exclude_same_source=yes' does not fit there"),
        ("scenes+index", "of methods that may do without an index"),
        ("network+alone", "of methods that may do without an index"),
        ("patchmatch+alone+index", "one of .alone and .index"),
        ("scenes:5", "is unknown"),
        ("scenes@4", "is unknown"),
        ("hog+network", "'network' does not fit there"),
        ("hog@4+focus=8", "'focus=8' does not fit there: expected FEATURES"),
        ("hog+rerank=rim", "'rerank=rim' does not fit there: expected FEATURES"),
        ("hog+retrieval", "'retrieval' does not fit"),
        ("hog+sources=3", "'sources=3' does not fit there"),
        ("smooth+patchmatch", "takes no additions"),
        ("ring+rim", r"takes \+blend alone"),
        ("ring@4", r"takes \+blend alone"),
        ("hog+rim+guided", "'guided' does not fit"),
        ("network:", r"expected network\[:CHECKPOINT\]\[\+NAME=VALUE...\], NAME one of fill, mirror"),
        ("network+mean", "fill is 'mean': expected one of paste, blend"),
        ("network@4", "is unknown"),
        ("hog@", "the focus '' is not a number from 0.1 to 1000000000 px, nor none"),
        ("hog@0", "not a number from"),
        ("hog@inf", "not a number from"),
        ("hog@1e-300", "not a number from"),
        ("hog@nan", "not a number from"),
        ("thumbnail:7", "`methods` 'thumbnail:7': thumbnail:7: these cells do not divide"),
    ],
)
def test_what_is_wrong_is_named(name, says):
    with pytest.raises(SettingsError, match=says) as caught:
        parse("smooth", name)
    assert "\n" not in str(caught.value)


def test_the_focus_in_pixels_is_the_descriptors_best_unless_named():
    names = ("thumbnail", "thumbnail@none", "thumbnail@4", "gist", "scenes", "scenes+focus=3")
    assert [method.focus for method in parse(*names)] == [8.0, None, 4.0, None, None, 3.0]


def test_a_method_is_measured_once_it_is_in_the_registry(monkeypatch):
    """One that may do without an index gets it, unless its name says otherwise."""
    monkeypatch.setitem(METHODS, "newer", dataclasses.replace(METHODS["patchmatch"], completer="nowhere:Nobody"))
    with_index, alone, other, both = parse("newer", "newer+alone", "hog+newer", "newer+aligned=5+index")
    assert [method.base for method in (with_index, alone, other, both)] == ["newer"] * 4
    assert [method.features for method in (with_index, alone, other, both)] == ["gist", "", "hog", "gist"]
    assert (with_index.name, alone.name, both.name) == ("newer", "newer+alone", "newer+aligned=5")
    with pytest.raises(SettingsError, match=r"scenes, retrieval, patchmatch, network, newer, telea"):
        parse("sift")


def settings_of(name, count=60, **settings):
    return completion_settings(parse(name)[0], EvaluationSettings((name,), **settings), count)


def test_what_an_evaluation_sets():
    """Every known pixel is kept; a name's own settings come first; without an index only what is read there is set."""
    kept = {"seam": 0.0, "allow_same_photo": True}
    assert settings_of("scenes") == kept
    assert settings_of("scenes+seam=3+aligned=7", aligned=5, candidates=9) == {
        "seam": 3.0,
        "allow_same_photo": True,
        "aligned": 7,
        "candidates": 9,
    }
    assert settings_of("patchmatch", aligned=5) == {}
    assert settings_of("patchmatch+index", aligned=5) == {"allow_same_photo": True, "aligned": 5}
    assert settings_of("network") == {}
    assert [settings_of(name, k=3)["k"] for name in ("hog", "hog+mean", "hog+blend+k=2")] == [20, 3, 2]
    assert settings_of("hog", count=7)["k"] == settings_of("hog", candidates=7)["k"] == 7


def test_weights_go_to_methods_that_run_a_network():
    with_weights = ("scenes", "hog+guided", "network", "patchmatch+start=network", "patchmatch+index")
    without = ("scenes+rim", "hog", "patchmatch", "patchmatch+index+rim+start=smooth")
    for name in with_weights:
        assert settings_of(name, weights="w")["weights"] == "w"
    assert settings_of("network:own", weights="w")["weights"] == "own"
    for name in without:
        assert "weights" not in settings_of(name, weights="w")


def test_settings_that_do_not_go_together_name_the_method():
    for name, message in (
        ("scenes+pick=30", "`methods` 'scenes\\+pick=30': `pick` is 30, but 20 candidates are kept"),
        ("patchmatch+sources=2", "without an `index`, `method` patchmatch does not read `sources`"),
        ("patchmatch+weights=w", "no network is used by these settings"),
    ):
        with pytest.raises(SettingsError, match=message):
            settings_of(name)


def test_none_at_all():
    with pytest.raises(SettingsError, match="`methods` names none"):
        parse()


def test_defaults_can_be_parsed(tiny_weights, tmp_path):
    for weights in (str(tiny_weights), str(tmp_path / "none.safetensors")):
        names = default_methods("thumbnail:16", weights)
        assert [method.name for method in parse(*names, size=64)] == list(names)


def test_the_learned_methods_are_default_where_weights_and_torch_are(tiny_weights, tmp_path, monkeypatch):
    learned = ["thumbnail+guided", "thumbnail+guided+blend", "thumbnail+guided+mean", "network"]
    hand_made = ["thumbnail", "thumbnail+rim", "thumbnail+rim+blend", "thumbnail+rim+mean", "smooth", "oracle"]
    assert list(default_methods("thumbnail", str(tiny_weights))) == [*hand_made[:4], *learned, *hand_made[4:]]
    assert list(default_methods("thumbnail", str(tmp_path / "none.safetensors"))) == hand_made
    monkeypatch.setattr("ce_retrieval.models.requirements.find_spec", lambda name: None)
    assert list(default_methods("thumbnail", str(tiny_weights))) == hand_made
