"""The page fills holes: as the command line does, with progress, choices, and messages that people understand."""

import io
import json
import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from page_filling import CONTROLS, ELLIPSE, encoded, filled, named, painted
from page_server import GRADIOS_OWN, QUICK, fetched, page_of
from PIL import Image

from ce_retrieval.completion.methods import METHODS
from ce_retrieval.completion.scenes.completer import SceneCompleter
from ce_retrieval.completion.settings import TERM_WEIGHTS
from ce_retrieval.errors import PhotoError
from ce_retrieval.photo_index import PhotoIndex
from cli.main import main

pytest.importorskip("gradio", reason="Gradio is not installed")
pytestmark = GRADIOS_OWN


@pytest.fixture(scope="module")
def pixels(bundled_photos):
    return np.ascontiguousarray(bundled_photos[2][60:220:2, 100:300:2])


@pytest.fixture(scope="module")
def photo(pixels):
    exif = Image.Exif()
    exif[0x010E] = "a cup"
    return encoded(pixels, exif=exif)


@pytest.fixture(scope="module")
def own_index(crop_index, tmp_path_factory):
    """A copy of the small index, which tests may change."""
    return shutil.copytree(crop_index, tmp_path_factory.mktemp("own") / "own.ceret")


@pytest.fixture(scope="module")
def page(crop_index, own_index):
    with page_of(crop_index, own_index, max_pixels=300_000) as tab:
        yield tab


@pytest.fixture
def tab(page, photo):
    """A new tab with a photo."""
    tab = page.another()
    assert "beach.png, 100 × 80 pixels" in tab.choose(photo)[0]
    return tab


def by_command(tab, shown, photo, tmp_path, method, index, *more):
    """What `ceret complete` writes for the photo and the mask that the page has: the PNG and the record."""
    (tmp_path / "beach.png").write_bytes(photo)
    (tmp_path / "mask.png").write_bytes(fetched(tab, shown["mask"]))
    words = [
        "complete",
        tmp_path / "beach.png",
        "--mask",
        tmp_path / "mask.png",
        "--method",
        method,
        "--out",
        tmp_path / "out",
    ]
    if index is not None:
        words += ["--index", index]
    done = CliRunner().invoke(main, [str(word) for word in (*words, *more)])
    assert done.exit_code == 0, done.output
    return (tmp_path / "out" / "beach.png").read_bytes(), json.loads((tmp_path / "out" / "beach.json").read_text())


@pytest.mark.parametrize(
    ("method", "settings", "words"),
    [
        ("scenes", {"seam": 4, "trust": 0.05}, ["--seam", 4, "--trust", 0.05, "--places", "none"]),
        pytest.param(
            "auto", {"where": "width >= 64"}, ["--where", "width >= 64", "--places", "none"], marks=pytest.mark.slow
        ),
        ("patchmatch", {"start": "smooth"}, ["--start", "smooth"]),
    ],
)
def test_the_download_is_what_the_command_writes(tab, photo, tmp_path, crop_index, method, settings, words):
    shown = filled(tab, method=method, **settings)
    quick = ["--rerank", "rim", "--aligned", 8, "--kind", "none"]
    picture, record = by_command(tab, shown, photo, tmp_path, method, crop_index, *quick, *words)
    assert fetched(tab, shown["picture"]) == picture
    mine = json.loads(fetched(tab, shown["record"]))
    different = {name for name in mine.keys() | record.keys() if mine.get(name) != record.get(name)}
    assert different == {"photo", "mask", "sha256"}, "where the files lie, and the hash of the text that says so"
    assert mine["photo"] == {**record["photo"], "path": "beach.png"}
    assert mine["mask"] == {**record["mask"], "path": "beach_mask.png"} and mine["encoding"]["exif"]
    for word in ("ceret complete beach.png --mask beach_mask.png", f"--method {method}", str(crop_index)):
        assert word in shown["command"]


