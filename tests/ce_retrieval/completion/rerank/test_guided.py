"""The guided score against plain loops and against real blends, and the re-rank that it makes."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

pytest.importorskip("torch")

from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.completion.network import DecoderFill
from ce_retrieval.completion.overlay import Completer
from ce_retrieval.completion.rerank.guided import ContentDistance, Guide, Texture
from ce_retrieval.completion.rerank.rim import rim_distance, rim_of, rim_weights
from ce_retrieval.completion.settings import CompletionSettings, GuidedSettings
from ce_retrieval.errors import CheckpointError, MaskError, PhotoIndexError
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.photos import load_photo
from ce_retrieval.retrieval.query import square_query

GUIDED = GuidedSettings(lowpass=6.0, content=1.0, rim=0.3, context=0.01, texture=0.01)
SETTINGS = CompletionSettings(k=6, candidates=30, rim=4, rerank="guided", fill="paste", guided=GUIDED)


@pytest.fixture(scope="module")
def index(crop_index) -> PhotoIndex:
    return PhotoIndex.open(crop_index)


@pytest.fixture(scope="module")
def pictures(bundled_photos) -> np.ndarray:
    """Twelve natural pictures uint8 (12, 40, 48, 3)."""
    parts = [
        photo[y : y + 160 : 4, x : x + 192 : 4] for photo in bundled_photos for y, x in ((0, 0), (60, 90), (120, 40))
    ]
    return np.stack(parts)


def slow_distance(hole: np.ndarray, lowpass: float, candidate: np.ndarray, fill: np.ndarray) -> float:
    """D of the module's description, sample by sample, each over all pixels of the hole; candidate and fill in [0, 1]."""
    deviation, cell = lowpass / 2, max(1, round(lowpass / 2))
    rows, cols = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    total = count = 0.0
    for top in range(rows[0], rows[-1] + 1, cell):
        for left in range(cols[0], cols[-1] + 1, cell):
            bottom, right = min(top + cell, rows[-1] + 1), min(left + cell, cols[-1] + 1)
            inside = int(hole[top:bottom, left:right].sum())
            if not inside:
                continue
            middle = (top + bottom - 1) / 2, (left + right - 1) / 2
            weights = np.exp(-((np.argwhere(hole) - middle) ** 2).sum(axis=1) / (2 * deviation**2))
            difference = np.average(candidate[hole] - fill[hole], axis=0, weights=weights)
            total += inside * (difference**2).sum()
            count += inside
    return total / (3 * count)


@pytest.mark.parametrize("lowpass", [1.0, 5.0, 8.0])
def test_the_content_is_that_of_plain_loops(pictures, odd_holes, lowpass):
    fill = pictures[5].astype(np.float32) / 255
    for name, hole in odd_holes(40, 48).items():
        content = ContentDistance(hole, lowpass, solver=None)
        found = content.distances(pictures[:3], content.target(fill, pictures[7]))
        expected = [slow_distance(hole, lowpass, picture / 255.0, fill) for picture in pictures[:3]]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-9, err_msg=name)


def test_neither_known_pixels_nor_the_fill_outside_enter(pictures, odd_holes):
    rng = np.random.default_rng(0)
    for hole in odd_holes(40, 48).values():
        content = ContentDistance(hole, 8.0, solver=None)
        fill = pictures[5].astype(np.float32) / 255
        other_fill = np.where(hole[..., None], fill, rng.random(fill.shape, np.float32))
        others = np.where(hole[..., None], pictures, rng.integers(0, 256, pictures.shape, dtype=np.uint8))
        one = content.distances(pictures, content.target(fill, pictures[7]))
        np.testing.assert_array_equal(one, content.distances(others, content.target(other_fill, pictures[8])))


