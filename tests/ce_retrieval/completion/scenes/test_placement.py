"""Placements are those of the exhaustive search, over all scales and translations."""

import math
from functools import cache

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import distance_transform_edt, gaussian_filter

from ce_retrieval.completion.scenes import placement
from ce_retrieval.completion.scenes.placement import SCALES, LocalContext, Placement
from ce_retrieval.completion.scenes.placement_features import texture_of
from ce_retrieval.completion.scenes.region import Region, region_of
from ce_retrieval.completion.working_size import Working
from ce_retrieval.pixels import resize_area, to_lab


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


def region(photo: np.ndarray, hole: np.ndarray, radius: float = 80.0) -> Region:
    return region_of(Working(photo, hole, (1.0, 1.0)), radius=radius)


def place(photo: np.ndarray, hole: np.ndarray, scene: np.ndarray, radius: float = 80.0) -> Placement | str:
    return LocalContext(region(photo, hole, radius)).place([scene])[0]


def exhaustive(photo, hole, scene, radius, texture_weight, offset_weight):
    """Every scale and every translation, in plain loops and float64: the least (score, offset, -scale, place)."""
    shape, side = hole.shape, max(hole.shape)
    near = distance_transform_edt(~hole) <= max(1.0, radius * side / 1024)
    band = near & ~hole
    ys, xs = np.nonzero(near)
    top, left, bottom, right = ys.min(), xs.min(), ys.max() + 1, xs.max() + 1
    known = np.where(hole[..., None], np.uint8(0), photo)
    lab, texture = to_lab(known).astype(np.float64), texture_of(to_lab(known)[..., 0].copy(), hole).astype(np.float64)
    where = band[top:bottom, left:right]
    mine, rough = lab[top:bottom, left:right][where], texture[top:bottom, left:right][where]
    covers = max(shape[0] / scene.shape[0], shape[1] / scene.shape[1])
    assert covers < 1 and min(abs(covers / scale - 1) for scale in SCALES) > 0.01
    best = None
    for scale in (*SCALES, covers):
        size = (round(scene.shape[0] * scale), round(scene.shape[1] * scale))
        scaled = to_lab(resize_area(scene, size))
        theirs, rougher = scaled.astype(np.float64), texture_of(scaled[..., 0].copy()).astype(np.float64)
        for y in range(size[0] - (bottom - top) + 1):
            for x in range(size[1] - (right - left) + 1):
                part = (slice(y, y + bottom - top), slice(x, x + right - left))
                ssd = ((theirs[part][where] - mine) ** 2).sum() / len(mine)
                coarse = ((rougher[part][where] - rough) ** 2).sum() / len(mine)
                # Centre of the scene less centre of the photo, both in the photo's pixels.
                dy, dx = top - y + size[0] / 2 - shape[0] / 2, left - x + size[1] / 2 - shape[1] / 2
                factor = 1 + offset_weight * math.sqrt(dy * dy + dx * dx) / side
                score = (ssd + texture_weight * coarse) * factor
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


WEIGHTS = ((4.0, 1.0), (50.0, 10.0))


@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
@pytest.mark.parametrize("name", HOLES)
def test_the_placement_is_that_of_the_exhaustive_search(name, weights, monkeypatch):
    monkeypatch.setattr(placement, "TEXTURE_WEIGHT", weights[0])
    monkeypatch.setattr(placement, "OFFSET_WEIGHT", weights[1])
    photo, hole = picture(1, 26, 32), HOLES[name]
    context = LocalContext(region(photo, hole, radius=130))
    for seed, size in ((2, (40, 43)), (3, (33, 53))):
        scene = picture(seed, *size, blur=seed - 1)
        assert_same(context.place([scene])[0], exhaustive(photo, hole, scene, 130, *weights))


