import math
import subprocess
import sys

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from ce_retrieval.descriptors import DESCRIPTORS, cell_weights, make_descriptor, visible_share
from ce_retrieval.descriptors.cells import hole_distance
from ce_retrieval.errors import DescriptorError, SettingsError

SPECS = ["hog", "hog:cells", "gist", "thumbnail", "thumbnail:16"]


def holes():
    rng = np.random.default_rng(4)
    corner = np.zeros((128, 128), bool)
    corner[:20, 90:] = True
    dots = rng.random((128, 128)) < 0.001
    blob = np.hypot(*(np.mgrid[:128, :128] - np.array([70.3, 40.1])[:, None, None])) < 25
    one = np.zeros((128, 128), bool)
    one[127, 0] = True
    return {"corner": corner, "dots": dots, "blob": blob, "one pixel": one}


def slow_weights(descriptor, hole, focus):
    points = np.argwhere(hole)
    out = []
    for y0, x0, y1, x1 in descriptor.boxes:
        share = (~hole[y0:y1, x0:x1]).mean()
        if share < descriptor.min_share:
            share = 0.0
        centre = np.array([(y0 + y1 - 1) / 2, (x0 + x1 - 1) / 2])
        distance = np.sqrt(((points - centre) ** 2).sum(axis=1)).min()
        out.append(share * (1 if focus is None else math.exp(-distance / focus)))
    return np.array(out)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("name", holes())
@pytest.mark.parametrize("focus", [None, 3.0, 24])
def test_weights_equal_to_brute_force(spec, name, focus):
    hole, descriptor = holes()[name], make_descriptor(spec, 128)
    weights = cell_weights(descriptor, hole, focus)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, slow_weights(descriptor, hole, focus), rtol=2e-6, atol=1e-30)


def test_distance_equal_to_the_distance_transform_at_whole_pixels():
    hole = holes()["blob"]
    y, x = (a.ravel().astype(np.int32) for a in np.mgrid[:128:5, :128:7])
    boxes = np.stack([y, x, y + 1, x + 1], axis=1)
    np.testing.assert_allclose(hole_distance(boxes, hole), distance_transform_edt(~hole)[y, x], rtol=1e-6)


def test_shares_are_exact_at_the_ends():
    hole = holes()["corner"]
    boxes = make_descriptor("thumbnail", 128).boxes
    shares = visible_share(boxes, hole)
    assert shares.dtype == np.float32
    assert ((shares == 1) | (shares == 0) | (shares == 0.5)).all()
    assert (visible_share(boxes, np.ones((128, 128), bool)) == 0).all()


@pytest.mark.parametrize("spec", SPECS)
def test_without_a_hole_all_cells_weigh_one(spec):
    descriptor = make_descriptor(spec, 128)
    for hole in (None, np.zeros((128, 128), bool)):
        weights = cell_weights(descriptor, hole)
        assert weights.shape == (descriptor.cells,)
        assert (weights == 1).all()
        with pytest.raises(SettingsError, match="`focus` needs a hole"):
            cell_weights(descriptor, hole, focus=8)


def test_bad_holes_and_focus(centre):
    descriptor = make_descriptor("hog", 128)
    with pytest.raises(DescriptorError, match="resize_hole"):
        cell_weights(descriptor, np.ones((64, 64), bool))
    with pytest.raises(DescriptorError, match="uint8"):
        cell_weights(descriptor, centre.astype(np.uint8))
    for focus in (0, -1.0, math.inf, math.nan):
        with pytest.raises(SettingsError, match=r"`focus` is .*: expected a number from 0\.1 to"):
            cell_weights(descriptor, centre, focus)
    with pytest.raises(SettingsError, match="so small"):
        cell_weights(make_descriptor("thumbnail:4", 128), centre, 0.1)
    with pytest.raises(DescriptorError, match="none of the 225 cells"):
        cell_weights(descriptor, np.ones((128, 128), bool))
    sieve = np.zeros((128, 128), bool)
    sieve[::8, ::8] = True
    with pytest.raises(DescriptorError, match="thumbnail"):
        cell_weights(descriptor, sieve)
    assert cell_weights(make_descriptor("thumbnail", 128), sieve).min() > 0.9


