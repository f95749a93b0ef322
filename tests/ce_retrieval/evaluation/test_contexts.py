"""Context searches, measured: the measures by brute force, the copies, the holes, and what the report says."""

import json
from pathlib import Path

import numpy as np
import pytest

from ce_retrieval.errors import CeretError, EvaluationError, SettingsError
from ce_retrieval.evaluation import ContextSettings, context_tables, measure_contexts, write_contexts
from ce_retrieval.evaluation.contexts.altered import alter, altered_copies
from ce_retrieval.evaluation.contexts.search import AWARE, BLIND, copy_measures, kind_measures, ranks_of
from ce_retrieval.holes.strategies import center_holes, fill_mean
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index
from ce_retrieval.photos import load_photo
from ce_retrieval.retrieval.search import find_neighbors

SETTINGS = ContextSettings(
    features=("thumbnail:8",), holes=(0.5,), masks=("block",), blind=True, altered=9, rows=2, k=3
)


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("contexts")


@pytest.fixture(scope="module")
def measured(query_folder, opened, out):
    return measure_contexts([query_folder], [opened], out, SETTINGS)


def quiet(report, *arguments):
    return None


def test_the_measures_of_kind_count_as_by_hand():
    labels, collection = np.array(["a", "b", "", "z"]), np.array(["a", "b", "a", "", "a", "b"])
    ids = np.array([[0, 1, 2, 3, 4], [4, 1, 3, 5, 0], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]])
    found = kind_measures(labels, collection, ids)
    assert list(found) == ["P@1", "P@5", "recall@5", "mAP@5"]
    np.testing.assert_allclose(found["P@1"], [1, 0, np.nan, 0])
    np.testing.assert_allclose(found["P@5"], [3 / 5, 2 / 5, np.nan, 0])
    np.testing.assert_allclose(found["recall@5"], [1, 1, np.nan, np.nan])
    np.testing.assert_allclose(found["mAP@5"], [(1 + 2 / 3 + 3 / 5) / 3, (1 / 2 + 2 / 4) / 2, np.nan, np.nan])


def test_the_rank_of_an_original_is_that_of_the_first_photo_with_its_bytes():
    ids = np.array([[3, 1, 0], [3, 1, 0], [0, 1, 3]])
    ranks = ranks_of(np.array([0, 2, 2]), ids, same=np.array([0, 1, 1, 3]))
    assert ranks.tolist() == [3, 2, 2]
    assert ranks_of(np.array([2]), ids[:1], same=np.arange(4)).tolist() == [np.inf]
    found = copy_measures(np.array([1, 10, 11, np.inf]))
    assert found["first"].tolist() == [1, 0, 0, 0] and found["first 10"].tolist() == [1, 1, 0, 0]
    np.testing.assert_allclose(found["1 / rank"], [1, 0.1, 1 / 11, 0])


def test_a_copy_depends_on_the_seed_and_the_name_alone(opened):
    few, more = (altered_copies(opened, count, 3, quiet) for count in (4, 20))
    rows = {name: row for row, name in enumerate(more.queries.names)}
    of_few = [rows[name] for name in few.queries.names]
    assert np.array_equal(few.queries.photos, more.queries.photos[of_few])
    assert [opened.records([i])[0].key for i in more.ids] == list(more.queries.names) and len(set(more.ids)) == 20
    other = altered_copies(opened, 20, 4, quiet)
    assert set(other.queries.names) != set(more.queries.names)


def test_a_copy_is_cropped_lit_and_recompressed():
    photo = np.full((100, 200, 3), 100, np.uint8)
    assert alter(photo, np.full(6, 0.999)).shape == (92, 184, 3)
    assert abs(alter(photo, np.array([0, 0, 0, 0, 0, 0.5])).mean() - 85) < 1.5
    noisy = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    assert (alter(noisy, np.array([0, 0, 0, 0, 0.5, 0.5])) != noisy).any(), "JPEG loses noise"


def test_every_search_is_measured_under_every_hole(measured):
    assert [(one.hole, one.features, one.way) for one in measured.results] == [
        (hole, features, way)
        for hole in ("square 0.5", "block")
        for features in ("thumbnail:16", "thumbnail:8")
        for way in (AWARE, BLIND)
    ]
    assert all(len(one.kind["P@10"]) == len(measured.names[one.hole]) for one in measured.results)
    assert all(len(one.copies["first"]) == len(measured.copied[one.hole]) for one in measured.results)
    assert measured.chance["P@k"] == pytest.approx(0.25)
    assert measured.picture_hole == "square 0.5" and len(measured.picture) == 2
    for row in measured.picture:
        for one in row.neighbours["thumbnail:16"]:
            assert one.same_kind == (one.name.split("/")[0] == row.name.split("/")[0])


def test_the_figures_are_those_of_single_searches(measured, query_folder, opened):
    hole = center_holes(1, 64)[0]
    aware, blind = [one for one in measured.results if (one.hole, one.features) == ("square 0.5", "thumbnail:16")]
    for row, name in list(enumerate(measured.names["square 0.5"]))[::4]:
        photo = load_photo(query_folder / name, size=64).pixels
        label = name.split("/")[0]
        for one, found in (
            (aware, find_neighbors(opened, photo, hole, 20)),
            (blind, find_neighbors(opened, fill_mean(photo[None], hole)[0], None, 20)),
        ):
            right = [neighbor.record.label == label for neighbor in found]
            assert one.kind["P@20"][row] == pytest.approx(np.mean(right))
            assert one.kind["P@5"][row] == pytest.approx(np.mean(right[:5]))