def test_another_candidate_can_be_looked_at_and_taken(tab, photo, tmp_path, crop_index, monkeypatch):
    shown = filled(tab)
    assert shown["gallery"]["selected_index"] == 0 and len(shown["gallery"]["value"]) > 2
    looked, small, source, facts, take, number = tab.call("look", event={"index": 1, "value": None})
    assert looked["visible"] and take["visible"] and number == 1
    assert ".png" in facts and "Overall score" in facts and "visibility of the seam" in facts
    assert 90 < Image.open(io.BytesIO(fetched(tab, small))).width <= 100
    assert max(Image.open(io.BytesIO(fetched(tab, source))).size) == 480, "enlarged, for a fine outline"
    with monkeypatch.context() as patched:
        patched.setattr(SceneCompleter, "queries", None)  # nothing is searched again
        taken = named(tab.call("take_fill", 1))
    assert taken["gallery"]["selected_index"] == 1
    words = ["--rerank", "rim", "--aligned", 8, "--kind", "none", "--places", "none", "--pick", 2]
    picture, record = by_command(tab, taken, photo, tmp_path, "scenes", crop_index, *words)
    assert fetched(tab, taken["picture"]) == picture != fetched(tab, shown["picture"])
    assert [one["share"] for one in record["candidates"][:2]] == [0.0, 1.0]
    sources = tab.call("sources")[0]
    assert len(sources) == len(taken["gallery"]["value"])


def test_a_source_that_is_gone_is_said_and_a_result_goes_with_its_photo(tab, photo, monkeypatch):
    filled(tab)
    monkeypatch.setattr(PhotoIndex, "read_bytes", gone)
    looked, _, source, facts, *_ = tab.call("look", event={"index": 2, "value": None})
    assert looked["visible"] and not source["visible"] and "no longer where it was" in facts
    told = named(tab.call("take_fill", 2))["status"]
    assert "“a.png” cannot be read any more." in told and "ceret" not in told
    assert tab.call("kept")[0]["visible"]
    tab.choose(photo)
    assert not tab.call("kept")[0]["visible"]


def gone(self, record):
    raise PhotoError(
        "/b/a.png of /b.ceret cannot be read any more: put it back, or bring the index up to date with `ceret add /b`"
    )


def test_candidates_of_auto_are_taken_by_scenes(tab):
    shown = filled(tab, painted({"kind": "rectangle", "box": [20, 10, 90, 70]}), method="auto", aligned=20)
    if not shown["gallery"]["value"]:
        pytest.fail("no scene was tried: the hole of this test is too small")
    taken = named(tab.call("take_fill", 0))
    record = json.loads(fetched(tab, taken["record"]))
    assert record["method"] == "scenes" and record["settings"]["pick"] == 1


def test_two_methods_side_by_side(tab):
    shown = filled(tab, method="scenes", other="patchmatch", start="smooth")
    assert shown["versus"]["visible"] and shown["versus"]["label"] == "Scenes (left) and Patches"
    left, right = shown["versus"]["value"]
    assert fetched(tab, left) != fetched(tab, right)
    assert shown["about"].count("<h3>") == 2 and shown["picture"]["label"] == "Download “Scenes”"


def test_stages_are_shown_and_work_can_be_stopped(tab):
    said = []
    values = [*({**CONTROLS, **QUICK, "aligned": 60}).values()]
    for shown in tab.states("fill", painted(ELLIPSE), "crops", "scenes", "patchmatch", *values, *TERM_WEIGHTS.values()):
        said.append(shown[2])
        if len(said) == 1:
            assert shown[0] == {"interactive": False, "__type__": "update"} and shown[1]["interactive"]
            assert "Stopping" in tab.another_call("stop")[0]
    assert "Stopped." in said[-1] and "role='status'" in said[-1] and shown[0]["interactive"]


def test_every_method_has_words_and_controls():
    from ce_retrieval.app import words

    assert words.METHODS.keys() == METHODS.keys() == words.STEPS_OF.keys()
    offered = {name for about in METHODS.values() for name in about.options()}
    left_out = {
        "weights",
        "focus",
        "exclude_same_source",
        "terms",
        "top",
        "pick",
    }  # files, and what the page does itself
    assert offered - left_out == set(CONTROLS)


@pytest.mark.parametrize(
    ("painting", "said"),
    [
        (painted(), "Nothing is painted yet"),
        ("", "Nothing is painted yet"),
        (painted({"kind": "invert"}), "Everything is painted"),
    ],
)
def test_nothing_and_everything_painted(tab, painting, said):
    shown = filled(tab, painting)
    assert said in shown["status"] and "role='alert'" in shown["status"] and shown["begin"]["interactive"]


def test_a_photo_must_be_chosen(page):
    assert "Choose a photo first" in filled(page.another())["status"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"no photo", "“odd.png” cannot be opened as a photo"),
        (encoded(np.zeros((60, 60, 3), np.uint8))[:50], "cannot be opened as a photo"),
        (encoded(np.zeros((600, 600, 3), np.uint8)), "This photo is too large: it has 0 megapixels"),
        (encoded(np.zeros((4, 4, 3), np.uint8)), "pixels"),
    ],
)
def test_a_dead_upload(page, data, said):
    tab = page.another()
    shown = tab.choose(data, "odd.png")
    assert said in shown[0]
    if "too large" in said or "cannot" in said:
        assert "role='alert'" in shown[0] and "Choose a photo first" in filled(tab)["status"]


