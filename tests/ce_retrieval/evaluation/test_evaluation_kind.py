"""kind@1 and kind@20: how often photos are filled from scenes with their label."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from ce_retrieval import complete
from ce_retrieval.evaluation import EvaluationSettings, evaluate, markdown_table, notes, write_report
from ce_retrieval.evaluation.measuring import kind_shares
from ce_retrieval.holes.strategies import center_holes
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index
from ce_retrieval.photos import load_photo

METHODS = (
    "thumbnail:16",
    "thumbnail:16+rim+mean",
    "thumbnail:16+rim+scenes+aligned=30",
    "scenes+rim+aligned=30+top=3",
    "patchmatch+index+rim+aligned=10",
    "oracle",
    "ring+blend",
    "smooth",
    "patchmatch",
)


def run(folder, index, out, methods=METHODS, **settings):
    return evaluate([folder], index, out, EvaluationSettings(tuple(methods), **settings))


@pytest.mark.parametrize(
    "masks", ["center", *(pytest.param(name, marks=pytest.mark.slow) for name in ("block", "region")), "files"]
)
def test_every_method_under_every_hole(query_folder, opened, tmp_path, masks, odd_holes):
    if masks == "files":
        (tmp_path / "masks").mkdir()
        Image.fromarray(odd_holes(64, 64)["parts"]).save(tmp_path / "masks/a.png")
        masks = str(tmp_path / "masks")
    found = run(query_folder, opened, tmp_path, METHODS, masks=masks, limit=3)
    assert [result.method.name for result in found.results] == list(METHODS) and len(found.names) == 3
    both, best = {"kind@1", "kind@20"}, {"kind@1"}
    assert [set(result.kind) for result in found.results] == [both, both, both, both, best, best, best, set(), set()]
    for result in found.results:
        assert set(result.kind) == {name for name in result.photos if "@" in name}
        for name, mean in result.kind.items():
            assert mean == pytest.approx(np.mean(result.photos[name])) and 0 <= mean <= 1


def test_shares_by_hand(query_folder, opened, collection, tmp_path):
    """The labels of the candidates that `complete` names; of a search by pixels that of the one photo."""
    known = {
        "thumbnail:16": ({"method": "retrieval", "rerank": "none", "fill": "paste"}, 20),
        "thumbnail:16+rim+mean": ({"method": "retrieval", "rerank": "rim", "fill": "mean", "k": 5}, 5),
        "thumbnail:16+rim+scenes+aligned=30": ({"rerank": "rim", "aligned": 30, "seam": 0.0}, 20),
        "scenes+rim+aligned=30+top=3": ({"rerank": "rim", "aligned": 30, "top": 3, "seam": 0.0}, 3),
        "patchmatch+index+rim+aligned=10": ({"method": "patchmatch", "rerank": "rim", "aligned": 10}, 1),
    }
    found = run(query_folder, opened, tmp_path, (*known, "oracle"), limit=2, k=5)
    *by_features, oracle = found.results
    hole = center_holes(1, 64)[0]
    for row, path in enumerate(found.names):
        photo, label = load_photo(query_folder / path, size=64).pixels, path.partition("/")[0]
        for result, (settings, kept) in zip(by_features, known.values(), strict=True):
            candidates = complete(
                photo, hole, opened, **{"method": "scenes", "allow_same_photo": True, **settings}
            ).candidates
            right = [candidate.label == label for candidate in candidates]
            assert len(right) == kept
            assert result.photos["kind@1"][row] == right[0]
            assert result.photos.get("kind@20", right)[row if kept > 1 else 0] == pytest.approx(np.mean(right))
        nearest = ((collection[:, hole] / 255 - photo[hole] / 255) ** 2).mean(axis=(1, 2)).argmin()
        assert oracle.photos["kind@1"][row] == (opened.labels[nearest] == label)
    shares = [result.kind["kind@20"] for result in by_features[:4]]
    assert 0 < min(shares) < 1


def test_shares_of_labels():
    collection = ["a", "b", "", "c"]
    found = kind_shares(
        ["a", "b", "", "a", "x"], collection, {0: ["a", "b"], 1: ["a", "", "b", "b"], 2: ["a"], 4: ["a"]}
    )
    np.testing.assert_array_equal(found["kind@1"], [1, 0, np.nan, np.nan, 0])  # no label; filled from no scene
    np.testing.assert_array_equal(found["kind@20"], [0.5, 0.5, np.nan, np.nan, 0])
    assert set(kind_shares(["a", "b"], collection, {0: ["a"], 1: ["c"]})) == {"kind@1"}
    for queries in (["", ""], ["x", "y"]):  # no labels, and none in common
        assert kind_shares(queries, collection, {0: ["a"], 1: ["a"]}) == {}
    assert kind_shares(["a"], collection, {}) == kind_shares(["a"], ["", ""], {0: [""]}) == {}
    assert kind_shares(["a", "x"], collection, {0: [], 1: []}) == {}


def test_without_labels_there_are_no_columns(query_folder, opened, crop_folder, tmp_path):
    flat = tmp_path / "flat"
    shutil.copytree(query_folder / "photo0", flat)
    shutil.copytree(flat, tmp_path / "other" / "some-label")
    build_index([crop_folder / "photo1"], tmp_path / "t.ceret", IndexSettings("thumbnail:16", "none", 64, 1))
    bare = PhotoIndex.open(tmp_path / "t.ceret")
    for folder, index in ((flat, opened), (tmp_path / "other", opened), (query_folder, bare)):
        found = run(folder, index, tmp_path / "out", ("thumbnail:16", "oracle"), limit=2)
        assert [result.kind for result in found.results] == [{}, {}]
        assert "kind@" not in markdown_table(found) and not any("kind@" in line for line in notes(found))
        (path,) = [path for path in write_report(found, tmp_path / "out") if path.suffix == ".json"]
        for entry in json.loads(path.read_bytes())["methods"]:
            assert entry["kind@1"] is None and entry["kind@20"] is None
            assert not [name for name in entry["photos"] if "@" in name]


def test_photos_without_a_label_are_said_not_to_count(query_folder, opened, tmp_path):
    shutil.copytree(query_folder, tmp_path / "photos")
    for number in range(2):
        (tmp_path / f"photos/photo0/q{number}.png").rename(tmp_path / f"photos/{number}.png")
    found = run(tmp_path / "photos", opened, tmp_path / "out", ("thumbnail:16", "smooth"))
    result = found.results[0]
    assert np.isnan(result.photos["kind@1"]).sum() == 2 and len(found.names) == 12
    assert result.kind["kind@1"] == pytest.approx(np.nanmean(result.photos["kind@1"]))
    assert "Photos with a label, and filled from a scene, that this counts: thumbnail:16 10." in notes(found)
    head, _, *rows = (line.split("|") for line in markdown_table(found).splitlines())
    columns = [cell.strip() for cell in head]
    at = columns.index("kind@1")
    assert columns[at - 1 : at + 3] == ["P@10", "kind@1", "kind@20", "s/photo"]
    assert [row[at].strip() for row in rows] == [f"{result.kind['kind@1']:.3f}", ""]
    write_report(found, tmp_path / "out")
    entry = json.loads((tmp_path / "out/results.json").read_bytes())["methods"][0]
    assert entry["kind@20"] == result.kind["kind@20"] and entry["photos"]["kind@1"].count(None) == 2