def test_the_remedy_for_a_hole_that_leaves_no_cell_serves():
    """One pixel in every 2, 8 or 128 px a side is visible; where none is, only a larger size helps."""
    for step, specs in ((2, ("thumbnail", "hog")), (8, ("thumbnail", "thumbnail:64", "hog")), (128, SPECS)):
        hole = np.ones((128, 128), bool)
        hole[::step, ::step] = False
        for spec in specs:
            with pytest.raises(DescriptorError, match="such as ") as caught:
                cell_weights(make_descriptor(spec, 128), hole)
            advice = str(caught.value).rpartition("such as ")[2]
            assert advice != spec and cell_weights(make_descriptor(advice, 128), hole).any()
    with pytest.raises(DescriptorError, match=r"or index photos at more than 128 px"):
        cell_weights(make_descriptor("thumbnail", 128), np.ones((128, 128), bool))


@pytest.mark.parametrize("spec", SPECS)
def test_specs_round_trip_and_attributes_agree(spec, photos):
    descriptor = make_descriptor(spec, 128)
    assert descriptor.spec == spec
    assert make_descriptor(descriptor.spec, 128).spec == spec
    assert descriptor.size == 128
    described = descriptor.describe(photos[:2])
    assert described.shape == (2, descriptor.cells, descriptor.channels)
    assert described.dtype == np.float32
    assert descriptor.boxes.shape == (descriptor.cells, 4)
    assert descriptor.boxes.min() == 0
    assert descriptor.boxes.max() == 128
    learned = ("hidden", "weights_sha256", "memory", "photo_memory", "libraries")
    assert [getattr(descriptor, name) for name in learned] == [0, None, 0, 0, ()]


def test_specs_become_canonical():
    assert make_descriptor("thumbnail:32", 128).spec == "thumbnail"
    assert make_descriptor("thumbnail:016", 128).spec == "thumbnail:16"


@pytest.mark.parametrize(
    ("spec", "size", "message"),
    [
        ("sift", 128, r"'sift'.*encoder, gist, hog, kind, onnx, thumbnail"),
        ("", 128, "choose one of"),
        ("hog:", 128, "hog:cells"),
        ("hog:3", 128, "hog:cells"),
        ("gist:4", 128, "no parameter"),
        ("thumbnail:", 128, "thumbnail:16"),
        ("thumbnail:0", 128, "thumbnail:16"),
        ("thumbnail:-4", 128, "thumbnail:16"),
        ("thumbnail:x", 128, "thumbnail:16"),
        ("thumbnail:²", 128, "thumbnail:16"),
        ("hog", 15, "at least 16 px"),
        ("hog:cells", 7, "at least 8 px"),
        ("gist", 60, "at least 64"),
        ("gist", 130, "multiple of 4"),
        ("thumbnail", 0, "expected 1 or more"),
    ],
)
def test_bad_specs(spec, size, message):
    with pytest.raises(SettingsError, match=message) as caught:
        make_descriptor(spec, size)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spec", SPECS)
def test_bad_batches(spec, photos):
    descriptor = make_descriptor(spec, 128)
    whole = np.zeros((len(photos), 128, 128), bool)
    bad = [
        (photos[0], None, r"expected uint8 \(B, 128, 128, 3\)"),
        (photos.astype(np.float32), None, "float32"),
        (photos[:, :64], None, "resize"),
        (photos[..., 0], None, "expected uint8"),
        (photos.tolist(), None, "list"),
        (photos, whole.astype(np.uint8), "expected bool"),
        (photos, whole[0], r"holes are bool \(128, 128\)"),
        (photos, whole[:3], "3 holes for 12 photos"),
    ]
    for batch, hole, message in bad:
        with pytest.raises(DescriptorError, match=f"^{spec}.*{message}"):
            descriptor.describe(batch, hole)


@pytest.mark.parametrize("spec", SPECS)
def test_inputs_are_not_changed(spec, photos, centre):
    batch, holes = photos.copy(), np.repeat(centre[None], len(photos), 0)
    make_descriptor(spec, 128).describe(batch, holes)
    np.testing.assert_array_equal(batch, photos)
    assert (holes == centre).all()


def test_importing_descriptors_is_light():
    heavy = ["numba", "scipy", "skimage", "cv2", "torch", "faiss"]
    script = f"import sys, ce_retrieval.descriptors; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert sorted(DESCRIPTORS) == ["encoder", "gist", "hog", "kind", "onnx", "thumbnail"]
