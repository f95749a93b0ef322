"""Method `network`: known pixels kept, at any size, paste and blend as defined, and every bad input."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.completion.folders import complete_folder
from ce_retrieval.completion.network import NetworkCompleter
from ce_retrieval.completion.plan import Job
from ce_retrieval.completion.settings import NetworkSettings
from ce_retrieval.errors import CeretError, CheckpointError, MaskError, PhotoError, SettingsError
from ce_retrieval.models.checkpoint import load_network
from ce_retrieval.models.inference import fill_photos, predict_photos
from ce_retrieval.models.network_fill import NetworkFill
from ce_retrieval.pixels import resize
from ce_retrieval.retrieval.query import square_query
from ce_retrieval.settings import ranges

FILLS = ranges(NetworkSettings)["fill"].choices
SHAPES = [(32, 32), (100, 130), (21, 33)]


@pytest.fixture
def photo(bundled_photos):
    def at(shape):
        return np.array(Image.fromarray(bundled_photos[1]).resize(shape[::-1], Image.Resampling.BICUBIC))

    return at


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("shape", SHAPES)
def test_known_pixels_stay_and_hidden_ones_have_no_influence(tiny_weights, photo, odd_holes, fill, shape):
    completer = NetworkCompleter(NetworkSettings(fill, weights=str(tiny_weights)))
    before = photo(shape)
    for name, hole in odd_holes(*shape).items():
        given = before.copy()
        done = completer.complete(given, hole)
        assert done.best.dtype == np.uint8 and done.best.shape == given.shape
        np.testing.assert_array_equal(given, before)
        np.testing.assert_array_equal(done.best[~hole], before[~hole], name)
        given[hole] = np.random.default_rng(1).integers(0, 256, (int(hole.sum()), 3))
        np.testing.assert_array_equal(completer.complete(given, hole).best, done.best, name)


@pytest.mark.parametrize("mirror", [False, True])
def test_at_the_networks_size_a_paste_is_the_prediction(tiny_weights, photo, odd_holes, mirror):
    network, _ = load_network(tiny_weights)
    for name, hole in odd_holes(32, 32).items():
        done = NetworkCompleter(NetworkSettings("paste", mirror, str(tiny_weights))).complete(photo((32, 32)), hole)
        (expected,) = fill_photos(network, photo((32, 32))[None], hole, mirror=mirror, fast=False)
        np.testing.assert_array_equal(done.best, expected, name)


def test_at_other_sizes_it_is_the_filled_square_brought_back(tiny_weights, photo, odd_holes):
    network, _ = load_network(tiny_weights)
    picture, hole = photo((100, 130)), odd_holes(100, 130)["corner"]
    square, square_hole = square_query(picture, hole, 32)
    (filled,) = fill_photos(network, square[None], square_hole, fast=False)
    expected = np.asarray(Image.fromarray(filled).resize((130, 100), Image.Resampling.BICUBIC))
    done = NetworkCompleter(NetworkSettings(weights=str(tiny_weights))).complete(picture, hole)
    # On the way Pillow rounds and clips 8-bit photos twice.
    difference = np.abs(done.best[hole].astype(int) - expected[hole])
    assert difference.max() <= 6 and difference.mean() < 0.6
    assert np.abs(done.best[hole].astype(int) - picture[hole]).mean() > 5


@pytest.mark.parametrize("shape", SHAPES)
def test_a_blend_has_the_gradients_of_the_raw_prediction(tiny_weights, photo, odd_holes, shape):
    network, _ = load_network(tiny_weights)
    picture = photo(shape)
    for name, hole in odd_holes(*shape).items():
        square, square_hole = square_query(picture, hole, 32)
        (raw,) = predict_photos(network, square[None], square_hole, fast=False)
        source = resize(raw, shape)
        assert source.shape == (*shape, 3)
        values = picture.astype(np.float32) / 255
        expected = PoissonSolver(hole).blend(source[None], values)[0] * 255
        done = NetworkCompleter(NetworkSettings("blend", weights=str(tiny_weights))).complete(picture, hole)
        assert np.abs(done.best[hole] - expected[hole]).max() <= 0.51, name


def test_the_same_photos_give_the_same_bytes_and_a_batch_changes_a_rounding_at_most(tiny_weights, bundled_photos):
    photos = [np.ascontiguousarray(photo[y : y + 60, 50:150]) for photo in bundled_photos for y in (0, 100)]
    hole = np.zeros((60, 100), bool)
    hole[20:45, 30:80] = True
    for fill in FILLS:
        settings = NetworkSettings(fill, weights=str(tiny_weights))
        first = [done.best for done in NetworkCompleter(settings).complete_many(photos, [hole] * 8)]
        again = [done.best for done in NetworkCompleter(settings, workers=1).complete_many(photos, [hole] * 8)]
        np.testing.assert_array_equal(first, again)
        alone = [NetworkCompleter(settings).complete(photo, hole).best for photo in photos]
        assert np.abs(np.array(first, int) - np.array(alone, int)).max() <= 1


def test_one_bad_query_spares_the_others(tiny_weights, photo):
    hole = np.zeros((100, 130), bool)
    hole[30:60, 40:80] = True
    blind = np.ones((100, 130), bool)
    blind[50, 60] = False
    holes = [hole, ~np.zeros_like(hole), hole[:, 1:], blind, np.zeros_like(hole), hole]
    results = NetworkCompleter(NetworkSettings(weights=str(tiny_weights))).complete_many([photo((100, 130))] * 6, holes)
    assert [type(result) for result in results[1:5]] == [MaskError] * 4
    assert "nothing to see" in str(results[3])
    np.testing.assert_array_equal(results[0].best, results[5].best)
    assert all("\n" not in str(result) for result in results[1:5])
    with pytest.raises(PhotoError, match="at least"):
        NetworkCompleter(NetworkSettings(weights=str(tiny_weights))).complete(photo((4, 90)), np.eye(4, 90) > 0)


@pytest.mark.parametrize("fill", FILLS)
def test_a_network_of_the_centre_takes_the_centre_alone(center_weights, photo, fill):
    completer = NetworkCompleter(NetworkSettings(fill, weights=str(center_weights)))
    # A quarter of 150 px is 37.5: brought to 64 px, the hole leaves the centre by less than a pixel.
    for side, first, last in ((64, 16, 48), (150, 37, 112), (64, 20, 30)):
        hole = np.zeros((side, side), bool)
        hole[first:last, first:last] = True
        done = completer.complete(photo((side, side)), hole)
        assert (done.best[hole] != photo((side, side))[hole]).any()
        np.testing.assert_array_equal(done.best[~hole], photo((side, side))[~hole])
    for side, first, last in ((64, 15, 48), (64, 2, 4), (150, 34, 112), (150, 2, 5)):
        hole = np.zeros((side, side), bool)
        hole[first:last, first:last] = True
        with pytest.raises(MaskError, match="outside the central half, all that paper-center predicts"):
            completer.complete(photo((side, side)), hole)


def test_a_hole_that_was_resized_may_leave_the_centre_by_a_pixel(center_weights):
    network = NetworkFill(str(center_weights))
    inside, rounded, outside = (np.zeros((64, 64), bool) for _ in range(3))
    for hole, first in ((inside, 16), (rounded, 15), (outside, 14)):
        hole[first:48, first:48] = True
    network.check(inside, resized=False)
    network.check(rounded, resized=True)
    for hole, resized in ((rounded, False), (outside, True)):
        with pytest.raises(MaskError, match="outside the central half"):
            network.check(hole, resized=resized)


def test_a_folder_is_completed_and_not_done_twice(tiny_weights, photo, tmp_path):
    Image.fromarray(photo((50, 40))).save(tmp_path / "a.png")
    hole = np.zeros((50, 40), np.uint8)
    hole[10:30, 10:30] = 255
    Image.fromarray(hole).save(tmp_path / "mask.png")
    jobs = [Job(tmp_path / "a.png", tmp_path / "mask.png", "a")]
    completer = NetworkCompleter(NetworkSettings(weights=str(tiny_weights)))
    (first,) = complete_folder(completer, jobs, tmp_path / "out")
    assert first.written and not first.skipped
    record = json.loads((tmp_path / "out" / "a.json").read_text())
    assert record["method"] == "network" and record["index"] is None and record["candidates"] == []
    assert record["network"]["architecture"] == "compact" and record["network"]["size"] == 32
    assert record["files"]["a.png"] == hashlib.sha256((tmp_path / "out" / "a.png").read_bytes()).hexdigest()
    # The same weights elsewhere are the same weights; another fill is another result.
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes(tiny_weights.read_bytes())
    (again,) = complete_folder(NetworkCompleter(NetworkSettings(weights=str(moved))), jobs, tmp_path / "out")
    assert again.skipped
    (other,) = complete_folder(NetworkCompleter(NetworkSettings("blend", weights=str(moved))), jobs, tmp_path / "out")
    assert other.written and not other.skipped


def test_what_is_missing_or_wrong_is_named_at_once(tiny_weights, tmp_path, monkeypatch):
    with pytest.raises(SettingsError, match="`fill` is 'mean': expected one of paste, blend"):
        NetworkCompleter(NetworkSettings("mean", weights=str(tiny_weights)))
    with pytest.raises(CheckpointError, match="no such checkpoint file"):
        NetworkCompleter(NetworkSettings(weights=str(tmp_path / "none.safetensors")))
    (tmp_path / "bad.safetensors").write_bytes(tiny_weights.read_bytes()[:900])
    with pytest.raises(CheckpointError, match="truncated or no safetensors file"):
        NetworkFill(str(tmp_path / "bad.safetensors"))
    with pytest.raises(SettingsError, match=r"`method` network .* has no candidates"):
        NetworkCompleter(NetworkSettings(weights=str(tiny_weights))).complete_many([], [], candidate_fills=True)
    monkeypatch.setattr("ce_retrieval.models.requirements.find_spec", lambda name: None)
    with pytest.raises(CeretError, match=r"needs torch and safetensors: pip install torch safetensors"):
        NetworkFill(str(tiny_weights))
