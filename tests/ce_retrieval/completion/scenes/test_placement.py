import math
from functools import cache

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import distance_transform_edt, gaussian_filter

from ce_retrieval.completion.scenes.placement import ContextSettings, LocalContext, Placement, Rejected
from ce_retrieval.completion.scenes.placement_features import lab_of, resized, texture_of
from ce_retrieval.completion.scenes.template_match import MaskedMatch
from ce_retrieval.errors import MaskError


@cache
def picture(seed, height, width, blur=2.0):
    """Smooth noise: neighbouring placements have errors close to each other, as in photos."""
    rng = np.random.default_rng(seed)
    values = gaussian_filter(rng.normal(size=(height, width, 3)), (blur, blur, 0))
    values = (values - values.min()) / np.ptp(values) * 255
    return values.astype(np.uint8)


def holes(height, width):
    block = np.zeros((height, width), bool)
    block[9:16, 11:20] = True
    border = np.zeros((height, width), bool)
    border[:6, 5:18] = True
    corner = np.zeros((height, width), bool)
    corner[-7:, -9:] = True
    parts = np.zeros((height, width), bool)
    parts[3, 4] = parts[10:13, 20:22] = parts[20:23, 8:10] = True
    one = np.zeros((height, width), bool)
    one[12, 14] = True
    island = block.copy()
    island[12, 15] = False
    most = np.ones((height, width), bool)
    most[4:9, 3:12] = False
    return {
        "block": block,
        "border": border,
        "corner": corner,
        "parts": parts,
        "one": one,
        "island": island,
        "most": most,
    }


HOLES = holes(26, 32)


def exhaustive(photo, hole, scene, settings):
    """Every scale and every translation, in plain loops and float64: the least (score, offset, -scale, place)."""
    shape, side = hole.shape, max(hole.shape)
    near = distance_transform_edt(~hole) <= max(1.0, settings.radius * side / 1024)
    band = near & ~hole
    ys, xs = np.nonzero(near)
    top, left, bottom, right = ys.min(), xs.min(), ys.max() + 1, xs.max() + 1
    known = np.where(hole[..., None], np.uint8(0), photo)
    lab, texture = lab_of(known).astype(np.float64), texture_of(lab_of(known)[..., 0].copy(), hole).astype(np.float64)
    where = band[top:bottom, left:right]
    mine, rough = lab[top:bottom, left:right][where], texture[top:bottom, left:right][where]
    best = None
    for scale in settings.scales:
        size = (round(scene.shape[0] * scale), round(scene.shape[1] * scale))
        scaled = lab_of(resized(scene, size))
        theirs, rougher = scaled.astype(np.float64), texture_of(scaled[..., 0].copy()).astype(np.float64)
        for y in range(size[0] - (bottom - top) + 1):
            for x in range(size[1] - (right - left) + 1):
                part = (slice(y, y + bottom - top), slice(x, x + right - left))
                ssd = ((theirs[part][where] - mine) ** 2).sum() / len(mine)
                coarse = ((rougher[part][where] - rough) ** 2).sum() / len(mine)
                # Centre of the scene less centre of the photo, both in the photo's pixels.
                dy, dx = top - y + size[0] / 2 - shape[0] / 2, left - x + size[1] / 2 - shape[1] / 2
                factor = 1 + settings.offset_weight * math.sqrt(dy * dy + dx * dx) / side
                score = (ssd + settings.texture_weight * coarse) * factor
                key = (round(score, 9), dy * dy + dx * dx, -scale, y, x)
                if best is None or key < best[0]:
                    best = (
                        key,
                        Placement(
                            scale, size, (y, x, y + bottom - top, x + right - left), (dy, dx), ssd, coarse, score
                        ),
                    )
    return best[1] if best else None


def assert_same(found, expected):
    assert isinstance(found, Placement)
    assert (found.scale, found.size, found.box, found.offset) == (
        expected.scale,
        expected.size,
        expected.box,
        expected.offset,
    )
    got, wanted = (found.ssd, found.texture, found.score), (expected.ssd, expected.texture, expected.score)
    assert got == pytest.approx(wanted, rel=1e-4, abs=1e-3)


WEIGHTS = ((4.0, 1.0), (0.0, 0.0), (50.0, 10.0))


@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
@pytest.mark.parametrize("name", HOLES)
def test_the_placement_is_that_of_the_exhaustive_search(name, weights):
    settings = ContextSettings(radius=130, texture_weight=weights[0], offset_weight=weights[1])
    photo, hole = picture(1, 26, 32), HOLES[name]
    context = LocalContext(photo, hole, settings)
    for seed, size in ((2, (40, 43)), (3, (33, 53))):
        scene = picture(seed, *size, blur=seed - 1)
        assert_same(context.place(scene), exhaustive(photo, hole, scene, settings))


