"""Grey photos are filled in grey, whether or not scenes are in colour."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scene_cases import SHAPE, hole_of, of_size, stems

from ce_retrieval.completion.overlay import RetrievalCompleter
from ce_retrieval.completion.patches.completer import PatchCompleter
from ce_retrieval.completion.scenes.completer import SceneCompleter
from ce_retrieval.completion.settings import PatchSettings, RetrievalSettings, SceneSettings
from ce_retrieval.pixels import grey_as_rgb, is_grey

HOLE = hole_of(np.s_[20:60, 30:70])
SCENES = SceneSettings(rerank="rim", allow_same_photo=True, top=2)
BY_RETRIEVAL = RetrievalSettings(k=2, rerank="rim")


@pytest.fixture(scope="module")
def grey(truth) -> np.ndarray:
    """Grey by Pillow, not by the library."""
    return np.array(Image.fromarray(truth).convert("L").convert("RGB"))


@pytest.fixture(scope="module")
def completers(index) -> dict:
    return {
        "scenes": SceneCompleter(index, SCENES),
        "scenes, without a seam": SceneCompleter(index, replace(SCENES, seam=0.0)),
        "scenes of a size": SceneCompleter(index, replace(SCENES, side=50)),
        "patches": PatchCompleter(index, PatchSettings(rerank="rim", sources=2, allow_same_photo=True)),
        "blend": RetrievalCompleter(index, replace(BY_RETRIEVAL, allow_same_photo=True)),
        "mean": RetrievalCompleter(index, replace(BY_RETRIEVAL, fill="mean")),
        "paste": RetrievalCompleter(index, replace(BY_RETRIEVAL, fill="paste")),
    }


@pytest.mark.parametrize("shape", [SHAPE, (64, 64)])  # the latter from the index's cache of scenes
def test_a_grey_photo_stays_grey(completers, grey, shape):
    photo = of_size(grey, *shape)
    hole = np.asarray(Image.fromarray(HOLE).resize(shape[::-1]))
    photo[hole] = (255, 0, 0)  # what lies under the hole does not count
    for name, completer in completers.items():
        done = completer.complete(photo, hole)
        assert done.grey and done.provenance()["scenes_in_grey"], name
        assert (done.best == done.best[..., :1]).all(), name
        assert all((picture == picture[..., :1]).all() for picture in done.thumbnails), name


def test_grey_scenes_are_what_is_compared(index, completers, grey, scenes):
    """Its own scene, seen in grey, is the photo: no distance is left that its colours would make."""
    done = completers["scenes"].complete(grey, HOLE)
    best = done.candidates[0]
    assert stems(done)[0] == "own" and best.scores["context"] < 1 and best.scores["seam"] < 0.5
    terms = {"tint": lambda shows, photo, hole: float(np.ptp(shows, axis=-1).max())}
    done = SceneCompleter(index, SCENES, terms=terms).complete(grey, HOLE)
    assert [candidate.scores["tint"] for candidate in done.candidates] == [0.0, 0.0]
    own = of_size(np.array(Image.fromarray(scenes["own"]).convert("L").convert("RGB")), 64, 64)
    by_rim = completers["blend"].complete(own, np.asarray(Image.fromarray(HOLE).resize((64, 64))))
    assert stems(by_rim)[0] == "own" and by_rim.candidates[0].scores["rim"] < 1e-3


def test_the_expected_content_of_a_grey_photo_is_grey(index, grey, tiny_weights, monkeypatch):
    seen = {}
    completer = SceneCompleter(index, replace(SCENES, rerank="guided", weights=str(tiny_weights)))
    order = completer._ranker.order
    monkeypatch.setattr(completer._ranker, "order", lambda query, *rest: seen.update(q=query) or order(query, *rest))
    best = completer.complete(grey, HOLE).best
    np.testing.assert_array_equal(best, best[..., :1].repeat(3, axis=-1))
    np.testing.assert_array_equal(seen["q"].expected, seen["q"].expected[..., :1].repeat(3, axis=-1))


def test_one_pixel_of_colour_is_colour(completers, grey):
    photo = grey.copy()
    assert is_grey(photo, HOLE)
    photo[0, 0, 1] ^= 1
    assert not is_grey(photo, HOLE)
    for name, completer in completers.items():
        done = completer.complete(photo, HOLE)
        assert not done.grey and not done.provenance()["scenes_in_grey"], name
    assert np.ptp(done.best[HOLE].astype(int), axis=-1).max() > 20, "pasted as it is"


def test_grey_is_the_luma_that_pillow_has(bundled_photos):
    for photo in bundled_photos:
        expected = np.asarray(Image.fromarray(photo).convert("L"), int)
        found = grey_as_rgb(photo)
        assert found.dtype == np.uint8 and np.abs(found - expected[..., None]).max() <= 1
        np.testing.assert_array_equal(grey_as_rgb(found), found)
        floats = grey_as_rgb(photo.astype(np.float32) / 255)
        assert floats.dtype == np.float32 and np.abs(floats * 255 - expected[..., None]).max() <= 1