def test_copies_find_their_originals(measured):
    found = {(one.hole, one.features, one.way): one.copies["first"].mean() for one in measured.results}
    assert 1 == found["block", "thumbnail:16", AWARE] >= found["block", "thumbnail:16", BLIND]


def test_a_second_run_gives_the_same_bytes_but_for_the_seconds(measured, query_folder, opened, out):
    def told() -> tuple[object, bytes]:
        return json.loads((out / "contexts.json").read_text(), object_hook=untimed), (out / "figure8.png").read_bytes()

    def untimed(entry: dict) -> dict:
        return {name: value for name, value in entry.items() if name not in ("seconds", "sha256")}

    assert [path.name for path in write_contexts(measured, out)] == ["contexts.md", "figure8.png", "contexts.json"]
    before = told()
    write_contexts(measure_contexts([query_folder], [opened], out, SETTINGS), out)
    assert told() == before
    text = (out / "contexts.md").read_text()
    assert "| square 0.5 | thumbnail:8 | hole-blind | " in text and "By chance P@k would be 0.250." in text
    assert (
        "P@10, hole-aware less hole-blind" in text
        and "figure8.png: the nearest contexts under holes square 0.5" in text
    )
    results = json.loads((out / "contexts.json").read_text())
    entry = results["results"][0]["kind"]["P@10"]
    assert entry["value"] == pytest.approx(np.mean(entry["photos"]))
    assert entry["interval"][0] <= entry["value"] <= entry["interval"][1]
    assert set(results["about"]["indexes"]) == {"thumbnail:16", "thumbnail:8"}


def test_an_index_of_the_centre_protocol_serves_that_hole_alone(query_folder, crop_folder, opened, tmp_path):
    settings = IndexSettings(features="thumbnail:16", size=64, workers=1, kind="none", hole="center")
    build_index([crop_folder], tmp_path / "center.ceret", settings)
    center = PhotoIndex.open(tmp_path / "center.ceret")
    wanted = ContextSettings(holes=(0.25, 0.5), blind=True, altered=0, limit=4)
    found = measure_contexts([query_folder], [opened, center], tmp_path / "out", wanted)
    there = [(one.hole, one.features, one.way) for one in found.results if "center" in one.features]
    assert there == [("square 0.5", "thumbnail:16, indexed with hole center", AWARE)]
    text = context_tables(found)
    assert "serve no such hole: thumbnail:16, indexed with hole center (square 0.25)." in text
    assert "### Rank of the original" not in text
    with pytest.raises(EvaluationError, match=r"no photo can be searched for with holes square 0\.25"):
        measure_contexts([query_folder], [center], tmp_path / "out", wanted)


def test_chosen_photos_are_shown_and_a_leak_is_framed(crop_folder, opened, tmp_path):
    settings = ContextSettings(holes=(0.5,), altered=0, shown=("06.png",), keep_leaks=True, k=2)
    found = measure_contexts([crop_folder / "photo0"], [opened], tmp_path, settings)
    (row,) = found.picture
    first = row.neighbours["thumbnail:16"][0]
    assert (row.name, first.name, first.near_duplicate) == ("06.png", "photo0/06.png", True)
    assert len(found.leaks) == 15 and "Queries with near-duplicates in the collection, kept: " in context_tables(found)
    with pytest.raises(EvaluationError, match=r"every photo .* has near-duplicates"):
        measure_contexts([crop_folder], [opened], tmp_path, ContextSettings(holes=(0.5,), limit=3))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"holes": (0.99,)}, "`holes` is 0.99: expected a number from 0.05 to 0.95"),
        ({"holes": ()}, "`holes` and `masks` name none"),
        ({"holes": (0.5, 0.5)}, "`holes` names 0.5 twice"),
        ({"masks": ("middle",)}, "`masks` 'middle' are unknown: choose one of center"),
        ({"masks": "block"}, "`masks` is 'block': expected a list"),
        ({"shapes": "."}, "`shapes` belong to `masks` region"),
        ({"altered": -1}, "`altered` is -1: expected a whole number from 0"),
        ({"features": ("sift",)}, "sift"),
        (
            {"shown": ("nobody.png",)},
            "'nobody.png' is not among the photos that were read: choose one of photo0/q0.png",
        ),
        ({"shown": ("q0.png",)}, "'q0.png' names 4 photos: choose one of photo0/q0.png"),
    ],
)
def test_bad_settings_are_refused(query_folder, opened, tmp_path, changed, told):
    with pytest.raises(CeretError, match=told):
        measure_contexts([query_folder], [opened], tmp_path / "out", ContextSettings(**changed))
    assert not (tmp_path / "out").exists()


def test_indexes_must_go_together_and_files_of_others_stay(query_folder, opened, tmp_path):
    few = IndexSettings(features="thumbnail:8", size=64, workers=1, kind="none")
    build_index([query_folder], tmp_path / "few.ceret", few)
    with pytest.raises(EvaluationError, match="are not of the same photos: index the same sources for each"):
        measure_contexts([query_folder], [opened, PhotoIndex.open(tmp_path / "few.ceret")], tmp_path / "out", SETTINGS)
    with pytest.raises(SettingsError, match="has the features and the hole protocol of another one: give it once"):
        measure_contexts([query_folder], [opened, opened], tmp_path / "out", SETTINGS)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "contexts.md").write_text("mine")
    with pytest.raises(CeretError, match=r"contexts\.md is there already"):
        measure_contexts([query_folder], [opened], tmp_path / "out", SETTINGS)
    assert (tmp_path / "out" / "contexts.md").read_text() == "mine"
