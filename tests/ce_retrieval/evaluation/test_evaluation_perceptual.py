"""The perceptual distance against numpy, and the networks, layers and sidecars that it refuses."""

import re

import numpy as np
import pytest
from onnx_models import AXES, KERNEL, SIDE, describe, onnx, patches_times_kernel, write
from PIL import Image

from ce_retrieval.errors import DescriptorError, SettingsError
from ce_retrieval.evaluation import perceptual as module
from ce_retrieval.evaluation.perceptual import Perceptual
from ce_retrieval.evaluation.queries import Queries

SIZE = 64
NODES = [
    ("Conv", ("photo", "kernel"), ("block/maps:0",), {"strides": [8, 8]}),
    ("AveragePool", ("block/maps:0",), ("block/pooled:0",), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("ReduceMean", ("block/pooled:0", "axes"), ("out",), {"keepdims": 0}),
]
CONSTANTS = [("kernel", KERNEL), AXES]


def net(path, **changes):
    return write(path, NODES, CONSTANTS, **changes)


def queries(count, seed=4):
    """Photos of noise, each with a hole of its own."""
    rng = np.random.default_rng(seed)
    holes = np.zeros((count, SIZE, SIZE), bool)
    for number, hole in enumerate(holes):
        hole[5 + number : 33, 20 : 49 - number] = True
    photos = rng.integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)
    return Queries([str(n) for n in range(count)], [""] * count, photos, holes)


def filled(asked, seed=5):
    other = np.random.default_rng(seed).integers(0, 256, asked.photos.shape, dtype=np.uint8)
    return np.where(asked.holes[..., None], other, asked.photos)


def maps_of(photos):
    """The layers of the network by numpy: float64 (B, 4, 4, 5) and (B, 2, 2, 5)."""
    small = [np.asarray(Image.fromarray(photo).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for photo in photos]
    maps = patches_times_kernel(np.stack(small) / 255).reshape(len(photos), 4, 4, 5)
    return maps, maps.reshape(-1, 2, 2, 2, 2, 5).mean(axis=(2, 4))


def by_hand(asked, fills):
    """Distances (Q, 2): mean over the layer's places of the squared difference of unit vectors, weighted by their hole."""
    distances = []
    for truth, fill in zip(maps_of(asked.photos), maps_of(fills), strict=True):
        a, b = (one / np.linalg.norm(one, axis=-1, keepdims=True) for one in (truth, fill))
        grid, side = truth.shape[1], SIZE // truth.shape[1]
        share = asked.holes.reshape(-1, grid, side, grid, side).mean(axis=(2, 4))
        distances.append((((a - b) ** 2).sum(axis=-1) * share).sum(axis=(1, 2)) / share.sum(axis=(1, 2)))
    return np.stack(distances, axis=1)


@pytest.mark.parametrize("batch", ["N", 1, 3])
def test_distances_by_hand(tmp_path, batch):
    path = net(tmp_path / "net.onnx", shape=(batch, 3, SIDE, SIDE))
    judge = Perceptual(f"onnx:{path}:block/maps:0, block/pooled:0")
    assert judge.layers == ["block/maps:0", "block/pooled:0"]
    asked = queries(11)  # more than one run of the network
    fills = filled(asked)
    found = judge.compare(asked, fills).distances
    assert found.shape == (11, 2) and (found > 0).all()
    np.testing.assert_allclose(found, by_hand(asked, fills), rtol=2e-4)
    np.testing.assert_array_equal(judge.compare(asked, asked.photos).distances, 0)


def test_what_is_kept_of_the_truth_changes_nothing(tmp_path, monkeypatch):
    spec = f"onnx:{net(tmp_path / 'net.onnx')}:block/maps:0"
    asked = queries(11)
    fills = [filled(asked, seed) for seed in (5, 6)]
    judge = Perceptual(spec)
    kept = [judge.compare(asked, each).distances for each in fills]
    monkeypatch.setattr(module, "TRUTH_BYTES", 0)
    judge = Perceptual(spec)
    for each, expected in zip(fills, kept, strict=True):
        np.testing.assert_array_equal(judge.compare(asked, each).distances, expected)
    assert (kept[0] != kept[1]).all()


def test_pixels_outside_the_hole_count_only_where_a_place_reaches_into_it(tmp_path):
    judge = Perceptual(f"onnx:{net(tmp_path / 'net.onnx')}:block/maps:0")
    asked = queries(1)
    fills = asked.photos.copy()
    fills[:, 56:, 56:] = 0
    assert not asked.holes[:, 48:, 48:].any()
    np.testing.assert_array_equal(judge.compare(asked, fills).distances, 0)


def test_layers_of_another_layout_than_the_input(tmp_path):
    """Converted from a framework of the other layout: inside, channels come first."""
    turned = [("Transpose", ("photo",), ("turned",), {"perm": [0, 3, 1, 2]})]
    nodes = [*turned, ("Conv", ("turned", "kernel"), *NODES[0][2:]), *NODES[1:]]
    back = [("Transpose", ("block/maps:0",), ("last",), {"perm": [0, 2, 3, 1]})]
    path = write(tmp_path / "net.onnx", [*nodes, *back], CONSTANTS, shape=("N", SIDE, SIDE, 3), layout="nhwc")
    asked = queries(2)
    fills = filled(asked)
    found = Perceptual(f"onnx:{path}:block/maps:0,block/pooled:0,last").compare(asked, fills).distances
    np.testing.assert_allclose(found[:, :2], by_hand(asked, fills), rtol=2e-4)
    np.testing.assert_array_equal(found[:, 2], found[:, 0])


def test_tokens_are_places(tmp_path):
    nodes = [
        NODES[0],
        ("Reshape", ("block/maps:0", "shape"), ("rows",), {}),
        ("Transpose", ("rows",), ("places",), {"perm": [0, 2, 1]}),
        ("ReduceMax", ("places", "one"), ("class",), {"keepdims": 1}),
        ("Concat", ("class", "places"), ("out",), {"axis": 1}),
    ]
    constants = [("kernel", KERNEL), ("shape", np.array([0, 5, 16])), ("one", np.array([1]))]
    path = write(tmp_path / "net.onnx", nodes, constants, tokens=1)
    asked = queries(2)
    fills = filled(asked)
    found = Perceptual(f"onnx:{path}:out,block/maps:0").compare(asked, fills).distances
    np.testing.assert_allclose(found, by_hand(asked, fills)[:, [0, 0]], rtol=2e-4)
    describe(path)
    with pytest.raises(DescriptorError, match='write "tokens" in its sidecar'):
        Perceptual(f"onnx:{path}:out")


def test_without_layers_it_is_the_outputs_that_have_places(tmp_path):
    path = net(tmp_path / "net.onnx", outputs=("out", "block/maps:0", "block/pooled:0"))
    assert Perceptual(f"onnx:{path}").layers == ["block/maps:0", "block/pooled:0"]
    describe(path, output="block/pooled:0")
    assert Perceptual(f"onnx:{path}").layers == ["block/pooled:0"]
    assert Perceptual(f"onnx:{path}:block/maps:0").layers == ["block/maps:0"]


def test_names_with_colons_and_weights_in_files(tmp_path, monkeypatch):
    folder = tmp_path / "a:b"
    folder.mkdir()
    path = net(folder / "net.onnx")
    whole = Perceptual(f"onnx:{path}:block/maps:0")
    assert whole.about["path"] == str(path) and len(whole.about["sha256"]) == 64
    monkeypatch.chdir(folder)
    assert Perceptual("onnx:net.onnx:block/maps:0").about == whole.about
    asked = queries(2)
    expected = whole.compare(asked, filled(asked)).distances
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="net.data", size_threshold=500)
    assert (folder / "net.data").stat().st_size >= KERNEL.nbytes
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(
        Perceptual(f"onnx:{path}:block/maps:0").compare(asked, filled(asked)).distances, expected
    )


