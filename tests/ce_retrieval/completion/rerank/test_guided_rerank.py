"""The re-rank that is guided by a network, from index to result."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from ce_retrieval.completion.network import network_query
from ce_retrieval.completion.overlay import RetrievalCompleter
from ce_retrieval.completion.rerank.network_guided import NetworkGuide
from ce_retrieval.completion.settings import RetrievalSettings
from ce_retrieval.errors import CheckpointError, MaskError
from ce_retrieval.models.network_fill import NetworkFill
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.photos import load_photo
from ce_retrieval.retrieval.query import square_query

SETTINGS = RetrievalSettings(k=6, candidates=30, rerank="guided", fill="paste")


@pytest.fixture(scope="module")
def index(crop_index) -> PhotoIndex:
    return PhotoIndex.open(crop_index)


@pytest.mark.parametrize("shape", [(64, 64), (100, 130)])
@pytest.mark.parametrize("fill", ["paste", "blend"])
def test_candidates_come_in_the_order_of_the_score(index, tiny_weights, bundled_photos, odd_holes, shape, fill):
    """The network takes 32 px, the index 64: its fill is brought to the index's size."""
    photo = np.array(Image.fromarray(bundled_photos[1]).resize(shape[::-1], Image.Resampling.BICUBIC))
    hole = odd_holes(*shape)["centre"]
    settings = replace(SETTINGS, fill=fill, weights=str(tiny_weights))
    done = RetrievalCompleter(index, settings).complete(photo, hole)
    near = RetrievalCompleter(index, replace(settings, rerank="none", weights=None, k=30)).complete(photo, hole)
    square, square_hole = square_query(photo, hole, 64)
    network = NetworkFill(str(tiny_weights))
    (expected,) = network.fills([network_query(network, photo, hole)], 64)
    assert expected.shape == (64, 64, 3)
    scenes = np.stack([load_photo(c.photo, size=64).pixels for c in near.candidates])
    scores = NetworkGuide(fill=fill).scores(square, square_hole, expected, scenes)
    order = np.argsort(scores.score, kind="stable")[:6]
    assert [c.photo for c in done.candidates] == [near.candidates[i].photo for i in order]
    assert [c.context_rank for c in done.candidates] != sorted(c.context_rank for c in done.candidates)
    np.testing.assert_allclose([c.scores["content"] for c in done.candidates], scores.content[order], rtol=1e-4)
    np.testing.assert_allclose([c.scores["rim"] for c in done.candidates], scores.rim[order], rtol=1e-5)
    assert [c.scores for c in near.candidates] == [{}] * len(scenes)
    np.testing.assert_array_equal(done.best[~hole], photo[~hole])


def test_a_batch_gives_what_each_gives_alone(index, tiny_weights, bundled_photos, odd_holes):
    photos = [np.ascontiguousarray(photo[20:120, 30:160]) for photo in bundled_photos]
    holes = [odd_holes(100, 130)[name] for name in ("centre", "corner", "parts", "ring")]
    completer = RetrievalCompleter(index, replace(SETTINGS, fill="mean", weights=str(tiny_weights)), workers=3)
    together = completer.complete_many(photos, holes)
    for photo, hole, one in zip(photos, holes, together, strict=True):
        alone = completer.complete(photo, hole)
        assert [c.photo for c in one.candidates] == [c.photo for c in alone.candidates]
        np.testing.assert_array_equal(one.best, alone.best)


def test_the_written_result_names_the_weights_and_the_settings(
    index, tiny_weights, bundled_photos, odd_holes, tmp_path
):
    photo, hole = np.ascontiguousarray(bundled_photos[2][:64, :64]), odd_holes(64, 64)["corner"]
    RetrievalCompleter(index, replace(SETTINGS, weights=str(tiny_weights))).complete(photo, hole).save(tmp_path, "a")
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["method"] == "retrieval" and record["settings"]["rerank"] == "guided"
    assert record["network"] == NetworkFill(str(tiny_weights)).about
    assert len(record["network"]["sha256"]) == 64
    assert len(record["candidates"]) == SETTINGS.k
    assert all(candidate["scores"]["content"] >= 0 for candidate in record["candidates"])


def test_a_hole_that_the_network_cannot_fill_spares_the_others(index, center_weights, bundled_photos, odd_holes):
    photo = np.ascontiguousarray(bundled_photos[2][:64, :64])
    holes = [odd_holes(64, 64)[name] for name in ("centre", "corner", "centre")]
    completer = RetrievalCompleter(index, replace(SETTINGS, weights=str(center_weights)))
    one, refused, other = completer.complete_many([photo] * 3, holes)
    assert isinstance(refused, MaskError) and "outside the central half" in str(refused)
    np.testing.assert_array_equal(one.best, other.best)


def test_missing_weights_are_named_at_once(index, tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.safetensors: no such checkpoint file"):
        RetrievalCompleter(index, replace(SETTINGS, weights=str(tmp_path / "none.safetensors")))
