"""Copies of a photo are told from other photos of the same place, and from those that show something else under the hole.

What was edited under the hole before is no sign of another photo.
"""

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from skimage import data

from ce_retrieval.photos.copies import Copies, Verdict

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


def cropped(left: float, top: float | None = None, right: float | None = None, bottom: float | None = None):
    """A crop by these shares of a side; one for all sides."""
    top, right, bottom = (left if share is None else share for share in (top, right, bottom))
    return lambda image: image.crop(
        (
            round(left * image.width),
            round(top * image.height),
            round((1 - right) * image.width),
            round((1 - bottom) * image.height),
        )
    )


def watermarked(image: Image.Image) -> Image.Image:
    image = image.copy()
    ImageDraw.Draw(image).rectangle((image.width * 7 // 8, image.height * 11 // 12, image.width, image.height), "white")
    return image


def bordered(image: Image.Image) -> Image.Image:
    width = round(0.02 * image.width)
    return ImageOps.expand(ImageOps.crop(image, width), width, "white")


# What moves or covers a part of the picture.
MOVED = {
    **{f"cropped by {share} %": cropped(share / 100) for share in (1, 2, 3, 4, 5, 6, 7, 8)},
    "cropped on the left": cropped(0.06, 0, 0, 0),
    "cropped in height": cropped(0, 0.05, 0, 0.03),
    "cropped, jpeg": lambda image: jpeg(cropped(0.03)(image), 85),
    "cropped, mirrored": lambda image: cropped(0.05)(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
    "watermarked": watermarked,
    "bordered": bordered,
    "framed": lambda image: ImageOps.expand(image, round(0.03 * image.width), "white"),
    "turned": lambda image: cropped(0.02)(image.rotate(1, Image.Resampling.BICUBIC)),
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


@pytest.mark.parametrize("hole", ["centre", "corner", "small", "left half"])
def test_copies_that_were_cropped_framed_or_marked_are_found(views, hole):
    views = [view.resize((SIDE, SIDE)) if number % 2 else view for number, view in enumerate(views)]
    for number, view in enumerate(views):
        if number == 4 and hole == "corner":  # hardly any detail is left
            continue
        search = copies_of(view, hole, blank=number == 4)
        shown = [pixels(treat(view)) for treat in MOVED.values()]
        assert [name for name, is_copy in zip(MOVED, search.among(np.stack(shown)), strict=True) if not is_copy] == []
        others = [pixels(treat(other)) for other in views if other is not view for treat in (*MOVED.values(),)[::5]]
        assert not search.among(np.stack(others)).any()


def test_crops_that_show_something_else_under_the_hole_are_not_copies(views):
    missing = holes(140)["centre"]
    for view, other in zip(views[:3], views[2:5], strict=True):
        plate = Image.fromarray(np.where(missing[..., None], np.asarray(other), np.asarray(view)))
        shown = np.stack([pixels(cropped(share / 100)(plate), 140) for share in (2, 4, 7)])
        assert copies_of(view, "centre").verdicts(shown) == [Verdict.DIFFERS] * 3


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


def edits(photo: np.ndarray, part: np.ndarray) -> dict[str, np.ndarray]:
    """The photo after edits of a part."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[: part.shape[0], : part.shape[1]]
    board = np.where((rows // 8 + columns // 8) % 2, 204, 255)
    core = cv2.erode(part.astype(np.float32), np.ones((17, 17)))
    soft = np.clip(1.5 * cv2.GaussianBlur(core, (0, 0), 3), 0, 1)[..., None]
    squares = cv2.resize(cv2.resize(photo, None, fx=1 / 10, fy=1 / 10, interpolation=cv2.INTER_AREA), part.shape[::-1])
    mosaic = cv2.resize(squares, None, fx=1 / 10, fy=1 / 10, interpolation=cv2.INTER_AREA)
    mosaic = cv2.resize(mosaic, part.shape[::-1], interpolation=cv2.INTER_NEAREST)
    made = {
        "painted": np.full_like(photo, 255),
        "shaded": np.repeat(np.linspace(30, 220, part.shape[1], dtype=np.uint8)[None, :, None], 3, axis=2),
        "mosaic": mosaic,
        "noise": rng.integers(0, 256, photo.shape),
        "faint noise": np.clip(rng.normal(128, 20, photo.shape), 0, 255),
        "checkerboard": board[..., None],
        "hatched": np.where((rows + columns) % 6 < 2, 0, 255)[..., None],
        "blurred": cv2.GaussianBlur(photo, (0, 0), 8),
    }
    made = {name: np.where(part[..., None], shown, photo).astype(np.uint8) for name, shown in made.items()}
    made["inpainted"] = cv2.inpaint(photo, part.astype(np.uint8), 5, cv2.INPAINT_TELEA)
    made["inpainted smoothly"] = cv2.inpaint(photo, part.astype(np.uint8), 5, cv2.INPAINT_NS)
    made["softly erased"] = (photo * (1 - soft) + 255 * soft).astype(np.uint8)
    return made


@pytest.mark.parametrize("margin", [0, 3])
def test_a_photo_that_was_edited_under_its_hole_is_not_filled_from_the_original(views, margin):
    """With a margin, the hole is larger than what was edited."""
    hole = np.zeros((280, 280), bool)
    hole[90:200, 70:210] = True
    part = cv2.erode(hole.astype(np.uint8), np.ones((2 * margin + 1,) * 2, np.uint8)) > 0
    for view in views[::2]:
        photo = np.array(view.resize((280, 280), Image.Resampling.BICUBIC))
        noise = np.random.default_rng(1).normal(0, 3, photo.shape)  # enlarged, it would be smoother than a photo
        photo = np.clip(photo + noise, 0, 255).astype(np.uint8)
        shown = {"full": photo[None], "small": pixels(Image.fromarray(photo))[None]}
        for name, edited in edits(photo, part).items():
            for kind in ("as it is", "jpeg"):
                seen = edited if kind == "as it is" else np.asarray(jpeg(Image.fromarray(edited), 85))
                search = copies_of(seen, hole)
                found = [size for size, others in shown.items() if search.among(others).all()]
                assert found == ["full", "small"], (name, kind)


@pytest.mark.parametrize("share", [0.1, 0.04])
def test_a_painted_hole_that_leaves_little_of_the_photo_hides_no_copy(views, share):
    edge = round(share * 140)
    hole = np.zeros((140, 140), bool)
    hole[edge:-edge, edge:-edge] = True
    for number, view in enumerate(views):
        search = copies_of(view, hole, blank=True)
        for name in ("the same", "jpeg", "brighter", "mirrored"):
            shown = np.stack([pixels(TREATMENTS[name](each)) for each in views])
            np.testing.assert_array_equal(search.among(shown), np.arange(len(views)) == number)


def test_a_hole_of_a_few_pixels_is_judged_by_larger_pictures(bundled_photos):
    photo, hole = bundled_photos[0][:400, :400].copy(), np.zeros((400, 400), bool)
    hole[150:182, 200:232] = True
    gone = photo.copy()
    gone[152:180, 202:230] = bundled_photos[1][100:128, 150:178]
    search = copies_of(gone, hole)  # the query shows what the other photo does not
    for shown, expected in ((photo, Verdict.DIFFERS), (gone, Verdict.COPY)):
        small = pixels(Image.fromarray(shown))[None]
        assert search.verdicts(small, small=True) == [Verdict.TOO_SMALL]  # 7 px
        assert search.verdicts(shown[None]) == [expected]
    hole[:] = False
    hole[150:153, 200:203] = True
    assert copies_of(photo, hole).verdicts(photo[None]) == [Verdict.TOO_SMALL]
    assert copies_of(photo, hole).among(photo[None]).all(), "where nothing tells"


def test_pixels_that_are_known_to_be_filled_are_no_sign_of_another_photo(views):
    hole = holes(140)["centre"]
    photo, other = np.asarray(views[0]), np.asarray(views[2])
    filled = np.where(hole[..., None], other, photo)
    small = np.asarray(Image.fromarray(hole).resize((SIDE, SIDE), Image.Resampling.NEAREST))
    square = pixels(Image.fromarray(filled))
    assert Copies(filled, hole, square, small).verdicts(photo[None]) == [Verdict.DIFFERS]
    assert Copies(filled, hole, square, small, hole).verdicts(photo[None]) == [Verdict.COPY]
    elsewhere = np.zeros_like(hole)
    elsewhere[:20] = True
    assert Copies(filled, hole, square, small, elsewhere).verdicts(photo[None]) == [Verdict.DIFFERS]


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
