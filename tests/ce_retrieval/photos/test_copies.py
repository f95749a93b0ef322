"""Copies of a photo are told from other photos of the same place, and from those that show something else under the hole."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter
from skimage import data

from ce_retrieval.photos.copies import Copies

SIDE = 96


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    stored = io.BytesIO()
    image.save(stored, "JPEG", quality=quality)
    return Image.open(stored)


TREATMENTS = {
    "the same": lambda image: image,
    "jpeg": lambda image: jpeg(image, 20),
    "shrunk": lambda image: image.resize((64, 64), Image.Resampling.LANCZOS),
    "enlarged": lambda image: image.resize((300, 290), Image.Resampling.BICUBIC),
    "brighter": lambda image: image.point(lambda value: min(255, round(1.1 * value) + 5)),
    "darker": lambda image: image.point(lambda value: round(255 * (value / 255) ** 1.5)),
    "grey": lambda image: image.convert("L"),
    "sharper": lambda image: image.filter(ImageFilter.UnsharpMask(1, 120)),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "mirrored, shrunk, jpeg": lambda image: jpeg(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((90, 80)), 50),
}


@pytest.fixture(scope="module")
def views(bundled_photos) -> list[Image.Image]:
    """Parts of 140x140 px of different photos, all with texture."""
    places = ((0, 60, 150), (0, 250, 40), (1, 60, 100), (1, 150, 260), (2, 60, 250), (2, 200, 80))
    return [Image.fromarray(bundled_photos[n][y : y + 140, x : x + 140]) for n, y, x in places]


def pixels(image: Image.Image, side: int = SIDE) -> np.ndarray:
    return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC))


def holes(side: int) -> dict[str, np.ndarray]:
    made = {name: np.zeros((side, side), bool) for name in ("centre", "corner", "left half", "most", "small")}
    made["centre"][side // 4 : side * 3 // 4, side // 4 : side * 3 // 4] = True
    made["corner"][: side // 2, : side * 2 // 5] = True
    made["left half"][:, : side // 2] = True
    made["most"][side // 16 :, : side * 2 // 3] = True
    made["small"][side // 2 : side // 2 + side // 12, side // 3 : side // 3 + side // 12] = True
    return made


def copies_of(image: Image.Image | np.ndarray, hole: str | np.ndarray, *, blank: bool = False) -> Copies:
    """The search for copies of a photo of any size; blank: white under its hole."""
    photo = np.array(image)
    missing = holes(photo.shape[0])[hole] if isinstance(hole, str) else hole
    if blank:
        photo[missing] = 255
    small = np.asarray(Image.fromarray(missing).resize((SIDE, SIDE), Image.Resampling.NEAREST))
    square = pixels(Image.fromarray(photo)).copy()
    square[small] = 0
    return Copies(photo, missing, square, small)


@pytest.fixture(scope="module")
def treated(views) -> dict[str, list[np.ndarray]]:
    """The views after each treatment, of various sizes."""
    return {name: [np.asarray(treat(view).convert("RGB")) for view in views] for name, treat in TREATMENTS.items()}


@pytest.mark.parametrize("hole", holes(SIDE))
def test_copies_are_found(views, treated, hole):
    for number, view in list(enumerate(views))[::2]:
        search = copies_of(view, hole, blank=hole in ("corner", "small"))
        missed = [name for name, shown in treated.items() if not search.among(shown[number][None]).all()]
        squares = np.stack([pixels(Image.fromarray(shown[number])) for shown in treated.values()])
        assert (missed, search.among(squares).all()) == ([], True), number


def test_copies_are_told_from_other_photos(views, treated):
    for number, view in enumerate(views):
        search = copies_of(view, "centre")
        for name in ("jpeg", "mirrored"):
            shown = np.stack([pixels(Image.fromarray(each)) for each in treated[name]])
            np.testing.assert_array_equal(search.among(shown), np.arange(len(views)) == number)


def frames(photo: np.ndarray, side: int) -> dict[str, np.ndarray]:
    """The same place a moment later: moved by some pixels, nearer, turned a little."""
    image = Image.fromarray(photo)
    return {
        "moved": photo[8 : 8 + side, 10 : 10 + side],
        "down": photo[12 : 12 + side, 6 : 6 + side],
        "nearer": np.asarray(image.crop((12, 12, side, side)).resize((side, side), Image.Resampling.BICUBIC)),
        "turned": np.asarray(image.rotate(2, Image.Resampling.BICUBIC))[6 : 6 + side, 6 : 6 + side],
    }


def test_photos_of_the_same_place_are_not_copies(bundled_photos):
    for photo in bundled_photos[:3]:
        part, side = photo[40:260, 60:280], 200
        for hole, blank in (("centre", False), ("corner", True), ("small", False)):
            search = copies_of(part[6 : 6 + side, 6 : 6 + side], hole, blank=blank)
            for name, frame in frames(part, side).items():
                noise = np.random.default_rng(0).normal(0, 3, frame.shape)
                shown = np.clip(frame + noise, 0, 255).astype(np.uint8)
                assert not search.among(shown[None]).any(), (name, hole)


def test_the_other_view_of_a_stereo_pair_is_not_a_copy():
    """As the demo cuts it: at every place of the row, which holds the one with the least parallax."""
    left, right, _ = data.stereo_motorcycle()
    rows, columns = np.mgrid[:192, :192] - 96
    hole = rows**2 / 40**2 + columns**2 / 32**2 < 1
    for y, x in ((0, 540), (240, 432), (0, 108), (300, 54)):
        search = copies_of(left[y : y + 192, x : x + 192], hole, blank=True)
        places = [(y + down, x + across) for across in range(-54, 2, 2) for down in (-2, 0, 2)]
        parts = [right[r : r + 192, max(c, 0) : max(c, 0) + 192] for r, c in places if 0 <= r <= 308]
        assert not search.among(np.stack([pixels(Image.fromarray(part)) for part in parts])).any()
        assert search.among(left[None, y : y + 192, x : x + 192]).all()


@pytest.mark.parametrize("hole", ["centre", "corner", "small"])
def test_a_photo_that_shows_something_else_under_the_hole_is_not_a_copy(views, hole):
    """A tripod's next photo: all else is the same to the pixel."""
    missing, tried = holes(140)[hole], 0
    for view, other in zip(views, [*views[2:], *views[:2]], strict=True):
        if np.asarray(view)[missing].std(axis=0).min() < 4:  # a plain colour under the hole counts as blank
            continue
        tried += 1
        plate = np.where(missing[..., None], np.asarray(other), np.asarray(view))
        for treatment in (TREATMENTS["the same"], TREATMENTS["jpeg"], TREATMENTS["mirrored"]):
            shown = np.asarray(treatment(Image.fromarray(plate)).convert("RGB"))
            assert not copies_of(view, hole).among(shown[None]).any()
            assert copies_of(view, hole, blank=True).among(shown[None]).all(), "nothing tells"
            assert not copies_of(view, hole).among(pixels(Image.fromarray(shown))[None]).any()
    assert tried >= 4


def test_what_alone_has_detail_may_lie_under_the_hole(views):
    sky = np.full((140, 140, 3), (150, 180, 220), np.uint8)
    sky[50:80, 60:100] = np.asarray(views[0])[50:80, 60:100]
    hole = np.zeros((140, 140), bool)
    hole[46:84, 56:104] = True
    search = copies_of(sky, hole)
    for treatment in TREATMENTS.values():
        assert search.among(np.asarray(treatment(Image.fromarray(sky)).convert("RGB"))[None]).tolist() == [True]
    other = np.full((140, 140, 3), (150, 180, 220), np.uint8)
    assert not search.among(np.stack([other, other[:, ::-1] + 3])).any()


def test_plain_photos_are_not_copies_of_each_other(views):
    plain = np.full((140, 140, 3), 90, np.uint8)
    search = copies_of(plain, "centre")
    assert not search.among(np.stack([plain + 40, np.asarray(views[0])])).any()
    assert search.among(np.empty((0, 50, 60, 3), np.uint8)).shape == (0,)
