"""Photos that an evaluation cannot measure are named and spare the others; bad input is refused before anything is done."""

import dataclasses
import shutil

import numpy as np
import pytest
from evaluation_runs import run
from PIL import Image

from ce_retrieval.errors import (
    CeretError,
    EvaluationError,
    FilterError,
    PhotoIndexError,
    SettingsError,
    SolverError,
    StorageError,
    counted,
)
from ce_retrieval.evaluation import EvaluationSettings, evaluate, fills, notes
from ce_retrieval.evaluation import run as run_module
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index

BICUBIC = Image.Resampling.BICUBIC


def test_a_photo_that_one_method_cannot_serve_is_left_out_for_all(query_folder, opened, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    scattered, square = np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8)
    scattered[::8, ::8] = 255
    square[20:40, 20:40] = 255
    Image.fromarray(scattered).save(masks / "a.png")
    Image.fromarray(square).save(masks / "b.png")
    found = run(query_folder, opened, tmp_path / "out", ("hog", "smooth"), masks=str(masks))
    assert len(found.unserved) > 0 and len(found.names) > 0 and len(found.unserved) + len(found.names) == 12
    assert {result.summary.photos for result in found.results} == {len(found.names)}
    assert not {left_out.name for left_out in found.unserved} & set(found.names)
    assert "hog: the hole leaves none" in found.unserved[0].reason
    assert any(f"{counted(len(found.unserved), 'photo')} that a method could not fill" in note for note in notes(found))
    without = run(query_folder, opened, tmp_path / "out", ("thumbnail:16", "smooth"), masks=str(masks))
    assert len(without.names) == 12 and not without.unserved
    (masks / "b.png").unlink()
    steps = []
    with pytest.raises(EvaluationError, match=r"none of 12 photos can be measured; photo0/q0.png: hog"):
        run(query_folder, opened, tmp_path / "new", ("hog",), lambda *step: steps.append(step), masks=str(masks))
    assert {what for what, *_ in steps} == {"reading the queries"}  # before anything costly


def test_an_index_of_centres_refuses_other_holes_early(query_folder, crop_folder, tmp_path):
    build_index(
        [crop_folder / "photo0"], tmp_path / "c.ceret", IndexSettings("thumbnail:16", "center", 64, 1, kind="none")
    )
    index = PhotoIndex.open(tmp_path / "c.ceret")
    with pytest.raises(EvaluationError, match=r"none of 12 photos.*built with .*hole.*center"):
        run(query_folder, index, tmp_path / "out", ("thumbnail:16",), masks="block")
    assert len(run(query_folder, index, tmp_path / "out", ("smooth",), masks="block").names) == 12


def test_a_failure_half_way_spares_the_other_photos(query_folder, opened, tmp_path, monkeypatch):
    real = fills.CLASSICAL["smooth"]
    queries = query_folder / "photo1"
    wanted = np.asarray(Image.open(queries / "q1.png").resize((64, 64), BICUBIC))

    def fails(photos, hole):
        if any(np.array_equal(photo, wanted) for photo in photos):
            raise SolverError("it did not converge")
        return real(photos, hole)

    monkeypatch.setitem(fills.CLASSICAL, "smooth", fails)
    monkeypatch.setattr(fills, "CHUNK", 1)
    found = run(queries, opened, tmp_path, ("thumbnail:16", "smooth"))
    assert list(found.unserved) == [("q1.png", "smooth: it did not converge")]
    assert list(found.names) == ["q0.png", "q2.png"] and found.drawn == [0, 1]
    assert np.array_equal(found.pictures(1)[-1], np.asarray(Image.open(queries / "q2.png").resize((64, 64), BICUBIC)))
    assert {(result.summary.photos, len(result.photos["l1"])) for result in found.results} == {(2, 2)}
    monkeypatch.setattr(fills, "CHUNK", 50)  # now all three fail as one
    with pytest.raises(EvaluationError, match=r"none of 3 photos could be filled; q0.png: smooth: it did not"):
        run(queries, opened, tmp_path, ("thumbnail:16", "smooth"))


