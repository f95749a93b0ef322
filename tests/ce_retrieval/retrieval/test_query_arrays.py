"""Arrays that are no photo or no hole are named, and the remedy of the message works."""

import re

import numpy as np
import pytest
from PIL import Image

import ce_retrieval
from ce_retrieval.errors import CeretError, MaskError, PhotoError
from ce_retrieval.retrieval.query import check_query

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (40, 50, 3)).astype(np.uint8)
HOLE = np.zeros((40, 50), bool)
HOLE[10:20, 10:20] = True
PHOTOS = {
    "grey": (PHOTO[..., 0], "uint8 (40, 50)"),
    "one channel": (PHOTO[..., :1], "uint8 (40, 50, 1)"),
    "alpha": (np.dstack([PHOTO, PHOTO[..., 0]]), "uint8 (40, 50, 4)"),
    "channels first": (PHOTO.transpose(2, 0, 1), "uint8 (3, 40, 50)"),
    "unit floats": (PHOTO / np.float32(255), "float32 (40, 50, 3)"),
    "floats": (PHOTO.astype(float), "float64 (40, 50, 3)"),
    "integers": (PHOTO.astype(int), "int64 (40, 50, 3)"),
    "16 bits": (PHOTO.astype(np.uint16) * 257, "uint16 (40, 50, 3)"),
    "a Pillow image": (Image.fromarray(PHOTO), "of type Image"),
}
HOLES = {
    "bytes": (HOLE * np.uint8(255), "uint8 (40, 50)"),
    "bits": (HOLE.astype(np.uint8), "uint8 (40, 50)"),
    "floats": (HOLE.astype(np.float32), "float32 (40, 50)"),
    "a channel": (HOLE[..., None], "bool (40, 50, 1)"),
    "a Pillow image": (Image.fromarray(HOLE), "of type Image"),
}


def remedy(message: str, **names: object) -> np.ndarray:
    """What the code in a message makes of an array."""
    code = re.match(r".*(?:: |such as )(.+?)(?: of a Pillow image)?$", message)
    assert code, message
    return eval(code[1], {"np": np, **names})


@pytest.mark.parametrize("name", PHOTOS)
def test_a_photo_that_is_none_is_named(name):
    photo, given = PHOTOS[name]
    with pytest.raises(PhotoError) as caught:
        check_query(photo, HOLE)
    message = str(caught.value)
    assert message.startswith(f"the photo is {given}: ") and "uint8 (H, W, 3)" in message and "\n" not in message
    made = remedy(message, photo=photo, image=photo)
    check_query(made, HOLE)
    expected = PHOTO if name not in ("grey", "one channel") else np.repeat(PHOTO[..., :1], 3, axis=2)
    np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize("name", HOLES)
def test_a_hole_that_is_none_is_named(name):
    hole, given = HOLES[name]
    with pytest.raises(MaskError) as caught:
        check_query(PHOTO, hole)
    message = str(caught.value)
    assert message.startswith(f"the hole is {given}: ") and "bool (H, W)" in message and "\n" not in message
    np.testing.assert_array_equal(remedy(message, hole=hole, mask=hole), HOLE)


def test_stacks_and_other_shapes_are_named_too():
    for photo in (PHOTO[None], PHOTO[..., :2], PHOTO[0, 0], np.zeros((0, 0), np.float32)):
        with pytest.raises(PhotoError, match="is expected; "):
            check_query(photo, HOLE)
    for hole in (HOLE[0], HOLE[None], np.zeros((0, 0), np.uint8), [[True]]):
        with pytest.raises(MaskError, match="is expected"):
            check_query(PHOTO, hole)


def test_every_method_refuses_them(crop_index):
    for method in ("scenes", "retrieval", "patchmatch"):
        for photo, hole in ((PHOTO[..., 0], HOLE), (PHOTO / 255, HOLE), (PHOTO, HOLE * np.uint8(255)), (None, None)):
            settings = {} if method == "patchmatch" else {"index": crop_index, "rerank": "rim"}
            with pytest.raises(CeretError, match="is expected"):
                ce_retrieval.complete(photo, hole, method=method, **settings)
