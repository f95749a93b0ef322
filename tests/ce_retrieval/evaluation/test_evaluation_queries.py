"""The photos of an evaluation and their holes."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.descriptors import make_descriptor
from ce_retrieval.errors import EvaluationError, MaskError, SettingsError
from ce_retrieval.evaluation import EvaluationSettings
from ce_retrieval.evaluation.queries import Queries, read_queries, unserved
from ce_retrieval.holes.strategies import center_holes, holes_for
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index
from ce_retrieval.photos import load_photo


def read(folder, report=lambda what, done, total: None, **settings):
    return read_queries([folder], 64, EvaluationSettings((), **settings), report, folder / "out")[:2]


@pytest.fixture
def with_bad(query_folder, tmp_path):
    """The query photos, and five files that are not photos or too small."""
    shutil.copytree(query_folder, tmp_path / "q")
    (tmp_path / "q/photo0/a.jpg").write_bytes(b"this is text")
    (tmp_path / "q/photo1/b.png").write_bytes(b"")
    (tmp_path / "q/photo2/gone.jpg").symlink_to("nowhere")
    Image.new("RGB", (8, 8)).save(tmp_path / "q/photo3/tiny.png")
    (tmp_path / "q/zz.jpg").write_bytes((query_folder / "photo0/q0.png").read_bytes()[:500])
    return tmp_path / "q"


def test_photos_labels_and_progress(query_folder):
    steps = []
    queries, unreadable = read(query_folder, lambda *step: steps.append(step))
    assert not unreadable
    assert list(queries.names) == [f"photo{n}/q{i}.png" for n in range(4) for i in range(3)]
    assert list(queries.labels) == [f"photo{n}" for n in range(4) for _ in range(3)]
    expected = [load_photo(query_folder / name, size=64).pixels for name in queries.names]
    np.testing.assert_array_equal(queries.photos, expected)
    np.testing.assert_array_equal(queries.holes, center_holes(12, 64))
    assert steps == [("reading the queries", n, 12) for n in range(1, 13)]


def test_files_that_cannot_be_read_are_listed(with_bad):
    steps = []
    queries, unreadable = read(with_bad, lambda *step: steps.append(step))
    assert len(queries) == 12 and steps[-1] == ("reading the queries", 17, 17)
    assert [left_out.name for left_out in unreadable] == [
        "photo0/a.jpg",
        "photo1/b.png",
        "photo2/gone.jpg",
        "photo3/tiny.png",
        "zz.jpg",
    ]
    assert all(left_out.reason and left_out.name not in left_out.reason for left_out in unreadable)
    assert "at least 16 px a side are needed" in unreadable[3].reason


def test_what_holds_no_photo_is_passed_over_and_named(query_folder, tmp_path, unlistable):
    shutil.copytree(query_folder, tmp_path / "q")
    (tmp_path / "q/notes.txt").touch()
    (tmp_path / "q/photo0/lost").mkdir()
    unlistable("lost")
    paths = [path for path in sorted((tmp_path / "q").iterdir()) if path.is_dir()]
    queries, left_out, notes = read_queries(paths, 64, EvaluationSettings(()), lambda *_: None, tmp_path / "out")
    assert len(queries) == 12
    assert not left_out and notes == [(f"{tmp_path}/q/photo0/lost/", "the folder cannot be listed: permission denied")]


def test_nothing_that_can_be_read(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"this is text")
    with pytest.raises(EvaluationError, match=r"no query photo could be read \(1 skipped, the first: a.jpg"):
        read(tmp_path)


@pytest.mark.parametrize("masks", ["center", "block", "region"])
def test_holes_depend_on_seed_and_name_alone(query_folder, with_bad, masks):
    queries, _ = read(query_folder, masks=masks, seed=3)
    np.testing.assert_array_equal(queries.holes, holes_for(masks, 3, queries.names, 64))
    others, _ = read(with_bad, masks=masks, seed=3, limit=9)
    assert 6 <= len(others) <= 9
    for name, hole in zip(others.names, others.holes, strict=True):
        np.testing.assert_array_equal(hole, queries.holes[queries.names.index(name)])
    if masks != "center":
        assert (read(query_folder, masks=masks, seed=4)[0].holes != queries.holes).any(axis=(1, 2)).sum() > 9


def test_shapes_are_pasted_and_belong_to_the_region_strategy(query_folder, tmp_path):
    shape = np.zeros((50, 60), np.uint8)
    shape[10:40, 20:25] = 3
    shape[10:15, 5:50] = 3
    image = Image.fromarray(shape).convert("P")
    image.save(tmp_path / "s.png")
    own, _ = read(query_folder, masks="region", shapes=str(tmp_path))
    procedural, _ = read(query_folder, masks="region")
    assert (own.holes != procedural.holes).any(axis=(1, 2)).sum() >= 10
    shares = own.holes.mean(axis=(1, 2))
    assert (shares > 0).all() and (shares <= 0.25).all()
    with pytest.raises(SettingsError, match="`shapes` belong to `masks` region, not block"):
        read(query_folder, masks="block", shapes=str(tmp_path))


def test_a_folder_of_masks(query_folder, tmp_path):
    drawn = {}
    for number in range(3):
        mask = np.zeros((64, 64), np.uint8)
        mask[8 * number : 8 * number + 20, 10:30] = 255
        Image.fromarray(mask).save(tmp_path / f"{number}.png")
        drawn[mask.tobytes()] = number
    queries, _ = read(query_folder, masks=str(tmp_path))
    used = {drawn[(255 * hole.astype(np.uint8)).tobytes()] for hole in queries.holes}
    assert used == {0, 1, 2}
    again, _ = read(query_folder, masks=str(tmp_path), limit=5)
    for name, hole in zip(again.names, again.holes, strict=True):
        np.testing.assert_array_equal(hole, queries.holes[queries.names.index(name)])
    (tmp_path / "none").mkdir()
    with pytest.raises(MaskError, match="holds no mask"):
        read(query_folder, masks=str(tmp_path / "none"))


def test_unknown_masks_name_what_there_is(query_folder):
    with pytest.raises(
        SettingsError, match="`masks` 'middle' are unknown: choose one of center, block, region, irregular, or"
    ):
        read(query_folder, masks="middle")


def test_the_limit_draws_by_the_seed(query_folder):
    chosen = [tuple(read(query_folder, limit=5, seed=seed)[0].names) for seed in (0, 0, 1, 2)]
    assert chosen[0] == chosen[1] and len(set(chosen)) == 3
    assert all(len(names) == 5 and list(names) == sorted(names) for names in chosen)
    assert len(read(query_folder, limit=12)[0]) == len(read(query_folder, limit=99)[0]) == 12


def holed(*holes):
    names = [f"q{n}" for n in range(len(holes))]
    return Queries(names, names, np.zeros((len(holes), 64, 64, 3), np.uint8), np.stack(holes))


def test_photos_with_the_same_hole_go_together(odd_holes):
    holes = odd_holes(64, 64)
    queries = holed(holes["ring"], holes["band"], holes["ring"].copy(), holes["pixel"], holes["band"])
    assert [rows.tolist() for rows in queries.by_hole()] == [[0, 2], [1, 4], [3]]


def test_holes_that_a_search_cannot_serve(opened, crop_folder, tmp_path):
    centre = center_holes(1, 64)[0]
    scattered = np.zeros((64, 64), bool)
    scattered[::8, ::8] = True  # a pixel in every block of HOG
    queries = holed(centre, scattered, centre, scattered)
    hog, thumbnail = make_descriptor("hog", 64), make_descriptor("thumbnail:16", 64)
    assert unserved(queries, opened, [(thumbnail, None), (thumbnail, 8.0)]) == {}
    found = unserved(queries, opened, [(thumbnail, None), (hog, None)])
    assert list(found) == [1, 3] and found[3].name == "q3" and "hog" in found[3].reason
    # an index that knows the centre alone
    build_index(
        [Path(crop_folder) / "photo0"],
        tmp_path / "c.ceret",
        IndexSettings("thumbnail:16", "center", 64, 1, kind="none"),
    )
    index = PhotoIndex.open(tmp_path / "c.ceret")
    assert list(unserved(queries, index, [(thumbnail, None)])) == [1, 3]
    assert unserved(queries, index, []) == {}
