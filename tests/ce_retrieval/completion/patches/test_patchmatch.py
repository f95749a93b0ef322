"""Whole fills by patches: known pixels, textures that must be continued, sources, wrong input."""

from collections.abc import Callable

import numpy as np
import pytest

from ce_retrieval.completion.patches import patchmatch
from ce_retrieval.completion.patches.patchmatch import complete_by_patches
from ce_retrieval.errors import MaskError, PhotoError

OWN_SIZE = 20.0  # patches across: no hole here is so wide that a coarser scale is used


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer rounds, for what does not depend on how good a fill is."""
    for name, value in (("ROUNDS", 3), ("FINAL_ROUNDS", 1), ("PASSES", 2)):
        monkeypatch.setattr(patchmatch, name, value)


def fill(
    photo: np.ndarray,
    hole: np.ndarray,
    initial: np.ndarray | None = None,
    *,
    sources: list[np.ndarray] | tuple = (),
    seed: int = 0,
    start: float = 2.5,
    workers: int = 2,
) -> np.ndarray:
    if initial is None:
        initial = np.broadcast_to(np.rint(photo[~hole].mean(axis=0)).astype(np.uint8), photo.shape)
    rng = np.random.default_rng(seed)
    return complete_by_patches(photo, hole, initial, sources=sources, rng=rng, start=start, workers=workers)


def tiles(height: int, width: int, period: int = 9) -> np.ndarray:
    """A texture without symmetry that repeats every 9 px both ways."""
    tile = np.random.default_rng(3).integers(0, 256, (period, period, 3), dtype=np.uint8)
    return np.tile(tile, (-(-height // period), -(-width // period), 1))[:height, :width]


@pytest.mark.parametrize("name", ["centre", "corner", "band", "pixel", "parts", "ring"])
def test_known_pixels_stay_and_hidden_ones_do_not_matter(
    name: str, odd_holes: Callable[[int, int], dict[str, np.ndarray]], bundled_photos: list, quick: None
) -> None:
    photo = np.ascontiguousarray(bundled_photos[1][50:150, 100:231])
    hole = odd_holes(*photo.shape[:2])[name]
    before = photo.copy()
    initial = np.full_like(photo, 90)
    filled = fill(photo, hole, initial)
    assert filled.dtype == np.uint8 and filled.shape == photo.shape
    assert (filled[~hole] == photo[~hole]).all()
    assert (photo == before).all()
    hidden = np.where(hole[..., None], np.uint8(255) - photo, photo)
    assert (fill(hidden, hole, initial) == filled).all()


def test_the_fill_depends_on_the_seed_and_not_on_the_number_of_threads(bundled_photos: list, quick: None) -> None:
    photo = bundled_photos[0][:180, :200]
    hole = np.zeros((180, 200), bool)
    hole[40:140, 50:160] = True
    one, four, again = (fill(photo, hole, workers=n) for n in (1, 4, 4))
    assert (one == four).all() and (four == again).all()
    assert (fill(photo, hole, seed=1) != one).any()


def test_a_periodic_texture_is_completed() -> None:
    truth = tiles(99, 117)
    hole = np.zeros(truth.shape[:2], bool)
    hole[30:66, 40:80] = True
    filled = fill(np.where(hole[..., None], np.uint8(0), truth), hole)
    wrong = np.abs(filled.astype(int) - truth)[hole]
    assert np.mean(wrong) < 2.0, "the mean fill of this texture is wrong by about 60"
    assert np.mean(wrong.max(axis=1) > 10) < 0.05


def test_stripes_at_the_border_are_continued() -> None:
    truth = np.repeat(((np.arange(96) // 6) % 2 * 200 + 20).astype(np.uint8)[None, :, None], 80, axis=0).repeat(
        3, axis=2
    )
    hole = np.zeros((80, 96), bool)
    hole[52:, 20:70] = True
    filled = fill(truth, hole)
    assert np.mean(np.abs(filled.astype(int) - truth)[hole]) < 2.0


def test_the_fill_is_made_of_known_patches() -> None:
    """Two halves of different colour and a hole in one: nothing outside the range of the known pixels appears."""
    photo = np.full((64, 64, 3), (10, 200, 30), np.uint8)
    photo[:, 40:] = (250, 20, 90)
    hole = np.zeros((64, 64), bool)
    hole[20:40, 8:28] = True
    filled = fill(photo, hole, np.full_like(photo, 90))
    assert (filled[hole] == (10, 200, 30)).all()


def test_the_source_gives_what_the_photo_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fill to begin with shows a texture of which only the source has patches."""
    monkeypatch.setattr(patchmatch, "TEXTURE", 0.0)
    red = np.full((70, 70, 3), (220, 30, 30), np.uint8)
    texture = tiles(90, 60)
    hole = np.zeros((70, 70), bool)
    hole[20:50, 20:50] = True
    initial = red.copy()
    initial[20:50, 20:50] = tiles(30, 30)
    inner = np.s_[27:43, 27:43]
    with_source = fill(red, hole, initial, sources=[texture[:33, :41], texture], start=OWN_SIZE)
    assert np.abs(with_source[inner].astype(int) - initial[inner]).mean() < 2.0
    alone = fill(red, hole, initial, start=OWN_SIZE)
    assert (alone[inner] == (220, 30, 30)).all()


