"""Near-duplicates of a photo with a hole are found by its visible pixels alone; other photos are not."""

import io

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.photos.near_duplicates import near_duplicates

SIDE = 96


def jpeg(image: Image.Image) -> Image.Image:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=60)
    return Image.open(data)


TREATMENTS = {
    "the same": lambda image: image,
    "jpeg": jpeg,
    "shrunk": lambda image: image.resize((64, 64), Image.Resampling.LANCZOS),
    "brighter": lambda image: image.point(lambda value: min(255, round(1.1 * value) + 5)),
    "cropped": lambda image: image.crop((5, 4, image.width - 3, image.height - 4)),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


@pytest.fixture(scope="module")
def views(bundled_photos) -> list[Image.Image]:
    """Parts of 140x140 px of different photos, all with texture."""
    places = ((0, 60, 150), (0, 250, 40), (1, 60, 100), (1, 150, 260), (2, 60, 250), (2, 200, 80))
    return [Image.fromarray(bundled_photos[n][y : y + 140, x : x + 140]) for n, y, x in places]


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def holes() -> dict[str, np.ndarray]:
    made = {name: np.zeros((SIDE, SIDE), bool) for name in ("centre", "corner", "left half", "most", "dots")}
    made["centre"][24:72, 24:72] = True
    made["corner"][:50, :40] = True
    made["left half"][:, : SIDE // 2] = True
    made["most"][6:, :64] = True
    made["dots"][::12, ::12] = True
    return made


@pytest.mark.parametrize("hole", holes())
@pytest.mark.parametrize("treatment", TREATMENTS)
def test_copies_are_found_and_others_are_not(views, treatment, hole):
    missing = holes()[hole]
    copies = np.stack([pixels(TREATMENTS[treatment](view)) for view in views])
    found = np.stack([near_duplicates(np.where(missing[..., None], 0, pixels(v)), missing, copies) for v in views])
    np.testing.assert_array_equal(found, np.eye(len(views), dtype=bool))


def test_what_is_under_the_hole_does_not_matter(views):
    others = np.stack([pixels(TREATMENTS["cropped"](view)) for view in views])
    for missing in holes().values():
        expected = near_duplicates(pixels(views[0]), missing, others)
        for seed in range(2):
            photo = pixels(views[0]).copy()
            photo[missing] = np.random.default_rng(seed).integers(0, 256, (int(missing.sum()), 3))
            np.testing.assert_array_equal(near_duplicates(photo, missing, others), expected)


def test_other_content_under_the_hole_of_a_copy_is_a_copy_still(views):
    missing = holes()["centre"]
    edited = pixels(views[2]).copy()
    edited[missing] = pixels(views[4])[missing]
    assert near_duplicates(pixels(views[2]), missing, edited[None]).tolist() == [True]


def test_plain_photos_and_almost_nothing_visible_are_not_copies(views):
    missing = holes()["centre"]
    plain = np.full((SIDE, SIDE, 3), 90, np.uint8)
    assert not near_duplicates(plain, missing, np.stack([plain, plain + 3])).any()
    almost_all = np.ones((SIDE, SIDE), bool)
    almost_all[40:50, 40:50] = False
    assert not near_duplicates(pixels(views[0]), almost_all, pixels(views[0])[None]).any()
    assert near_duplicates(plain, missing, np.empty((0, SIDE, SIDE, 3), np.uint8)).shape == (0,)
