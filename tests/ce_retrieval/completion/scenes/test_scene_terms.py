"""Terms of a hole at the index's size: least for the photo itself; what they expect, and how far a fill is corrected."""

import numpy as np
import pytest
from PIL import Image
from ranking_cases import HOLE, crops, unit

from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.completion.scenes.terms import GIST_SIDE, GistDistance, HoleTerms
from ce_retrieval.descriptors import make_descriptor


@pytest.fixture(scope="module")
def pictures(bundled_photos) -> np.ndarray:
    return crops(bundled_photos[2], 8)


@pytest.fixture(scope="module")
def terms() -> HoleTerms:
    return HoleTerms(HOLE)


def test_the_terms_are_least_for_the_photo_itself(pictures, terms):
    photo = pictures[0]
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


def test_the_consensus_is_the_mean_of_the_blends(pictures, terms):
    photo, scenes = pictures[0], pictures[1:4]
    expected = np.mean([PoissonSolver(HOLE).blend(unit(s)[None], unit(photo))[0] for s in scenes], axis=0)
    np.testing.assert_allclose(terms.consensus(photo, scenes), expected, atol=1e-6)


def test_a_correction_is_the_blend_and_a_bounded_step_towards_the_expected_content(pictures, terms):
    photo, scenes = pictures[0], pictures[1:4]
    blends = PoissonSolver(HOLE).blend(unit(scenes), unit(photo))
    far = terms.corrections(photo, scenes, np.ones_like(unit(photo)), trust=0.05)
    assert (far[:, ~HOLE] == 0).all()
    steps = (unit(scenes) + far - blends)[:, HOLE]
    assert 0.03 < steps.mean() <= steps.max() <= 0.0501
    same = terms.corrections(photo, photo[None], np.ones_like(unit(photo)), trust=0.05)
    assert np.abs(same).max() < 1e-4, "a scene equal to the photo in the rim yields to nothing"
    for scene, blend in zip(scenes, blends, strict=True):
        nothing_missing = terms.corrections(photo, scene[None], blend, trust=0.05)[0]
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
