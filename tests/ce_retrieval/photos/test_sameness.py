"""Pairs of photos: copies and frames of a burst are the same view, only copies do not fill; another viewpoint is neither."""

import io
import itertools

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from ce_retrieval.photos import load_photo
from ce_retrieval.photos.copies import Copies, Verdict
from ce_retrieval.photos.near_duplicates import MIN_COARSE, coarse, correlation, fine, near_duplicates, similarity
from ce_retrieval.photos.sameness import FRAMED_ALIKE, SAME_VIEW, SAME_VIEW_MOVED

SIDE = 128


def square(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    stored = io.BytesIO()
    Image.fromarray(picture).save(stored, "JPEG", quality=quality)
    return np.asarray(Image.open(stored))


def middle(picture: np.ndarray) -> np.ndarray:
    """A hole of a fifth of the height."""
    height, width = picture.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    return ((rows - height / 2) ** 2 + (columns - width / 2) ** 2) < (0.1 * height) ** 2


def framing(photo: np.ndarray, other: np.ndarray) -> float:
    return float(coarse(square(photo)[None])[0] @ coarse(square(other)[None])[0])


def same_view(photo: np.ndarray, other: np.ndarray) -> list[bool]:
    """By the whole photos, as the leak guard sees them, and by the photo with a hole."""
    hole = middle(np.empty((SIDE, SIDE)))
    whole = []
    for query in (photo, photo[:, ::-1]):
        framed = framing(query, other)
        alike = similarity(fine(square(query)), fine(square(other)), None, framed)
        whole.append(framed >= MIN_COARSE and alike >= SAME_VIEW)
    return [any(whole), bool(near_duplicates(square(photo), hole, square(other)[None])[0])]


def verdict(photo: np.ndarray, hole: np.ndarray, other: np.ndarray) -> Verdict:
    missing = np.asarray(Image.fromarray(hole).resize((SIDE, SIDE), Image.Resampling.NEAREST))
    return Copies(photo, hole, square(photo), missing).verdicts(other[None])[0]


def shot(photo: np.ndarray, seed: int, dx=0.0, dy=0.0, turn=0.0, zoom=1.0, gamma=1.0) -> np.ndarray:
    """A frame of a burst: from the hand, with noise and compression of its own."""
    height, width = photo.shape[:2]
    warp = cv2.getRotationMatrix2D((width / 2, height / 2), turn, zoom)
    warp[:, 2] += dx, dy
    moved = cv2.warpAffine(photo, warp, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    noise = np.random.default_rng(seed).normal(0, 2, photo.shape)
    seen = np.clip(255 * (moved / 255) ** gamma + noise, 0, 255).astype(np.uint8)
    return jpeg(seen[12:-12, 12:-12], 92)


def stepped(photo: np.ndarray, nearer: float, depth: float) -> np.ndarray:
    """The place from some steps nearer: what is at another distance moves by another length, up to about `depth` widths."""
    height, width = photo.shape[:2]
    coarse_field = np.random.default_rng(0).normal(0, depth * width, (5, 5, 2)).astype(np.float32)
    parallax = cv2.resize(coarse_field, (width, height), interpolation=cv2.INTER_CUBIC)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    across = nearer * width + (1 - 2 * nearer) * columns + parallax[..., 0]
    down = nearer * height + (1 - 2 * nearer) * rows + parallax[..., 1]
    return cv2.remap(photo, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


@pytest.fixture(scope="module")
def motorcycle() -> tuple[np.ndarray, np.ndarray]:
    left, right, _ = data.stereo_motorcycle()
    return left, right


COPIES = {
    "half the size": lambda photo: cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "jpeg": lambda photo: jpeg(photo, 20),
    "mirrored": lambda photo: photo[:, ::-1],
    "cropped": lambda photo: photo[photo.shape[0] // 25 : -photo.shape[0] // 25, photo.shape[1] // 25 :],
    "brightened": lambda photo: np.clip(1.1 * photo + 5, 0, 255).astype(np.uint8),
}


@pytest.mark.parametrize("treatment", COPIES)
def test_a_copy_is_the_same_view_and_does_not_fill(bundled_photos, motorcycle, treatment):
    for photo in (*bundled_photos[:3], motorcycle[0]):
        copy = np.ascontiguousarray(COPIES[treatment](photo))
        assert same_view(photo, copy) == [True, True]
        assert verdict(photo, middle(photo), copy) is Verdict.COPY


FRAMES = {
    "still": {},
    "moved by 3 px": {"dx": 3, "dy": -1},
    "moved by 8 px": {"dx": 8, "dy": -5},
    "turned": {"dx": 2, "turn": 0.8},
    "zoomed": {"zoom": 1.01},
    "other exposure": {"gamma": 0.75},
    "all of these": {"dx": 5, "dy": 3, "turn": 0.6, "zoom": 1.01, "gamma": 1.2},
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_of_a_burst_is_the_same_view_and_fills(bundled_photos, motorcycle, name):
    photos = [*bundled_photos[:3], motorcycle[0]]
    for number, photo in enumerate(photos):
        hole, texture = middle(photo), cv2.resize(photos[number - 1], photo.shape[1::-1])
        inside = cv2.erode(hole.astype(np.uint8), np.ones((9, 9))) > 0
        passed = shot(np.where(inside[..., None], texture, photo), 0)  # the passer-by is in one frame
        other, hole = shot(photo, 1, **FRAMES[name]), hole[12:-12, 12:-12]
        assert same_view(passed, other) == [True, True], number
        assert verdict(passed, hole, other) is Verdict.DIFFERS, number
        both = shot(np.where(inside[..., None], texture, photo), 2, **FRAMES[name])
        assert verdict(passed, hole, both) is Verdict.COPY, "who stands there still would come back"
        painted = np.where(hole[..., None], np.uint8(127), passed)
        assert verdict(painted, hole, other) is Verdict.COPY, "nothing tells a frame from a copy"


@pytest.mark.parametrize(
    ("background", "walker", "tall", "dx"), [("street", 0, 60, 3), ("street", 1, 120, 2), (1, 0, 120, 3)]
)
def test_frames_a_few_pixels_apart_are_laid_on_each_other(bundled_photos, motorcycle, background, walker, tall, dx):
    """They correlate as they lie at 64 px; at the photo's size the edges around the hole would hide what differs."""
    photo = motorcycle[0] if background == "street" else bundled_photos[background]
    height, width = photo.shape[:2]
    hole = np.zeros((height, width), bool)
    hole[(height - tall) // 2 : (height + tall) // 2, width // 2 - tall // 4 : width // 2 + tall // 4] = True
    inside = cv2.erode(hole.astype(np.uint8), np.ones((9, 9))) > 0
    passed = shot(np.where(inside[..., None], cv2.resize(bundled_photos[walker], (width, height)), photo), 0)
    assert verdict(passed, hole[12:-12, 12:-12], shot(photo, 1, dx=dx, dy=-1)) is Verdict.DIFFERS


def test_another_viewpoint_is_neither(bundled_photos, motorcycle):
    for photo in (bundled_photos[1], motorcycle[0]):
        other = stepped(photo, 0.06, 0.018)
        assert framing(photo, other) >= MIN_COARSE
        # Aligned, they would pass for the same view.
        assert similarity(fine(square(photo)), fine(square(other)), None, 1.0) >= SAME_VIEW
        assert same_view(photo, other) == [False, False]
        assert verdict(photo, middle(photo), other) is Verdict.OTHER


def test_a_view_shot_again_in_the_same_frame_is_the_same_view(bundled_photos):
    """Its detail changed as much as that from another viewpoint; the layout of the photo did not."""
    photo = bundled_photos[2]
    again = stepped(photo, 0.05, 0.018)
    pair = fine(square(photo)), fine(square(again))
    assert framing(photo, again) >= FRAMED_ALIKE
    assert SAME_VIEW <= similarity(*pair, None, 1.0) < SAME_VIEW_MOVED
    assert similarity(*pair, None, 0.8) < SAME_VIEW
    assert same_view(photo, again) == [True, True]
    assert verdict(photo, middle(photo), again) is Verdict.OTHER


def test_a_photo_from_the_hand_counts_once_aligned(motorcycle):
    """A passer-by may then cost both the layout and the detail."""
    photo = motorcycle[0]
    texture = cv2.resize(data.chelsea(), photo.shape[1::-1])
    hole = np.zeros(photo.shape[:2], bool)
    hole[100:400, 250:520] = True
    other = shot(photo, 1, dx=12, dy=6)
    passed = shot(np.where(hole[..., None], texture, photo), 0)
    pair = fine(square(passed)), fine(square(other))
    assert framing(passed, other) < FRAMED_ALIKE and correlation(*pair, None) < SAME_VIEW
    assert SAME_VIEW <= similarity(*pair, None, 0.8) < SAME_VIEW_MOVED


def test_a_stereo_pair_is_one_view_whose_parallax_tells_it_from_a_copy(motorcycle):
    for photo, other in itertools.permutations(motorcycle):
        assert same_view(photo, other) == [True, True]
        assert verdict(photo, middle(photo), other) is Verdict.OTHER


def test_photos_of_one_place_are_neither(shared_data):
    for place in sorted((shared_data / "places").iterdir()):
        photos = [load_photo(path, size=384).pixels for path in sorted(place.iterdir())]
        for photo, other in itertools.permutations(photos, 2):
            assert same_view(photo, other) == [False, False]
            assert verdict(photo, middle(photo), other) is Verdict.OTHER