def test_it_is_the_mean_over_the_hole_of_a_normalised_convolution(pictures, odd_holes):
    """The samples stand for all pixels of the hole: a dense convolution by other code says the same to some percent."""

    def dense(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
        blur = [ndimage.gaussian_filter(picture[..., c] * hole, 4, mode="constant", truncate=12) for c in range(3)]
        mass = ndimage.gaussian_filter(hole.astype(float), 4, mode="constant", truncate=12)
        return (np.stack(blur, axis=2)[hole].T / mass[hole]).T

    fill = pictures[5].astype(np.float32) / 255
    for name in ("centre", "corner", "band", "ring"):
        hole = odd_holes(40, 48)[name]
        content = ContentDistance(hole, 8.0, solver=None)
        found = content.distances(pictures[:5], content.target(fill, pictures[7]))
        expected = [np.mean((dense(p / 255.0, hole) - dense(fill, hole)) ** 2) for p in pictures[:5]]
        np.testing.assert_allclose(found, expected, rtol=0.06, err_msg=name)


def test_blended_it_is_the_distance_of_the_blends(pictures, odd_holes):
    fill = pictures[5].astype(np.float32) / 255
    for name, hole in odd_holes(40, 48).items():
        solver = PoissonSolver(hole)
        # Little contrast, so that no blend is clipped: that is left out of the score.
        soft = (pictures // 4 + 96).astype(np.uint8)
        blends = solver.blend(soft.astype(np.float32) / 255, soft[7].astype(np.float32) / 255)
        plain = ContentDistance(hole, 8.0, solver=None)
        exact = [slow_distance(hole, 8.0, blend, fill) for blend in blends]
        blended = ContentDistance(hole, 8.0, solver=PoissonSolver(hole))
        found = blended.distances(soft, blended.target(fill, soft[7]))
        np.testing.assert_allclose(found, exact, rtol=0.08, atol=1e-5, err_msg=name)
        unblended = plain.distances(soft, plain.target(fill, soft[7]))
        assert np.abs(unblended / found - 1).max() > 0.16, "the blend changes what is compared"


def detail(picture: np.ndarray, marked: np.ndarray) -> float:
    """Mean absolute difference of vertical neighbours that are both marked, plus that of horizontal ones."""
    steps: list[list[float]] = [[], []]
    for y, x in np.argwhere(marked):
        for axis, (ny, nx) in enumerate(((y + 1, x), (y, x + 1))):
            if ny < marked.shape[0] and nx < marked.shape[1] and marked[ny, nx]:
                steps[axis].append(np.abs(picture[ny, nx] - picture[y, x]).mean())
    return sum(float(np.mean(one)) for one in steps if one)


def test_candidates_smoother_than_the_surroundings_pay(pictures, odd_holes):
    for name, hole in odd_holes(40, 48).items():
        texture = Texture(hole)
        photo = pictures[7].copy()
        photo[hole] = 99  # is not read
        expected = detail(photo / 255.0, rim_of(hole, 12))
        smooth = (pictures // 8 + 100).astype(np.uint8)
        found = texture.penalties(photo, np.concatenate([pictures[:2], smooth[:2]]))
        for penalty, picture in zip(found, [*pictures[:2], *smooth[:2]], strict=True):
            inside = max(detail(picture / 255.0, hole), 1e-3)
            assert penalty == pytest.approx(max(0.0, np.log(expected / inside)) ** 2, rel=1e-3, abs=1e-6), name
        if detail(pictures[0] / 255.0, hole):
            assert (found[2:] > found[:2]).all(), name
        flat = np.full_like(photo, 80)
        np.testing.assert_array_equal(texture.penalties(flat, pictures), 0)  # nothing to be expected


def test_the_score_is_the_weighted_sum(pictures, odd_holes):
    hole = odd_holes(40, 48)["centre"]
    contexts = np.linspace(0.5, 3.0, 12)
    fill = pictures[5].astype(np.float32) / 255
    for blended in (False, True):
        scores = Guide(GUIDED, 4, fill="blend" if blended else "paste").scores(
            pictures[7], hole, fill, pictures, contexts
        )
        content = ContentDistance(hole, 6.0, solver=PoissonSolver(hole) if blended else None)
        by_content = content.distances(pictures, content.target(fill, pictures[7]))
        by_rim = rim_distance(pictures[7], pictures, rim_weights(hole, 4, 4.0))
        np.testing.assert_array_equal(scores.content, by_content)
        np.testing.assert_array_equal(scores.rim, by_rim)
        expected = by_content + 0.3 * np.log1p(by_rim / 0.002) + 0.01 * contexts / 1.75
        by_texture = Texture(hole).penalties(pictures[7], pictures)
        expected = expected + 0.01 * by_texture
        np.testing.assert_allclose(scores.score, expected, rtol=1e-5)
    averaged = Guide(GUIDED, 4, fill="mean").scores(pictures[7], hole, fill, pictures, contexts)
    np.testing.assert_allclose(averaged.score, expected - 0.01 * by_texture, rtol=1e-4, atol=1e-7)
    never = Guide(replace(GUIDED, blended=False), 4, fill="blend").scores(pictures[7], hole, fill, pictures, contexts)
    np.testing.assert_array_equal(
        never.content, Guide(GUIDED, 4, fill="paste").scores(pictures[7], hole, fill, pictures, contexts).content
    )


@pytest.mark.parametrize("shape", [(64, 64), (100, 130)])
@pytest.mark.parametrize("fill", ["paste", "blend"])
def test_candidates_come_in_the_order_of_the_score(index, tiny_weights, bundled_photos, odd_holes, shape, fill):
    """The network takes 32 px, the index 64: its fill is brought to the index's size."""
    photo = np.array(Image.fromarray(bundled_photos[1]).resize(shape[::-1], Image.Resampling.BICUBIC))
    hole = odd_holes(*shape)["centre"]
    settings = replace(SETTINGS, fill=fill, weights=str(tiny_weights))
    done = Completer(index, settings).complete(photo, hole)
    near = Completer(index, replace(settings, rerank="none", k=30)).complete(photo, hole)
    square, square_hole = square_query(photo, hole, 64)
    decoder = DecoderFill(str(tiny_weights))
    (expected,) = decoder.fills([decoder.square(photo, hole)], 64)
    assert expected.shape == (64, 64, 3)
    scenes = np.stack([load_photo(c.photo, size=64).pixels for c in near.candidates])
    contexts = np.array([c.context_distance for c in near.candidates])
    scores = Guide(GUIDED, 4, fill=fill).scores(square, square_hole, expected, scenes, contexts)
    order = np.argsort(scores.score, kind="stable")[:6]
    assert [c.photo for c in done.candidates] == [near.candidates[i].photo for i in order]
    assert [c.context_rank for c in done.candidates] != sorted(c.context_rank for c in done.candidates)
    np.testing.assert_allclose([c.content_distance for c in done.candidates], scores.content[order], rtol=1e-4)
    np.testing.assert_allclose([c.rim_distance for c in done.candidates], scores.rim[order], rtol=1e-5)
    assert all(c.content_distance is None for c in near.candidates)
    np.testing.assert_array_equal(done.best[~hole], photo[~hole])


def test_a_batch_gives_what_each_gives_alone(index, tiny_weights, bundled_photos, odd_holes):
    photos = [np.ascontiguousarray(photo[20:120, 30:160]) for photo in bundled_photos]
    holes = [odd_holes(100, 130)[name] for name in ("centre", "corner", "parts", "ring")]
    completer = Completer(index, replace(SETTINGS, fill="mean", weights=str(tiny_weights)), workers=3)
    together = completer.complete_many(photos, holes)
    for photo, hole, one in zip(photos, holes, together, strict=True):
        alone = completer.complete(photo, hole)
        assert [c.photo for c in one.candidates] == [c.photo for c in alone.candidates]
        np.testing.assert_array_equal(one.best, alone.best)


def test_the_written_result_names_the_weights_and_the_settings(
    index, tiny_weights, bundled_photos, odd_holes, tmp_path
):
    photo, hole = np.ascontiguousarray(bundled_photos[2][:64, :64]), odd_holes(64, 64)["corner"]
    Completer(index, replace(SETTINGS, weights=str(tiny_weights))).complete(photo, hole).save(tmp_path, "a")
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["method"] == "retrieval" and record["settings"]["rerank"] == "guided"
    assert record["settings"]["guided"]["lowpass"] == 6.0
    assert record["network"] == DecoderFill(str(tiny_weights)).about
    assert len(record["network"]["sha256"]) == 64
    assert all(candidate["content_distance"] >= 0 for candidate in record["candidates"])


def test_a_hole_that_the_network_cannot_fill_spares_the_others(index, center_weights, bundled_photos, odd_holes):
    photo = np.ascontiguousarray(bundled_photos[2][:64, :64])
    holes = [odd_holes(64, 64)[name] for name in ("centre", "corner", "centre")]
    completer = Completer(index, replace(SETTINGS, weights=str(center_weights)))
    one, refused, other = completer.complete_many([photo] * 3, holes)
    assert isinstance(refused, MaskError) and "outside the central half" in str(refused)
    np.testing.assert_array_equal(one.best, other.best)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"content": -1.0}, "guided weights .* none below 0"),
        ({"content": 0.0, "rim": 0.0, "context": 0.0, "texture": 0.0}, "cannot order"),
        ({"rim": float("nan")}, "cannot order"),
        ({"lowpass": 0.0}, r"guided lowpass is 0\.0"),
        ({"falloff": -1.0}, "guided falloff is"),
    ],
)
def test_settings_are_checked_at_once(index, tiny_weights, change, says):
    settings = replace(SETTINGS, guided=replace(GUIDED, **change), weights=str(tiny_weights))
    with pytest.raises(PhotoIndexError, match=says):
        Completer(index, settings)


def test_missing_weights_are_named_at_once(index, tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.safetensors: no such checkpoint file"):
        Completer(index, replace(SETTINGS, weights=str(tmp_path / "none.safetensors")))
