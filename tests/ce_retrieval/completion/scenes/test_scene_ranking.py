"""What is expected under a hole: told by a network or by many scenes, and what the fill makes of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.completion.scenes.completer import SceneCompleter
from ce_retrieval.completion.scenes.terms import GIST_SIDE, GistDistance, HoleTerms
from ce_retrieval.completion.settings import AGREEING, GuidedSettings, SceneSettings
from ce_retrieval.descriptors import make_descriptor
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index

SIDE = 64
HOLE = np.zeros((SIDE, SIDE), bool)
HOLE[20:44, 18:46] = True
SETTINGS = SceneSettings(rerank="rim", seam=0.0, top=5)


def crops(picture: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corners = zip(
        rng.integers(0, picture.shape[0] - SIDE, count), rng.integers(0, picture.shape[1] - SIDE, count), strict=True
    )
    return np.stack([picture[y : y + SIDE, x : x + SIDE] for y, x in corners])


@pytest.fixture(scope="module")
def pictures(bundled_photos) -> np.ndarray:
    return crops(bundled_photos[2], 8)


@pytest.fixture(scope="module")
def many(tmp_path_factory, bundled_photos) -> PhotoIndex:
    """So many scenes that the best of them agree on something."""
    folder = tmp_path_factory.mktemp("many")
    (folder / "scenes").mkdir()
    for number, scene in enumerate(crops(bundled_photos[2], AGREEING + 5, seed=1)):
        Image.fromarray(scene).save(folder / "scenes" / f"{number:03d}.png")
    build_index(
        [folder / "scenes"], folder / "many.ceret", IndexSettings(features="thumbnail:16", size=SIDE, workers=1)
    )
    return PhotoIndex.open(folder / "many.ceret")


def unit(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float32) / 255


def test_the_terms_are_least_for_the_photo_itself(pictures):
    photo, terms = pictures[0], HoleTerms(HOLE, GuidedSettings(), 8)
    smooth = photo.copy()
    smooth[HOLE] = smooth[HOLE].mean(axis=0)
    moved = np.clip(photo.astype(int) + 40, 0, 255).astype(np.uint8)
    shown = np.stack([photo, smooth, moved, *pictures[1:]])
    detail, rim = terms.detail(photo, shown), terms.rim(photo, shown)
    assert detail[1] == detail.max() > 0 and detail[0] <= detail[1] / 4
    assert rim[0] == rim[1] == 0 and rim[2] == pytest.approx((40 / 255) ** 2, rel=0.1)
    content = terms.content(photo, shown, unit(photo))
    assert content[0] == pytest.approx(0, abs=1e-9) and content[3:].min() > 1e-4
    assert content[2] < 1e-4, "the blend takes a shift of colour away"


def test_what_scenes_agree_on_is_the_mean_of_their_blends(pictures):
    photo, scenes = pictures[0], pictures[1:4]
    expected = np.mean([PoissonSolver(HOLE).blend(unit(s)[None], unit(photo))[0] for s in scenes], axis=0)
    np.testing.assert_allclose(HoleTerms(HOLE, GuidedSettings(), 8).consensus(photo, scenes), expected, atol=1e-6)


def test_what_is_wanted_is_the_blend_and_a_bounded_step_towards_what_is_expected(pictures):
    photo, scenes, terms = pictures[0], pictures[1:4], HoleTerms(HOLE, GuidedSettings(), 8)
    blends = PoissonSolver(HOLE).blend(unit(scenes), unit(photo))
    far = terms.wanted(photo, scenes, np.ones_like(unit(photo)), trust=0.05)
    assert (far[:, ~HOLE] == 0).all()
    steps = (unit(scenes) + far - blends)[:, HOLE]
    assert 0.03 < steps.mean() <= steps.max() <= 0.0501
    same = terms.wanted(photo, photo[None], np.ones_like(unit(photo)), trust=0.05)
    assert np.abs(same).max() < 1e-4, "a scene equal to the photo in the rim yields to nothing"
    for scene, blend in zip(scenes, blends, strict=True):
        nothing_missing = terms.wanted(photo, scene[None], blend, trust=0.05)[0]
        np.testing.assert_allclose(nothing_missing[HOLE], (blend - unit(scene))[HOLE], atol=1e-6)


def test_gist_tells_by_what_is_seen_of_the_photo(bundled_photos):
    scenes = np.stack([np.asarray(Image.fromarray(p).resize((GIST_SIDE, GIST_SIDE))) for p in bundled_photos])
    hole = np.zeros(bundled_photos[1].shape[:2], bool)
    hole[100:200, 150:300] = True
    photo = np.where(hole[..., None], np.uint8(255), bundled_photos[1])
    found = GistDistance().distances(photo, hole, scenes)
    assert found.argmin() == 1 and found[1] < 0.3 * np.delete(found, 1).min()
    gist = make_descriptor("gist", GIST_SIDE)
    whole = GistDistance().distances(scenes[0], np.eye(GIST_SIDE, dtype=bool) & False, scenes)
    grids = gist.describe(scenes)
    np.testing.assert_allclose(whole, ((grids - grids[0]) ** 2).sum(axis=2).mean(axis=1), rtol=1e-4)
    assert not GistDistance().distances(photo, np.ones_like(hole), scenes).any(), "nothing is seen"


def test_the_best_of_many_scenes_tell_what_is_expected(many, bundled_photos):
    photo = np.where(HOLE[..., None], 0, crops(bundled_photos[2], 1, seed=9)[0]).astype(np.uint8)
    done = SceneCompleter(many, SETTINGS).complete(photo, HOLE)
    assert done.expected == done.provenance()["expected"] == "scenes"
    assert all(np.isfinite(c.scores["content"]) for c in done.candidates)
    few = SceneCompleter(many, replace(SETTINGS, aligned=AGREEING - 1)).complete(photo, HOLE)
    assert few.expected is None and "content" not in few.candidates[0].scores
    off = SceneCompleter(many, replace(SETTINGS, trust=0.0, terms={"content": 0.0})).complete(photo, HOLE)
    assert off.expected is None


def test_trust_moves_colours_towards_what_is_expected_and_no_farther(many, bundled_photos, monkeypatch):
    photo = np.where(HOLE[..., None], 0, crops(bundled_photos[2], 1, seed=9)[0]).astype(np.uint8)
    monkeypatch.setattr(HoleTerms, "consensus", lambda self, photo, pictures: np.ones((*HOLE.shape, 3), np.float32))
    means = {}
    for trust in (0.0, 0.1, 0.3):
        done = SceneCompleter(many, replace(SETTINGS, trust=trust)).complete(photo, HOLE)
        np.testing.assert_array_equal(done.best[~HOLE], photo[~HOLE])
        means[trust] = (Path(done.candidates[0].photo).name, done.best[HOLE].mean() / 255)
    assert len({name for name, _ in means.values()}) == 1
    assert 0.05 < means[0.1][1] - means[0.0][1] <= 0.1
    assert 0.13 < means[0.3][1] - means[0.0][1] <= 0.3


def test_trust_is_the_same_above_the_indexs_size(many, bundled_photos, monkeypatch):
    """At twice the index's size the fill yields as far, and what it adds is as smooth."""
    monkeypatch.setattr(HoleTerms, "consensus", lambda self, photo, pictures: np.ones((*HOLE.shape, 3), np.float32))
    picture = crops(bundled_photos[2], 1, seed=9)[0]
    large = np.asarray(Image.fromarray(picture).resize((2 * SIDE, 2 * SIDE), Image.Resampling.BICUBIC))
    steps = []
    for photo, hole in ((picture, HOLE), (large, HOLE.repeat(2, 0).repeat(2, 1))):
        plain, pulled = (
            SceneCompleter(many, replace(SETTINGS, trust=trust, terms={"gist": 1.0})).complete(photo, hole).best
            for trust in (0.0, 0.1)
        )
        np.testing.assert_array_equal(pulled[~hole], photo[~hole])
        steps.append((pulled.astype(float) - plain)[hole].mean())
    assert steps[1] == pytest.approx(steps[0], rel=0.25)
