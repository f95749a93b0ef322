"""The grammar of methods."""

import re

import pytest

from ce_retrieval.errors import SettingsError
from ce_retrieval.evaluation import default_methods, parse_methods


@pytest.mark.parametrize(
    ("name", "kind", "base", "focus", "rerank", "fill"),
    [
        ("smooth", "classical", "smooth", "auto", "none", "paste"),
        ("navier-stokes", "classical", "navier-stokes", "auto", "none", "paste"),
        ("oracle", "pixels", "oracle", "auto", "none", "paste"),
        ("ring+blend", "pixels", "ring", "auto", "none", "blend"),
        ("hog", "features", "hog", "auto", "none", "paste"),
        ("thumbnail:16@none", "features", "thumbnail:16", None, "none", "paste"),
        ("thumbnail@8.5+rim+mean", "features", "thumbnail", 8.5, "rim", "mean"),
        ("gist+rim", "features", "gist", "auto", "rim", "paste"),
        ("hog:cells@4+blend", "features", "hog:cells", 4.0, "none", "blend"),
        ("thumbnail@4+guided+mean", "features", "thumbnail", 4.0, "guided", "mean"),
        ("hog+guided", "features", "hog", "auto", "guided", "paste"),
        ("thumbnail+rim+scenes", "features", "thumbnail", "auto", "rim", "scenes"),
        ("hog+scenes+guided", "features", "hog", "auto", "guided", "scenes"),
        ("thumbnail@4+guided+patchmatch", "features", "thumbnail", 4.0, "guided", "patchmatch"),
        ("patchmatch", "patches", "", "auto", "none", "paste"),
        ("network", "network", "", "auto", "none", "paste"),
        ("network+blend", "network", "", "auto", "none", "blend"),
        ("network:a/b@c+d.safetensors+blend", "network", "a/b@c+d.safetensors", "auto", "none", "blend"),
    ],
)
def test_names(name, kind, base, focus, rerank, fill):
    (method,) = parse_methods([f" {name} "], 128)
    assert method.name == ("hog+guided+scenes" if name == "hog+scenes+guided" else name)
    assert (method.kind, method.base) == (kind, base)
    assert (method.focus, method.rerank, method.fill) == (focus, rerank, fill)
    assert (method.descriptor is not None) == (kind == "features")


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("thumbnail:32@8.0+blend+rim", "thumbnail@8+rim+blend"),
        ("thumbnail:32+blend+guided", "thumbnail+guided+blend"),
        ("thumbnail:32", "thumbnail"),
        ("hog@1e1", "hog@10"),
    ],
)
def test_every_spelling_has_one_name(spelled, name):
    (method,) = parse_methods([spelled], 128)
    assert method == parse_methods([name], 128)[0] and method.name == name
    assert method.descriptor.spec == name.partition("@")[0].partition("+")[0]
    with pytest.raises(SettingsError, match=f"`methods` names '{re.escape(name)}' twice"):
        parse_methods([spelled, "smooth", name], 128)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("sift", "network, patchmatch, telea, navier-stokes, biharmonic, smooth, oracle, ring"),
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
        ("patchmatch+blend", "is unknown"),
        ("smooth+patchmatch", "takes no additions"),
        ("ring+rim", r"takes \+blend alone"),
        ("ring@4", r"takes \+blend alone"),
        ("hog+rim+guided", "'guided' does not fit"),
        ("network:", r"expected network\[:CHECKPOINT\]\[\+blend\]"),
        ("network+mean", r"expected network\[:CHECKPOINT\]"),
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
        parse_methods(["smooth", name], 128)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "completion"),
    [
        ("hog", "retrieval"),
        ("hog+rim+mean", "retrieval"),
        ("hog+scenes", "scenes"),
        ("hog+rim+patchmatch", "patchmatch"),
        ("patchmatch", "patchmatch"),
        ("network+blend", "network"),
        ("ring+blend", ""),
        ("smooth", ""),
    ],
)
def test_which_method_of_completion_fills(name, completion):
    assert parse_methods([name], 128)[0].completion == completion


def test_the_focus_in_pixels_is_the_descriptors_best_unless_named():
    names = ("thumbnail", "thumbnail@none", "thumbnail@4", "gist")
    assert [method.focus_px for method in parse_methods(names, 128)] == [8.0, None, 4.0, None]


def test_none_at_all():
    with pytest.raises(SettingsError, match="`methods` names none"):
        parse_methods([], 128)


def test_defaults_can_be_parsed(tiny_weights, tmp_path):
    for weights in (str(tiny_weights), str(tmp_path / "none.safetensors")):
        names = default_methods("thumbnail:16", weights)
        assert [method.name for method in parse_methods(names, 64)] == list(names)


def test_the_learned_methods_are_default_where_weights_and_torch_are(tiny_weights, tmp_path, monkeypatch):
    learned = ["thumbnail+guided", "thumbnail+guided+blend", "thumbnail+guided+mean", "network"]
    hand_made = ["thumbnail", "thumbnail+rim", "thumbnail+rim+blend", "thumbnail+rim+mean", "smooth", "oracle"]
    assert list(default_methods("thumbnail", str(tiny_weights))) == [*hand_made[:4], *learned, *hand_made[4:]]
    assert list(default_methods("thumbnail", str(tmp_path / "none.safetensors"))) == hand_made
    monkeypatch.setattr("ce_retrieval.models.requirements.find_spec", lambda name: None)
    assert list(default_methods("thumbnail", str(tiny_weights))) == hand_made