@pytest.mark.parametrize("scale", [0.81, 0.9, 1.0])
def test_a_context_cut_from_the_scene_is_found(scale):
    scene = picture(4, 90, 110)
    size = (round(90 * scale), round(110 * scale))
    photo = resized(scene, size)[20:60, 13:63]
    hole = np.zeros((40, 50), bool)
    hole[15:25, 20:35] = True
    context = LocalContext(photo, hole, ContextSettings(radius=160))
    found = context.place(scene)
    y0, x0, y1, x1 = context.box
    assert (found.scale, found.size, found.box) == (scale, size, (20 + y0, 13 + x0, 20 + y1, 13 + x1))
    assert found.offset == (size[0] / 2 - 20 - 20, size[1] / 2 - 13 - 25)
    # Beside the hole the textures differ a little: the photo's is of known pixels alone.
    assert found.ssd == 0 and 0 < found.texture < 0.5
    assert np.array_equal(context.aligned(scene, found), photo[y0:y1, x0:x1])


def test_equal_placements_are_told_apart_by_offset_then_scale():
    flat = np.full((26, 32, 3), 90, np.uint8)
    for offset_weight in (0.0, 1.0):
        context = LocalContext(flat, HOLES["block"], ContextSettings(radius=100, offset_weight=offset_weight))
        found = context.place(np.full((50, 60, 3), 90, np.uint8))
        assert (found.scale, found.offset, found.score) == (1.0, (0, 0), 0)
        # A size of 41x51 has no centred place: of four at half a pixel, the upper left one.
        found = LocalContext(flat, HOLES["block"], ContextSettings(scales=(1.0,), offset_weight=offset_weight)).place(
            np.full((41, 51, 3), 200, np.uint8)
        )
        assert found.offset == (0.5, 0.5)


def test_stripes_give_the_nearest_of_their_equal_places():
    stripes = np.tile(np.where(np.arange(90) % 6 < 3, 40, 200).astype(np.uint8)[:, None], (60, 1, 3)).reshape(60, 90, 3)
    hole = np.zeros((30, 36), bool)
    hole[12:18, 14:22] = True
    settings = ContextSettings(radius=150, scales=(1.0,), texture_weight=0, offset_weight=0)
    found = LocalContext(stripes[:30, 4:40], hole, settings).place(stripes)
    assert found.score == 0 and found.offset[0] == 0
    # Column 4 of the photo's origin in the scene, or any 6 further; the centred one is 27.
    assert found.offset[1] == 45 - 18 - 28


def test_a_larger_weight_of_the_offset_prefers_smaller_shifts():
    photo, scene = picture(5, 60, 80), picture(6, 120, 150)
    hole = np.zeros((60, 80), bool)
    hole[25:35, 30:50] = True
    found = [
        LocalContext(photo, hole, ContextSettings(radius=100, offset_weight=weight)).place(scene)
        for weight in (0.0, 1.0, 1000.0)
    ]
    lengths = [math.hypot(*placement.offset) for placement in found]
    assert lengths[0] > lengths[1] > lengths[2]
    assert found[0].ssd < found[2].ssd


def test_missing_pixels_are_never_read():
    photo, hole, scene = picture(7, 26, 32), HOLES["border"], picture(8, 40, 50)
    other = photo.copy()
    other[hole] = 255 - other[hole]
    assert LocalContext(photo, hole).place(scene) == LocalContext(other, hole).place(scene)


def test_the_band_is_what_lies_within_the_scaled_radius():
    hole = np.zeros((300, 512), bool)
    hole[100:140, :30] = True
    context = LocalContext(np.zeros((300, 512, 3), np.uint8), hole)
    assert context.radius == 40 and context.box == (60, 0, 180, 70)
    assert np.array_equal(context.band, (distance_transform_edt(~hole) <= 40) & ~hole)


def test_a_small_scene_is_enlarged_no_more_than_allowed():
    photo = picture(9, 100, 100)
    hole = np.zeros((100, 100), bool)
    hole[10:90, 20:80] = True
    context = LocalContext(photo, hole)
    assert context.box == (3, 13, 97, 87)
    exact = context.place(picture(10, 76, 80))
    assert exact.scale == pytest.approx(94 / 76) and exact.size == (94, 99)
    assert exact.box[0] == 0 and exact.box[2] == 94 <= exact.size[0]
    assert exact.offset[0] == 0
    rejected = context.place(picture(10, 75, 200))
    assert isinstance(rejected, Rejected)
    assert "200x75" in rejected.reason and "74x94" in rejected.reason and "1.25" in rejected.reason
    assert "\n" not in rejected.reason
    # Where one scale fits, only those that do are searched.
    assert context.place(picture(10, 94, 100)).scale == 1.0


def test_many_scenes_keep_their_order_whatever_the_workers():
    photo, hole = picture(11, 60, 70), np.zeros((60, 70), bool)
    hole[20:50, 20:60] = True
    scenes = [picture(20 + i, 70 + 7 * i, 120 - 5 * i) for i in range(9)]
    scenes.insert(4, picture(40, 20, 300))
    context = LocalContext(photo, hole)
    alone = [context.place(scene) for scene in scenes]
    assert [type(p) for p in alone] == [Placement] * 4 + [Rejected] + [Placement] * 5
    for workers in (1, 3):
        # More sizes of transform than are kept, so that some are computed anew.
        assert LocalContext(photo, hole).place_many(scenes, workers) == alone
    assert context.place_many([]) == []