def test_the_initial_fill_steers() -> None:
    """Left half dark, right half bright, and a hole over the middle: the fill says how far the dark reaches."""
    photo = np.full((60, 120, 3), 30, np.uint8)
    photo[:, 60:] = 220
    photo += np.random.default_rng(0).integers(0, 20, photo.shape, dtype=np.uint8)
    hole = np.zeros((60, 120), bool)
    hole[:, 35:85] = True
    for edge in (45, 75):
        initial = np.full(photo.shape, 0.15, np.float32)
        initial[:, edge:] = 0.9
        filled = fill(photo, hole, initial, start=OWN_SIZE)
        bright = filled.mean(axis=2) > 128
        assert bright[:, edge + 5 :].mean() > 0.99 and bright[:, : edge - 5].mean() < 0.01


def test_a_photo_hidden_but_for_a_line_is_filled_from_a_source() -> None:
    hole = np.ones((40, 50), bool)
    hole[0] = False
    photo = np.full((40, 50, 3), (9, 99, 199), np.uint8)
    with pytest.raises(MaskError, match=r"7x7 px.*give scenes") as caught:
        fill(photo, hole)
    assert "\n" not in str(caught.value)
    filled = fill(photo, hole, sources=[np.full((20, 30, 3), (9, 99, 199), np.uint8)])
    assert (filled == photo).all()


def test_the_smallest_photo_there_is_a_patch_in() -> None:
    photo = np.full((7, 15, 3), 77, np.uint8)
    hole = np.zeros((7, 15), bool)
    hole[3, 12] = True
    assert (fill(photo, hole) == photo).all()
    with pytest.raises(PhotoError, match=r"15x6 px.*7x7"):
        fill(photo[:6], hole[:6])


def test_wrong_input_is_refused() -> None:
    photo = np.zeros((20, 20, 3), np.uint8)
    hole = np.zeros((20, 20), bool)
    for wrong, message in (
        (hole, "the hole is empty"),
        (~hole, "covers the whole photo"),
        (hole[:, :19], "the hole is 19x20, the photo 20x20"),
    ):
        with pytest.raises(MaskError, match=message):
            fill(photo, wrong, photo)
    hole[3:5, 3:5] = True
    for wrong_photo, wrong_initial, sources in (
        (photo.astype(np.float32), photo, []),
        (photo, photo[:19], []),
        (photo, photo.astype(np.int32), []),
        (photo, photo, [photo[..., 0]]),
    ):
        with pytest.raises(ValueError, match="needed"):
            fill(wrong_photo, hole, wrong_initial, sources=sources)
    with pytest.raises(MaskError, match="expected bool"):
        fill(photo, hole.astype(np.uint8), photo)
