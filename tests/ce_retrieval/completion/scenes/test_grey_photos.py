"""Grey photos are filled in grey, by whatever scenes are in colour."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.completion.overlay import Completer
from ce_retrieval.completion.patches.completer import PatchCompleter
from ce_retrieval.completion.scenes.completer import SceneCompleter
from ce_retrieval.completion.settings import CompletionSettings, PatchSettings, SceneSettings
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index
from ce_retrieval.pixels import grey_as_rgb, is_grey

HOLE = np.zeros((80, 100), bool)
HOLE[20:60, 30:70] = True
SCENES = SceneSettings(rerank="rim", top=2)


@pytest.fixture(scope="module")
def index(tmp_path_factory, bundled_photos) -> PhotoIndex:
    """The photo's own scene in colour, and another that fits its surroundings less."""
    folder = tmp_path_factory.mktemp("grey")
    (folder / "scenes").mkdir()
    for name, scene in (("own", bundled_photos[2][40:240:2, 80:330:2]), ("cat", bundled_photos[1][:200:2, :250:2])):
        Image.fromarray(np.ascontiguousarray(scene)).save(folder / "scenes" / f"{name}.png")
    build_index([folder / "scenes"], folder / "x.ceret", IndexSettings(features="thumbnail:16", size=64, workers=1))
    return PhotoIndex.open(folder / "x.ceret")


@pytest.fixture(scope="module")
def truth(bundled_photos) -> np.ndarray:
    """Grey by Pillow, not by the library."""
    colour = Image.fromarray(np.ascontiguousarray(bundled_photos[2][58:218:2, 106:306:2]))
    return np.asarray(colour.convert("L").convert("RGB"))


def completers(index: PhotoIndex) -> dict:
    by_retrieval = CompletionSettings(k=2, rerank="rim")
    return {
        "scenes": SceneCompleter(index, SCENES),
        "scenes, without a seam": SceneCompleter(index, replace(SCENES, seam=0.0)),
        "scenes of a size": SceneCompleter(index, replace(SCENES, side=50)),
        "patches": PatchCompleter(index, PatchSettings(scenes=SCENES, sources=2)),
        "blend": Completer(index, by_retrieval),
        "mean": Completer(index, replace(by_retrieval, fill="mean")),
        "paste": Completer(index, replace(by_retrieval, fill="paste")),
    }


@pytest.mark.parametrize("shape", [(80, 100), (64, 64)])  # the latter from the index's cache of scenes
def test_a_grey_photo_stays_grey(index, truth, shape):
    photo = np.array(Image.fromarray(truth).resize(shape[::-1]))
    hole = np.asarray(Image.fromarray(HOLE).resize(shape[::-1]))
    photo[hole] = (255, 0, 0)  # what lies under the hole does not count
    for name, completer in completers(index).items():
        done = completer.complete(photo, hole)
        assert done.grey and done.provenance()["scenes_in_grey"], name
        assert (done.best == done.best[..., :1]).all(), name
        assert all((picture == picture[..., :1]).all() for picture in done.thumbnails), name


def test_grey_scenes_are_what_is_compared(index, truth):
    """Its own scene, seen in grey, is the photo: no distance is left that its colours would make."""
    best = SceneCompleter(index, SCENES).complete(truth, HOLE).candidates[0]
    assert Path(best.photo).stem == "own" and best.scores["context"] < 1 and best.scores["seam"] < 0.5
    terms = {"tint": lambda shows, photo, hole: float(np.ptp(shows, axis=-1).max())}
    done = SceneCompleter(index, SCENES, terms=terms).complete(truth, HOLE)
    assert [candidate.scores["tint"] for candidate in done.candidates] == [0.0, 0.0]
    own = np.asarray(Image.open(index.path.parent / "scenes" / "own.png").convert("L").convert("RGB").resize((64, 64)))
    hole = np.asarray(Image.fromarray(HOLE).resize((64, 64)))
    by_rim = Completer(index, CompletionSettings(k=2, rerank="rim")).complete(own, hole)
    assert Path(by_rim.candidates[0].photo).stem == "own" and by_rim.candidates[0].rim_distance < 1e-3


def test_what_is_expected_of_a_grey_photo_is_grey(index, truth, monkeypatch):
    pytest.importorskip("torch")
    seen = {}
    completer = SceneCompleter(index, replace(SCENES, rerank="guided"))
    ranker = completer._ranker
    order = ranker.order
    monkeypatch.setattr(ranker, "order", lambda query, *rest: seen.update(q=query) or order(query, *rest))
    best = completer.complete(truth, HOLE).best
    np.testing.assert_array_equal(best, best[..., :1].repeat(3, axis=-1))
    np.testing.assert_array_equal(seen["q"].expected, seen["q"].expected[..., :1].repeat(3, axis=-1))


def test_one_pixel_of_colour_is_colour(index, truth):
    photo = truth.copy()
    assert is_grey(photo, HOLE)
    photo[0, 0, 1] ^= 1
    assert not is_grey(photo, HOLE)
    for name, completer in completers(index).items():
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