@pytest.mark.parametrize("scale", [0.81, 0.9, 1.0])
def test_a_context_cut_from_the_scene_is_found(scale):
    scene = picture(4, 90, 110)
    size = (round(90 * scale), round(110 * scale))
    photo = resize_area(scene, size)[20:60, 13:63]
    hole = np.zeros((40, 50), bool)
    hole[15:25, 20:35] = True
    found, (y0, x0, y1, x1) = place(photo, hole, scene, radius=160), region(photo, hole, radius=160).box
    assert (found.scale, found.size, found.box) == (scale, size, (20 + y0, 13 + x0, 20 + y1, 13 + x1))
    assert found.offset == (size[0] / 2 - 20 - 20, size[1] / 2 - 13 - 25)
    # Beside the hole the textures differ a little: the photo's is of known pixels alone.
    assert found.ssd == 0 and 0 < found.texture < 0.5


def test_a_larger_scene_of_the_same_view_is_placed_at_the_scale_that_covers_the_photo():
    scene = picture(4, 84, 105)
    photo = resize_area(scene, (56, 70))
    hole = np.zeros((56, 70), bool)
    hole[20:35, 25:45] = True
    found = place(photo, hole, scene)
    assert found.scale == pytest.approx(2 / 3) and found.offset == (0, 0) and found.ssd == 0


@pytest.mark.parametrize("offset_weight", [0.0, 1.0])
def test_equal_placements_are_told_apart_by_offset_then_scale(offset_weight, monkeypatch):
    monkeypatch.setattr(placement, "OFFSET_WEIGHT", offset_weight)
    flat = np.full((26, 32, 3), 90, np.uint8)
    found = place(flat, HOLES["block"], np.full((50, 60, 3), 90, np.uint8))
    assert (found.scale, found.offset, found.score) == (1.0, (0, 0), 0)
    # At no scale a size of 21x61 has a centred place: of four at half a pixel, the upper left one.
    found = place(flat, HOLES["block"], np.full((21, 61, 3), 200, np.uint8))
    assert found.offset == (0.5, 0.5)


def test_stripes_give_the_nearest_of_their_equal_places(monkeypatch):
    monkeypatch.setattr(placement, "TEXTURE_WEIGHT", 0.0)
    monkeypatch.setattr(placement, "OFFSET_WEIGHT", 0.0)
    stripes = np.tile(np.where(np.arange(90) % 6 < 3, 40, 200).astype(np.uint8)[:, None], (60, 1, 3)).reshape(60, 90, 3)
    hole = np.zeros((30, 36), bool)
    hole[12:18, 14:22] = True
    found = place(stripes[:30, 4:40], hole, stripes, radius=150)
    assert found.score == 0 and found.scale == 1.0 and found.offset[0] == 0
    # Column 4 of the photo's origin in the scene, or any 6 further; the centred one is 27.
    assert found.offset[1] == 45 - 18 - 28


def test_a_larger_weight_of_the_offset_prefers_smaller_shifts(monkeypatch):
    photo, scene = picture(5, 60, 80), picture(6, 120, 150)
    hole = np.zeros((60, 80), bool)
    hole[25:35, 30:50] = True
    found = []
    for weight in (0.0, 1.0, 1000.0):
        monkeypatch.setattr(placement, "OFFSET_WEIGHT", weight)
        found.append(place(photo, hole, scene, radius=100))
    lengths = [math.hypot(*one.offset) for one in found]
    assert lengths[0] > lengths[1] > lengths[2]
    assert found[0].ssd < found[2].ssd


def test_missing_pixels_are_never_read():
    photo, hole, scene = picture(7, 26, 32), HOLES["border"], picture(8, 40, 50)
    other = photo.copy()
    other[hole] = 255 - other[hole]
    assert place(photo, hole, scene) == place(other, hole, scene)


def test_a_small_scene_is_enlarged_no_more_than_allowed():
    photo = picture(9, 100, 100)
    hole = np.zeros((100, 100), bool)
    hole[10:90, 20:80] = True
    assert region(photo, hole).box == (3, 13, 97, 87)
    exact = place(photo, hole, picture(10, 76, 80))
    assert exact.scale == pytest.approx(94 / 76) and exact.size == (94, 99)
    assert exact.box[0] == 0 and exact.box[2] == 94 <= exact.size[0]
    assert exact.offset[0] == 0
    why = place(photo, hole, picture(10, 75, 200))
    assert isinstance(why, str) and "200x75" in why and "74x94" in why and "1.25" in why and "\n" not in why
    # Where one scale fits, only those that do are searched.
    assert place(photo, hole, picture(10, 94, 100)).scale == 1.0