def test_scenes_that_vanish_meanwhile_spare_the_other_photos(query_folder, crop_folder, tmp_path, monkeypatch):
    photos = tmp_path / "photos"
    shutil.copytree(crop_folder, photos)
    build_index([photos], tmp_path / "t.ceret", IndexSettings("thumbnail:16", "none", 64, 1, kind="none"))
    index = PhotoIndex.open(tmp_path / "t.ceret")

    def take_away(what, done, total):
        if what == "reading the collection" and done == total:
            shutil.rmtree(photos / "photo3")

    monkeypatch.setattr(run_module, "SCENE_BYTES", 1)  # no more than one scene is held
    found = run(query_folder, index, tmp_path / "out", ("thumbnail:16", "oracle"), take_away)
    # the oracle's choice is gone for some; the search by features goes on to its next neighbour
    assert 0 < len(found.unserved) < 12 and len(found.names) + len(found.unserved) == 12
    assert all("oracle: " in reason and "cannot be read any more" in reason for _, reason in found.unserved)


def test_fewer_photos_than_k(query_folder, crop_folder, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    for number in range(3):
        shutil.copy(crop_folder / f"photo0/0{number}.png", small)
    build_index([small], tmp_path / "s.ceret", IndexSettings("thumbnail:16", "none", 64, 1, kind="none"))
    found = run(query_folder, PhotoIndex.open(tmp_path / "s.ceret"), tmp_path / "out", ("thumbnail:16+rim+mean",))
    assert len(found.names) == 12 and found.results[0].precision is None


def test_bad_input_is_refused_before_anything_is_done(query_folder, crop_folder, opened, tmp_path):
    def never(what, done, total):
        raise AssertionError(f"{what} was begun")

    for changes, message in (
        ({"methods": ("sift",)}, "sift"),
        ({"methods": ("scenes+pick=30",)}, "`pick` is 30, but 20 candidates are kept"),
        ({"perceptual": "resnet.onnx"}, "expected onnx:FILE"),
        ({"masks": "middle"}, "middle"),
        ({"masks": "block", "shapes": "x"}, "leave `shapes` out"),
    ):
        settings = dataclasses.replace(EvaluationSettings(("oracle",)), **changes)
        with pytest.raises(SettingsError, match=message):
            evaluate([query_folder], opened, tmp_path / "out", settings, never)
    with pytest.raises(FilterError, match=r"none of 60 photos .* passes the filter"):
        run(query_folder, opened, tmp_path / "out", ("scenes+rim+where=width > 5000",), never)
    with pytest.raises(CeretError, match="nowhere"):
        run(tmp_path / "nowhere", opened, tmp_path / "out", progress=never)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        run(query_folder, opened, tmp_path / "file", progress=never)
    build_index(
        [crop_folder / "photo0"], tmp_path / "tiny.ceret", IndexSettings("thumbnail:8", "none", 8, 1, kind="none")
    )
    with pytest.raises(EvaluationError, match="SSIM needs 11 px"):
        run(query_folder, PhotoIndex.open(tmp_path / "tiny.ceret"), tmp_path / "out", ("oracle",), never)
    with pytest.raises(PhotoIndexError, match=r"no index at .*none\.ceret"):
        run(query_folder, PhotoIndex.open(tmp_path / "none.ceret"), tmp_path / "out")


def test_settings_out_of_range_are_named():
    for changes, message in (
        ({"seed": -1}, "`seed` is -1: expected a whole number from 0 to 4294967295"),
        ({"limit": 0}, "`limit` is 0: expected a whole number from 1 to 1000000000"),
        ({"k": 0}, "`k` is 0: expected a whole number from 1 to 1000000000"),
        ({"candidates": 0}, "`candidates` is 0: expected a whole number from 1 to 1000000000"),
        ({"aligned": -3}, "`aligned` is -3: expected a whole number from 1 to 1000000000"),
    ):
        with pytest.raises(SettingsError, match=message):
            EvaluationSettings(("oracle",), **changes)
