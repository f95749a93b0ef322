import numpy as np
import pytest
from held_out import HeldOut

from ce_retrieval.errors import MaskError
from ce_retrieval.evaluation import classical
from ce_retrieval.evaluation.classical import CLASSICAL

HOLES = {
    "centre": (slice(16, 32), slice(16, 32)),
    "corner": (slice(0, 12), slice(0, 12)),
    "band": (slice(20, 30), slice(None)),
    "one pixel": (slice(5, 6), slice(7, 8)),
}


def hole_of(name: str) -> np.ndarray:
    hole = np.zeros((48, 48), dtype=bool)
    hole[HOLES[name]] = True
    return hole


@pytest.fixture(scope="module")
def photos(bundled_photos: list) -> np.ndarray:
    return np.stack([photo[100:196:2, 150:246:2] for photo in bundled_photos])


@pytest.mark.parametrize("hole_name", HOLES)
@pytest.mark.parametrize("name", CLASSICAL)
def test_known_pixels_stay_and_hidden_ones_do_not_matter(name: str, hole_name: str, photos: np.ndarray) -> None:
    hole, before = hole_of(hole_name), photos.copy()
    filled = CLASSICAL[name](photos, hole)
    assert filled.dtype == np.uint8 and filled.shape == photos.shape
    assert (filled[:, ~hole] == photos[:, ~hole]).all()
    assert (photos == before).all()
    hidden = photos.copy()
    hidden[:, hole] = (255, 0, 130)
    assert (CLASSICAL[name](hidden, hole) == filled).all()


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_batch_is_its_photos(name: str, photos: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    hole = hole_of("centre")
    together = CLASSICAL[name](photos, hole)
    alone = np.concatenate([CLASSICAL[name](photo[None], hole) for photo in photos])
    assert (together == alone).all()
    # Batches that do not divide evenly.
    monkeypatch.setattr(classical, "BIHARMONIC_BATCH", 3)
    assert (CLASSICAL[name](photos, hole) == together).all()
    assert CLASSICAL[name](photos[:0], hole).shape == (0, 48, 48, 3)


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_uniform_photo_is_continued(name: str) -> None:
    photos = np.full((1, 48, 48, 3), (10, 120, 250), dtype=np.uint8)
    hole = hole_of("corner")
    hidden = np.where(hole[..., None], np.uint8(77), photos)
    # OpenCV's Telea rounds every pixel before it goes on from it, and drifts.
    drift = 4 if name == "telea" else 1
    assert np.abs(CLASSICAL[name](hidden, hole).astype(int) - photos).max() <= drift


@pytest.mark.parametrize("name", ["smooth", "biharmonic"])
def test_a_linear_photo_is_continued(name: str) -> None:
    row, col = np.mgrid[0:48, 0:48]
    photo = np.stack([2 * row + col, 5 * row, 200 - 3 * col], axis=-1).astype(np.uint8)[None]
    hole = hole_of("centre")
    hidden = np.where(hole[..., None], np.uint8(77), photo)
    assert np.abs(CLASSICAL[name](hidden, hole).astype(int) - photo).max() <= 1


def test_biharmonic_is_the_librarys_photo_by_photo(photos: np.ndarray) -> None:
    from skimage.restoration import inpaint_biharmonic

    hole = hole_of("band") | hole_of("corner")
    filled = classical.biharmonic(photos, hole)
    for photo, result in zip(photos, filled, strict=True):
        expected = np.rint(inpaint_biharmonic(photo, hole, channel_axis=-1) * 255)
        # Sums in another order may round a tie the other way.
        assert np.abs(result - expected).max() <= 1
        assert (result != expected).mean() < 1e-3


@pytest.mark.parametrize("name", CLASSICAL)
def test_bad_arguments_are_refused(name: str) -> None:
    photos = np.zeros((2, 6, 7, 3), dtype=np.uint8)
    for hole, message in (
        (np.zeros((6, 7), dtype=bool), "the hole is empty"),
        (np.ones((6, 7), dtype=bool), "covers the whole photo"),
        (np.eye(6, dtype=bool), "the hole is 6x6, the photo 7x6"),
    ):
        with pytest.raises(MaskError, match=message):
            CLASSICAL[name](photos, hole)
    with pytest.raises(MaskError, match=r"expected bool \(H, W\)"):
        CLASSICAL[name](photos, np.eye(6, 7, dtype=np.uint8))
    with pytest.raises(ValueError, match="photos are uint8"):
        CLASSICAL[name](photos[0], np.eye(6, 7, dtype=bool))


@pytest.mark.parametrize("name", ["telea", "navier-stokes", "smooth"])
def test_figures_measured_elsewhere_are_reproduced(name: str, held_out: HeldOut) -> None:
    centre = (slice(None), slice(32, 96), slice(32, 96))
    hole = np.zeros((128, 128), dtype=bool)
    hole[32:96, 32:96] = True
    error = (CLASSICAL[name](held_out.photos, hole)[centre].astype(np.float64) - held_out.photos[centre]) / 255.0
    square = (error**2).mean(axis=(1, 2, 3))
    found = 100 * np.abs(error).mean(), 100 * square.mean(), (-10 * np.log10(square)).mean()
    assert found == pytest.approx(held_out.figures[name], abs=0.02)