def refused(spec, error=SettingsError):
    with pytest.raises(error) as caught:
        Perceptual(spec)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_layers_that_it_lacks_or_that_have_no_places(tmp_path):
    path = net(tmp_path / "net.onnx")
    message = refused(f"onnx:{path}:block/map")
    assert message == f"`perceptual` onnx:{path} has no layer 'block/map': near it are block/maps:0, block/pooled:0"
    assert "has no layer '9': it has block/maps:0, block/pooled:0, out" in refused(f"onnx:{path}:9")
    assert "a layer has no name" in refused(f"onnx:{path}:block/maps:0,")
    assert "out is (2, 5), without places" in refused(f"onnx:{path}:out")
    assert f"none of its outputs (out) has places: name layers inside it, as in onnx:{path}:block/maps:0" in refused(
        f"onnx:{path}"
    )
    whole = [*NODES, ("ReduceMean", ("block/maps:0", "axes"), ("one",), {"keepdims": 1})]
    path = write(tmp_path / "net.onnx", [*whole, ("Shape", ("one",), ("shape",), {})], CONSTANTS)
    assert "one is (2, 5, 1, 1), without places" in refused(f"onnx:{path}:one")
    assert "shape is tensor(int64), not tensor(float)" in refused(f"onnx:{path}:shape")


def test_networks_of_another_shape(tmp_path):
    path = net(tmp_path / "net.onnx", shape=("N", 3, 48, 48))
    assert "size 32 of its sidecar does not fit" in refused(f"onnx:{path}:block/maps:0", DescriptorError)
    net(path, shape=("N", 1, SIDE, SIDE))
    assert "1 channels" in refused(f"onnx:{path}:out", DescriptorError)
    wide = [("AveragePool", ("photo",), ("out",), {"kernel_shape": [8, 4], "strides": [8, 4]})]
    write(path, wide)
    assert "not a square grid of places" in refused(f"onnx:{path}", DescriptorError)


def test_files_and_sidecars_that_are_missing(tmp_path):
    for spec in ("onnx:", "net.onnx", "hog", ""):
        assert re.search(r"expected onnx:FILE\[:LAYER,...\], as in onnx:resnet.onnx", refused(spec))
    path = tmp_path / "net.onnx"
    for spec in (f"onnx:{path}", f"onnx:{path}:block/maps:0,out"):
        assert refused(spec, DescriptorError).startswith(f"onnx:{path}: there is no such file")
    net(path)
    (tmp_path / "net.onnx.json").unlink()
    assert f"{path}.json is missing" in refused(f"onnx:{path}:block/maps:0", DescriptorError)
    path.write_bytes(b"hello")
    assert "is not an ONNX file" in refused(f"onnx:{path}:block/maps:0", DescriptorError)