def test_many_scenes_keep_their_order_whatever_the_workers():
    photo, hole = picture(11, 60, 70), np.zeros((60, 70), bool)
    hole[20:50, 20:60] = True
    scenes = [picture(20 + i, 70 + 7 * i, 120 - 5 * i) for i in range(9)]
    scenes.insert(4, picture(40, 20, 300))
    context = LocalContext(region(photo, hole))
    alone = [context.place([scene])[0] for scene in scenes]
    assert [type(p) for p in alone] == [Placement] * 4 + [str] + [Placement] * 5
    for workers in (1, 3):
        # More sizes of transform than are kept, so that some are computed anew.
        assert LocalContext(region(photo, hole)).place(scenes, workers) == alone
    assert context.place([]) == []


def test_nothing_given_is_changed():
    photo, hole, scene = picture(12, 26, 32).copy(), HOLES["block"].copy(), picture(13, 40, 50).copy()
    place(photo, hole, scene)
    assert np.array_equal(photo, picture(12, 26, 32)) and np.array_equal(scene, picture(13, 40, 50))
    assert np.array_equal(hole, HOLES["block"])


def test_the_smallest_photos_have_a_context():
    photo = np.array([[[9, 9, 9], [200, 30, 30]], [[9, 9, 9], [9, 9, 9]]], np.uint8)
    hole = np.array([[True, False], [False, False]])
    found = place(photo, hole, np.tile(photo, (3, 3, 1)))
    assert found.ssd < 1 and found.scale == 1.0
    assert isinstance(place(photo[:1], hole[:1], photo[:1, :1]), str)


@pytest.mark.parametrize("name", ["input1", "input2", "input3"])
def test_on_photos_the_placement_is_that_of_opencv(shared_data, name):
    """At a third of the photos' size, by four channels, and errors weighted by the offset."""
    folder = shared_data / "photos" / "hays_efros"

    def read(path, channels: str) -> np.ndarray:
        image = Image.open(path).convert(channels)
        return np.asarray(image.reduce(3))

    photo, hole = read(folder / f"{name}.jpg", "RGB"), read(folder / f"{name}_mask.jpg", "L") < 128
    scenes = [read(file, "RGB") for file in sorted((folder / name).glob("*.jpg"))[5:14:8]]
    at = region(photo, hole)
    y0, x0, y1, x1 = at.box
    template = features(np.where(hole[..., None], np.uint8(0), photo), hole)[y0:y1, x0:x1]
    mask = np.repeat(at.context[..., None], 4, 2).astype(np.float32)
    for scene, found in zip(scenes, LocalContext(at).place(scenes, 2), strict=True):
        values = []
        for scale in {*SCALES, found.scale}:
            size = (round(scene.shape[0] * scale), round(scene.shape[1] * scale))
            if size[0] >= y1 - y0 and size[1] >= x1 - x0:
                errors = cv2.matchTemplate(features(resize_area(scene, size)), template, cv2.TM_SQDIFF, mask=mask)
                down = (y0 - np.arange(errors.shape[0]) + (size[0] - hole.shape[0]) / 2)[:, None]
                across = x0 - np.arange(errors.shape[1]) + (size[1] - hole.shape[1]) / 2
                errors = errors / at.context.sum() * (1 + np.hypot(down, across) / max(hole.shape))
                values.append((float(errors.min()), scale, divmod(int(errors.argmin()), errors.shape[1])))
        least, scale, corner = min(values)
        assert (found.scale, found.box[:2]) == (scale, corner)
        assert found.score == pytest.approx(least, rel=1e-3)


def features(photo: np.ndarray, hole: np.ndarray | None = None) -> np.ndarray:
    """float32 (H, W, 4): L*a*b*, and twice the texture, whose square counts four times."""
    lab = to_lab(photo)
    return np.ascontiguousarray(np.dstack([lab, 2 * texture_of(np.ascontiguousarray(lab[..., 0]), hole)]))
