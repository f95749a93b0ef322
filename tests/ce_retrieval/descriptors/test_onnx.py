"""Features from ONNX files, against numpy; tiny models are made here."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from ce_retrieval.descriptors import cell_weights, make_descriptor
from ce_retrieval.errors import DescriptorError

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
helper, numpy_helper, FLOAT = onnx.helper, onnx.numpy_helper, onnx.TensorProto.FLOAT

SIDE = 32  # of the models' input
PLAIN = {"size": SIDE, "mean": [0, 0, 0], "std": [1, 1, 1], "layout": "nchw", "channels": "rgb", "range": [0, 1]}
RNG = np.random.default_rng(8)
KERNEL = RNG.normal(size=(5, 3, 8, 8)).astype(np.float32)  # 5 channels over patches of 8 px


def tensor(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def write(
    path, nodes, constants=(), outputs=("out",), shape=("N", 3, SIDE, SIDE), dtype=FLOAT, inputs=("photo",), **sidecar
):
    """A model and its sidecar; a value of None takes the key away. Returns the path."""
    graph = helper.make_graph(
        [helper.make_node(op, list(ins), list(outs), **attributes) for op, ins, outs, attributes in nodes],
        "tiny",
        [helper.make_tensor_value_info(name, dtype, shape) for name in inputs],
        [helper.make_tensor_value_info(name, dtype, None) for name in outputs],
        [tensor(name, array) for name, array in constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    describe(path, **sidecar)
    return path


def describe(path, **changes):
    content = {key: value for key, value in {**PLAIN, **changes}.items() if value is not None}
    path.with_name(path.name + ".json").write_text(json.dumps(content))


CONV = ("Conv", ("photo", "kernel"), ("out",), {"strides": [8, 8]})
MEAN = ("ReduceMean", ("photo", "axes"), ("out",), {"keepdims": 0})
AXES = ("axes", np.array([2, 3]))


def conv(path, **sidecar):
    return write(path, [CONV], [("kernel", KERNEL)], **sidecar)


def patches_times_kernel(values):
    """float (B, SIDE, SIDE, 3) -> (B, 16, 5): every 8 px patch, row by row, times the kernel."""
    grid = values.reshape(len(values), 4, 8, 4, 8, 3).astype(np.float64)
    return np.einsum("briljc,ocij->brlo", grid, KERNEL.astype(np.float64)).reshape(len(values), 16, 5)


def unit(cells):
    return cells / np.linalg.norm(cells, axis=2, keepdims=True)


def some_photos(count=3, size=SIDE, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def load(path, size=SIDE):
    return make_descriptor(f"onnx:{path}", size)


def refused(path, size=SIDE):
    with pytest.raises(DescriptorError) as caught:
        load(path, size)
    assert "\n" not in str(caught.value)
    return str(caught.value)


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
    assert "32 channels where layout nchw" in refused(path)


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
    assert "17 places less 1 leading tokens are no square grid" in refused(path)
    describe(path, tokens=18)
    assert "are no square grid" in refused(path)
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


def test_files_that_are_no_models(tmp_path):
    path = tmp_path / "net.onnx"
    assert "no such file" in refused(path)
    assert "no such file" in refused(tmp_path)
    path.write_bytes(b"hello")
    describe(path)
    assert f"onnx:{path}: cannot be loaded" in refused(path)
    path.write_bytes(b"")
    assert f"onnx:{path}: " in refused(path)
    conv(path)
    path.write_bytes(path.read_bytes()[:-100])
    assert f"onnx:{path}: cannot be loaded" in refused(path)
    for spec in ("onnx", "onnx:"):
        with pytest.raises(DescriptorError, match=r"as in onnx:dinov2\.onnx"):
            make_descriptor(spec, SIDE)


def test_without_the_runtime(tmp_path, monkeypatch):
    path = conv(tmp_path / "net.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "pip install 'ceret[onnx]'" in refused(path)


def test_inputs_that_are_no_photos(tmp_path):
    path = tmp_path / "net.onnx"
    add = [("Add", ("photo", "more"), ("out",), {})]
    assert "expected one 4-D input" in refused(write(path, add, inputs=("photo", "more")))
    assert "more tensor(float)" in refused(path)
    identity = [("Identity", ("photo",), ("out",), {})]
    assert "expected one 4-D input" in refused(write(path, identity, shape=("N", 3)))
    assert "tensor(float16)" in refused(write(path, identity, dtype=onnx.TensorProto.FLOAT16))
    assert "1 channels" in refused(write(path, identity, shape=("N", 1, SIDE, SIDE)))
    assert "size 32 of its sidecar does not fit" in refused(write(path, identity, shape=("N", 3, 48, 48)))
    assert "size 32 of its sidecar does not fit" in refused(write(path, identity, shape=("N", 3, SIDE, 48)))


def test_shapes_that_cannot_be_met(tmp_path):
    path = tmp_path / "net.onnx"
    flat = [("Reshape", ("photo", "shape"), ("flat",), {}), ("MatMul", ("flat", "weight"), ("out",), {})]
    constants = [("shape", np.array([-1, 3 * 48 * 48])), ("weight", np.ones((3 * 48 * 48, 2), np.float32))]
    message = refused(write(path, flat, constants, shape=("N", 3, "H", "W")))
    assert "cannot run on a batch of shape (2, 3, 32, 32)" in message and "photos of 32 px" in message
    alone = [("Reshape", ("photo", "shape"), ("out",), {})]  # says any batch, but can do one photo alone
    assert "cannot run on a batch" in refused(write(path, alone, [("shape", np.array([1, 3 * SIDE * SIDE]))]))
    merged = [("Reshape", ("photo", "shape"), ("out",), {})]
    assert "one entry a photo" in refused(write(path, merged, [("shape", np.array([1, -1]))]))


def test_outputs_that_are_no_grids(tmp_path):
    path = tmp_path / "net.onnx"
    wide = [("AveragePool", ("photo",), ("out",), {"kernel_shape": [8, 4], "strides": [8, 4]})]
    assert "no square grid" in refused(write(path, wide))
    assert 'leave "tokens" out' in refused(conv(path, tokens=1))
    scalar = [("ReduceMean", ("photo",), ("out",), {"keepdims": 0})]
    assert "one entry a photo" in refused(write(path, scalar))
    five = [("Unsqueeze", ("photo", "one"), ("out",), {})]
    assert "expected (B, C), (B, T, C)" in refused(write(path, five, [("one", np.array([1]))]))
    whole = [("Cast", ("photo",), ("out",), {"to": onnx.TensorProto.INT64})]
    graph = onnx.load(write(path, whole))
    graph.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    onnx.save(graph, path)
    assert "output out is tensor(int64)" in refused(path)


def test_values_that_cannot_be_compared(tmp_path):
    path = tmp_path / "net.onnx"
    broken = [("Sqrt", ("low",), ("roots",), {}), ("ReduceMean", ("roots", "axes"), ("out",), {"keepdims": 0})]
    shift = ("Sub", ("photo", "level"), ("low",), {})
    path = write(path, [shift, *broken], [("level", np.float32(2)), AXES])
    assert "output out is not finite" in refused(path)
    nodes = [("Log", ("photo",), ("logs",), {}), ("ReduceMax", ("logs", "axes"), ("out",), {"keepdims": 0})]
    descriptor = load(write(path, nodes, [AXES]))  # finite until a photo is all black
    with pytest.raises(DescriptorError, match="output out is not finite: check mean, std and range"):
        descriptor.describe(np.zeros((1, SIDE, SIDE, 3), np.uint8))
    huge = [("Mul", ("photo", "level"), ("large",), {}), ("ReduceMean", ("large", "axes"), ("out",), {"keepdims": 0})]
    write(path, huge, [("level", np.float32(1e6)), AXES], normalise=False)
    assert 'write "normalise": true' in refused(path)
    describe(path)
    assert np.linalg.norm(load(path).describe(some_photos()), axis=2) == pytest.approx(1)


def test_a_missing_sidecar_says_what_to_write(tmp_path):
    path = conv(tmp_path / "net.onnx")
    (tmp_path / "net.onnx.json").unlink()
    message = refused(path)
    assert f"{path}.json is missing" in message
    example = json.loads(message[message.index("{") :])
    describe(path, **example, normalise=True)
    assert "size 224 of its sidecar" in refused(path)  # the example is a valid sidecar


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"size": None, "std": None}, "size, std missing"),
        ({"sise": 3}, "unknown key sise: the keys are size, mean"),
        ({"size": 0}, "size is 0: expected pixels"),
        ({"size": 32.5}, "size is 32.5"),
        ({"size": True}, "size is true"),
        ({"mean": [123, 117, 104]}, "mean is [123, 117, 104]: expected three numbers from 0 to 1"),
        ({"mean": 0.5}, "mean is 0.5"),
        ({"mean": [0, 0, float("nan")]}, "mean is [0, 0, NaN]"),
        ({"std": [1, 0, 1]}, "std is [1, 0, 1]: expected three positive"),
        ({"layout": "NCHW"}, 'layout is "NCHW": expected "nchw" or "nhwc"'),
        ({"channels": "grey"}, 'channels is "grey"'),
        ({"range": [-1, 1]}, "range is [-1, 1]: expected [0, 1] or [0, 255]"),
        ({"range": 255}, "range is 255"),
        ({"output": 0}, "output is 0"),
        ({"tokens": -1}, "tokens is -1"),
        ({"fill": [0.5]}, "fill is [0.5]"),
        ({"normalise": "no"}, 'normalise is "no": expected true or false'),
    ],
)
def test_wrong_sidecars(tmp_path, changes, part):
    message = refused(conv(tmp_path / "net.onnx", **changes))
    assert message.startswith(f"{tmp_path}/net.onnx.json: ") and part in message


@pytest.mark.parametrize(("text", "part"), [("{", "is no JSON"), ("[]", "no JSON object"), ("\xff", "cannot be read")])
def test_sidecars_that_are_no_json(tmp_path, text, part):
    path = conv(tmp_path / "net.onnx")
    (tmp_path / "net.onnx.json").write_bytes(text.encode("latin-1"))
    assert part in refused(path)


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
    built = ceret("index", "photos", "--features", "onnx:net.onnx", "--hole", hole, "--size", 64, "--out", "net.ceret")
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