def test_nothing_given_is_changed():
    photo, hole, scene = picture(12, 26, 32).copy(), HOLES["block"].copy(), picture(13, 40, 50).copy()
    LocalContext(photo, hole).place(scene)
    assert np.array_equal(photo, picture(12, 26, 32)) and np.array_equal(scene, picture(13, 40, 50))
    assert np.array_equal(hole, HOLES["block"])


def test_the_smallest_photos_have_a_context():
    photo = np.array([[[9, 9, 9], [200, 30, 30]], [[9, 9, 9], [9, 9, 9]]], np.uint8)
    hole = np.array([[True, False], [False, False]])
    found = LocalContext(photo, hole).place(np.tile(photo, (3, 3, 1)))
    assert found.ssd < 1 and found.scale == 1.0
    assert isinstance(LocalContext(photo[:1], hole[:1]).place(photo[:1, :1]), Rejected)


def test_bad_input_is_refused():
    photo, hole = picture(14, 26, 32), HOLES["block"]
    for empty in (np.zeros_like(hole), np.ones_like(hole)):
        with pytest.raises(MaskError, match="no context"):
            LocalContext(photo, empty)
    for bad, mask in ((photo / 255, hole), (photo[..., 0], hole), (photo, hole[1:]), (photo, hole.astype(np.uint8))):
        with pytest.raises(ValueError, match="is needed"):
            LocalContext(bad, mask)
    context = LocalContext(photo, hole)
    for bad in (photo / 255, photo[..., :2], photo[:0]):
        with pytest.raises(ValueError, match="scene: uint8"):
            context.place(bad)
    with pytest.raises(ValueError, match="workers"):
        context.place_many([photo], workers=0)
    wrong = (
        {"radius": 0},
        {"scales": ()},
        {"scales": (1.0, -1.0)},
        {"enlarge": 0},
        {"texture_weight": -1},
        {"offset_weight": math.nan},
    )
    for choice in wrong:
        with pytest.raises(ValueError, match=r"needed|negative"):
            ContextSettings(**choice)


@pytest.mark.parametrize("level", [0.0, 60.0])
def test_rounding_of_the_transform_is_within_its_bound(level):
    rng = np.random.default_rng(15)
    mask = rng.random((40, 50)) < 0.6
    template = (rng.normal(size=(4, 40, 50)) * 20 * mask).astype(np.float32)
    image = (rng.normal(size=(4, 97, 121)) * 20 + level).astype(np.float32)
    match = MaskedMatch(template, mask)
    planes = match.planes((97, 121))
    planes[:4, :97, :121] = image
    errors, doubt = match.errors(planes, (97, 121))
    windows = np.lib.stride_tricks.sliding_window_view(image.astype(np.float64), (40, 50), axis=(1, 2))
    expected = sum(np.square(windows[c][:, :, mask] - template[c][mask]).sum(axis=-1) for c in range(4)) / mask.sum()
    assert errors.shape == expected.shape == (58, 72)
    assert np.abs(errors - expected).max() < doubt / 2
    assert doubt < 1e-4 * expected.min()


@pytest.mark.parametrize("name", ["input1", "input2", "input3"])
def test_on_photos_the_placement_is_that_of_opencv(shared_data, name):
    folder = shared_data / "photos" / "hays_efros"
    photo = np.asarray(Image.open(folder / f"{name}.jpg").convert("RGB"))
    hole = np.asarray(Image.open(folder / f"{name}_mask.jpg").convert("L")) < 128
    files = sorted((folder / name).glob("*.jpg"))[5:14:8]
    scenes = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    settings = ContextSettings(offset_weight=0, texture_weight=0)
    context = LocalContext(photo, hole, settings)
    y0, x0, y1, x1 = context.box
    template, mask = lab_of(photo)[y0:y1, x0:x1], np.repeat(context.band[y0:y1, x0:x1, None], 3, 2).astype(np.float32)
    for scene, found in zip(scenes, context.place_many(scenes, 2), strict=True):
        values = []
        for scale in settings.scales:
            size = (round(scene.shape[0] * scale), round(scene.shape[1] * scale))
            if size[0] >= y1 - y0 and size[1] >= x1 - x0:
                errors = cv2.matchTemplate(lab_of(resized(scene, size)), template, cv2.TM_SQDIFF, mask=mask)
                values.append((float(errors.min()), scale, divmod(int(errors.argmin()), errors.shape[1])))
        least, scale, place = min(values)
        assert (found.scale, found.box[:2]) == (scale, place)
        assert found.ssd == pytest.approx(least / context.band.sum(), rel=1e-3)