def test_a_small_photo_is_refused_in_words(page):
    tab = page.another()
    tab.choose(encoded(np.zeros((8, 8, 3), np.uint8)))
    painting = json.dumps({"size": [8, 8], "actions": [{"kind": "rectangle", "box": [2, 2, 5, 5]}]})
    assert re.search("16", filled(tab, painting)["status"])


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("width > 5000", "No photo of the collection passes this filter"),
        ("colour == 'red'", "colour"),
        ("width >", "width &gt;"),
    ],
)
def test_a_filter_that_nothing_passes(tab, where, said):
    shown = filled(tab, where=where)
    assert said in shown["status"] and "role='alert'" in shown["status"] and "`" not in shown["status"]


def test_a_mask_can_be_loaded(tab, photo, tmp_path, crop_index):
    hole = np.zeros((80, 100), np.uint8)
    hole[20:60, 30:70] = 255
    told, _, off = tab.call(
        "load_mask", {"path": tab.send(encoded(hole), "hole.png"), "meta": {"_type": "gradio.FileData"}}, False, False
    )
    assert "“hole.png” marks 20% of the photo" in told and off["visible"]
    shown = filled(tab, painted({"kind": "mask"}))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(fetched(tab, shown["mask"])))), hole)
    wrong = {"path": tab.send(encoded(hole[:40]), "half.png"), "meta": {"_type": "gradio.FileData"}}
    assert "“half.png” is 100x40 pixels, its photo is 100x80" in tab.call("load_mask", wrong, False, False)[0]
    assert "100 × 80 pixels" in tab.call("remove_mask")[0]
    assert "uses an uploaded mask, which is not there" in filled(tab, painted({"kind": "mask"}))["status"]


def test_a_photo_can_be_taken_from_the_collection(page):
    tab = page.another()
    offered = tab.call("offer", "crops")[0]
    assert len(offered) == 18
    told = tab.call("take", "crops", event={"index": 3, "value": None})
    assert offered[3]["caption"].split()[-1] in told[0] and "pixels" in told[0]
    assert "no longer offered" in tab.call("take", "crops", event={"index": 99, "value": None})[0]


def test_similar_photos(tab):
    _, around = tab.call("find", painted(ELLIPSE), "crops", "hole", "index", 7, "")
    _, whole = tab.call("find", painted(ELLIPSE), "crops", "whole", "index", 7, "")
    _, bare = tab.call("find", painted(), "crops", "hole", "index", 7, "")
    names = [[one["caption"] for one in found["value"]] for found in (around, whole, bare)]
    assert len(names[0]) == 7 and names[0] != names[1] == names[2]
    for features in ("kind", "places"):
        told, gallery = tab.call("find", painted(ELLIPSE), "crops", "hole", features, 7, "")
        assert "role='alert'" in told and not gallery["visible"]


def test_an_index_that_was_added_to_is_picked_up_and_one_that_is_gone_is_said(tab, own_index, crop_folder, tmp_path):
    from ce_retrieval.photo_index import add_photos

    more = tmp_path / "more"
    shutil.copytree(crop_folder, more)
    _, before = tab.call("find", "", "own", "whole", "index", 60, "")
    kept = shutil.copytree(own_index, tmp_path / "kept.ceret")
    add_photos(own_index, [more])
    _, after = tab.call("find", "", "own", "whole", "index", 60, "startswith(source, '" + str(more) + "')")
    assert len(before["value"]) == 60 == len(after["value"])
    moved = own_index.rename(own_index.with_name("away"))
    for shown in (tab.call("find", "", "own", "whole", "index", 5, "")[0], filled(tab, collection="own")["status"]):
        assert "The collection “own” is no longer there" in shown
    kept.rename(own_index)  # replaced by another one
    assert tab.call("find", "", "own", "whole", "index", 5, "")[1]["visible"]
    (own_index / "manifest.json").write_text("{}")
    assert "has changed and cannot be opened" in tab.call("find", "", "own", "whole", "index", 5, "")[0]
    shutil.rmtree(own_index)
    moved.rename(own_index)
    assert tab.call("find", "", "own", "whole", "index", 5, "")[1]["visible"]
