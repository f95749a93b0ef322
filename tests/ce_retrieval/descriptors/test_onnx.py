"""Features from ONNX files, against numpy."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from click.testing import CliRunner
from onnx_models import (
    AXES,
    CONV,
    KERNEL,
    MEAN,
    PLAIN,
    SIDE,
    conv,
    describe,
    load,
    onnx,
    patches_times_kernel,
    refused,
    some_photos,
    tensor,
    unit,
    write,
)
from PIL import Image

from ce_retrieval.descriptors import cell_weights, make_descriptor


def test_feature_maps_are_cells(tmp_path):
    descriptor = load(conv(tmp_path / "net.onnx"))
    photos = some_photos(19)  # more than one run of the network
    described = descriptor.describe(photos)
    assert described.dtype == np.float32 and (descriptor.cells, descriptor.channels) == (16, 5)
    np.testing.assert_allclose(described, unit(patches_times_kernel(photos / 255)), atol=2e-5)
    np.testing.assert_array_equal(descriptor.boxes[5], [8, 8, 16, 16])
    assert descriptor.describe(photos[:0]).shape == (0, 16, 5)


def test_pixels_are_prepared_as_the_sidecar_says(tmp_path):
    mean, std = [0.4, 0.5, 0.6], [0.1, 0.2, 0.3]
    how = {"mean": mean, "std": std, "channels": "bgr", "range": [0, 255], "normalise": False}
    photos = some_photos()
    values = ((photos / 255 - mean) / std * 255)[..., ::-1]
    described = load(conv(tmp_path / "net.onnx", **how)).describe(photos)
    np.testing.assert_allclose(described, patches_times_kernel(values), rtol=1e-4, atol=0.1)


def test_the_other_layout(tmp_path):
    pool = [
        ("Transpose", ("photo",), ("first",), {"perm": [0, 3, 1, 2]}),
        ("AveragePool", ("first",), ("pooled",), {"kernel_shape": [8, 8], "strides": [8, 8]}),
        ("Transpose", ("pooled",), ("out",), {"perm": [0, 2, 3, 1]}),
    ]
    path = write(tmp_path / "net.onnx", pool, shape=("N", SIDE, SIDE, 3), layout="nhwc", normalise=False)
    photos = some_photos()
    expected = (photos / 255).reshape(3, 4, 8, 4, 8, 3).mean(axis=(2, 4)).reshape(3, 16, 3)
    np.testing.assert_allclose(load(path).describe(photos), expected, atol=1e-6)
    describe(path, layout="nchw")
    assert "32 channels in layout nchw" in refused(path)


def test_a_vector_is_one_cell_that_sees_the_whole_photo(tmp_path, centre):
    path = write(tmp_path / "net.onnx", [MEAN], [AXES], normalise=False)
    descriptor = load(path, 128)
    assert descriptor.boxes.tolist() == [[0, 0, 128, 128]]
    photos = some_photos(size=128)
    np.testing.assert_allclose(descriptor.describe(photos)[:, 0], photos.mean(axis=(1, 2)) / 255, atol=0.01)
    hole = np.ones((128, 128), bool)
    hole[0, 0] = False  # however little is visible, there is nothing else to compare
    assert cell_weights(descriptor, hole).tolist() == [2**-14]


def test_tokens_less_the_leading_ones_are_cells(tmp_path):
    nodes = [
        ("Conv", ("photo", "kernel"), ("maps",), {"strides": [8, 8]}),
        ("Reshape", ("maps", "shape"), ("rows",), {}),
        ("Transpose", ("rows",), ("places",), {"perm": [0, 2, 1]}),
        ("ReduceMax", ("places", "one"), ("class",), {"keepdims": 1}),
        ("Concat", ("class", "class", "places"), ("out",), {"axis": 1}),
    ]
    constants = [("kernel", KERNEL), ("shape", np.array([0, 5, 16])), ("one", np.array([1]))]
    path = write(tmp_path / "net.onnx", nodes, constants, tokens=2)
    photos = some_photos()
    np.testing.assert_allclose(load(path).describe(photos), unit(patches_times_kernel(photos / 255)), atol=2e-5)
    describe(path, tokens=1)
    assert "17 places less 1 leading tokens are not a square grid" in refused(path)
    describe(path, tokens=18)
    assert "are not a square grid" in refused(path)
    describe(path)
    assert 'write "tokens"' in refused(path)


def test_photos_are_resized_to_the_networks_side(tmp_path):
    photos = some_photos(size=100)
    small = np.stack([np.asarray(Image.fromarray(p).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for p in photos])
    descriptor = load(conv(tmp_path / "net.onnx"), 100)
    np.testing.assert_allclose(descriptor.describe(photos), unit(patches_times_kernel(small / 255)), atol=2e-5)
    assert descriptor.boxes[-1].tolist() == [75, 75, 100, 100]
    assert load(tmp_path / "net.onnx", 90).boxes[5].tolist() == [22, 22, 45, 45]  # every pixel that it overlaps


@pytest.mark.parametrize("size", [SIDE, 100])
def test_hidden_pixels_become_the_fill_and_nothing_else_of_them_is_seen(tmp_path, size):
    path = conv(tmp_path / "net.onnx", mean=[0.4, 0.5, 0.6], normalise=False)
    descriptor = load(path, size)
    holes = np.random.default_rng(3).random((3, size, size)) < 0.01
    holes[:, size // 4 : size * 3 // 4, size // 4 : size * 3 // 4] = True
    photos = some_photos(size=size)
    other = photos.copy()
    other[holes] = 255 - other[holes]
    described = descriptor.describe(photos, holes)
    np.testing.assert_array_equal(described, descriptor.describe(other, holes))
    np.testing.assert_array_equal(described[:, [5, 6, 9, 10]], 0)  # the mean is exactly 0 to the network
    if size == SIDE:
        values = np.where(holes[..., None], 0, photos / 255 - [0.4, 0.5, 0.6])
        np.testing.assert_allclose(described, patches_times_kernel(values), atol=1e-4)
    describe(path, mean=[0.4, 0.5, 0.6], normalise=False, fill=[1, 0, 0])
    inside = load(path, size).describe(photos, holes)[:, 5]
    red = np.broadcast_to(np.array([1, 0, 0]) - [0.4, 0.5, 0.6], (3, SIDE, SIDE, 3))
    np.testing.assert_allclose(inside, patches_times_kernel(red)[:, 5], atol=1e-4)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_fixed_batch_is_padded(tmp_path, batch):
    path = conv(tmp_path / "net.onnx", shape=(batch, 3, SIDE, SIDE))
    photos = some_photos(7)
    np.testing.assert_allclose(load(path).describe(photos), unit(patches_times_kernel(photos / 255)), atol=2e-5)


def test_a_dynamic_side_is_met_by_the_sidecar(tmp_path):
    path = conv(tmp_path / "net.onnx", shape=("N", "C", "H", "W"), size=48)
    assert load(path).cells == 36


def test_one_of_several_outputs(tmp_path):
    nodes = [CONV, ("ReduceMean", ("photo", "axes"), ("pooled",), {"keepdims": 0})]
    path = write(tmp_path / "net.onnx", nodes, [("kernel", KERNEL), AXES], outputs=("out", "pooled"), output="pooled")
    assert (load(path).cells, load(path).channels) == (1, 3)
    pooled = load(path).weights_sha256
    describe(path, output="out")
    assert load(path).cells == 16 and load(path).weights_sha256 != pooled
    describe(path)
    assert 'write "output" with one of out, pooled' in refused(path)
    describe(path, output="pool5")
    assert "no output 'pool5'" in refused(path) and "out, pooled" in refused(path)


def test_many_threads_get_what_one_gets(tmp_path):
    descriptor = load(conv(tmp_path / "net.onnx"))
    batches = [some_photos(8, seed=seed) for seed in range(20)]
    with ThreadPoolExecutor(4) as pool:
        for described, batch in zip(pool.map(descriptor.describe, batches), batches, strict=True):
            np.testing.assert_array_equal(described, descriptor.describe(batch))


def test_the_spec_names_the_file_from_any_folder(tmp_path, monkeypatch):
    path = conv(tmp_path / "net.onnx")
    monkeypatch.chdir(tmp_path)
    spec = make_descriptor("onnx:net.onnx", SIDE).spec
    assert spec == f"onnx:{path}"
    monkeypatch.chdir("/")
    assert make_descriptor(spec, SIDE).spec == spec


def test_the_hash_is_of_weights_and_meaning(tmp_path):
    path = conv(tmp_path / "net.onnx")
    first = load(path).weights_sha256
    assert len(first) == 64 and load(path).libraries == ("onnxruntime",)
    sidecar = tmp_path / "net.onnx.json"
    sidecar.write_text(json.dumps(dict(reversed({**PLAIN, "output": "out", "normalise": True}.items())), indent=3))
    assert load(path).weights_sha256 == first  # written otherwise, but it says the same
    describe(path, mean=[0, 0, 0.1])
    assert load(path).weights_sha256 != first
    other = write(tmp_path / "other.onnx", [CONV], [("kernel", KERNEL + 1)])
    assert load(other).weights_sha256 != first


@pytest.mark.parametrize("place", ["initializer", "attribute"])
def test_weights_in_files_beside_the_model(tmp_path, place):
    path = tmp_path / "net.onnx"
    constant = ("Constant", (), ("kernel",), {"value": tensor("kernel", KERNEL)})
    conv(path) if place == "initializer" else write(path, [constant, CONV])
    photos = some_photos()
    expected = load(path).describe(photos)
    kept = {"save_as_external_data": True, "location": "net.onnx.data", "size_threshold": 0, "convert_attribute": True}
    onnx.save(onnx.load(path), path, **kept)
    weights = tmp_path / "net.onnx.data"
    assert weights.stat().st_size >= KERNEL.nbytes > path.stat().st_size
    descriptor = load(path)
    np.testing.assert_array_equal(descriptor.describe(photos), expected)
    content = bytearray(weights.read_bytes())
    content[3] ^= 1
    weights.write_bytes(content)
    assert load(path).weights_sha256 != descriptor.weights_sha256
    weights.unlink()
    assert "net.onnx.data" in refused(path)
    os.mkfifo(weights)
    assert "net.onnx.data are not a regular file: export the model again" in refused(path)


@pytest.mark.parametrize("hole", ["none", "center"])
def test_index_and_query(tmp_path, bundled_photos, hole, monkeypatch):
    from cli.main import main

    conv(tmp_path / "net.onnx")
    (tmp_path / "photos").mkdir()
    for number in range(12):
        crop = bundled_photos[number % 3][10 * number : 10 * number + 96, 12 * number : 12 * number + 96]
        Image.fromarray(crop).save(tmp_path / "photos" / f"{number:02d}.png")
    mask = np.zeros((96, 96), np.uint8)
    mask[24:72, 24:72] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")

    def ceret(*arguments):
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    monkeypatch.chdir(tmp_path)
    built = ceret(
        "index",
        "photos",
        "--features",
        "onnx:net.onnx",
        "--hole",
        hole,
        "--size",
        64,
        "--kind",
        "none",
        "--out",
        "net.ceret",
    )
    assert built.exit_code == 0, built.output
    monkeypatch.chdir("/")
    query = (
        "query",
        tmp_path / "photos" / "07.png",
        "--mask",
        tmp_path / "mask.png",
        "--index",
        tmp_path / "net.ceret",
    )
    found = ceret(*query, "-k", 3, "--json")
    assert found.exit_code == 0, found.output
    assert os.path.basename(json.loads(found.stdout)["neighbors"][0]["name"]) == "07.png"
    conv(tmp_path / "net.onnx", mean=[0.5, 0.5, 0.5])
    changed = ceret(*query)
    assert changed.exit_code == 1 and "was built with weights" in changed.stderr
    (tmp_path / "net.onnx.json").unlink()
    lost = ceret(*query)
    assert lost.exit_code == 1 and lost.stderr.startswith(f"Error: {tmp_path}/net.onnx.json is missing")
    assert len(lost.stderr.splitlines()) == 1
