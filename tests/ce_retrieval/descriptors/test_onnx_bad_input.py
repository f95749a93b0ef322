"""ONNX files and sidecars that cannot be used: one line each that says why."""

import json
import sys

import numpy as np
import pytest
from onnx_models import AXES, SIDE, conv, describe, load, onnx, refused, some_photos, write

from ce_retrieval.descriptors import make_descriptor
from ce_retrieval.errors import DescriptorError, SettingsError


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
        with pytest.raises(SettingsError, match=r"as in onnx:dinov2\.onnx"):
            make_descriptor(spec, SIDE)


def test_without_the_runtime(tmp_path, monkeypatch):
    path = conv(tmp_path / "net.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "pip install '.[onnx]' in the folder of ceret" in refused(path)


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
    assert "one entry per photo" in refused(write(path, merged, [("shape", np.array([1, -1]))]))


def test_outputs_that_are_no_grids(tmp_path):
    path = tmp_path / "net.onnx"
    wide = [("AveragePool", ("photo",), ("out",), {"kernel_shape": [8, 4], "strides": [8, 4]})]
    assert "not a square grid" in refused(write(path, wide))
    assert 'leave "tokens" out' in refused(conv(path, tokens=1))
    scalar = [("ReduceMean", ("photo",), ("out",), {"keepdims": 0})]
    assert "one entry per photo" in refused(write(path, scalar))
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


@pytest.mark.parametrize(
    ("text", "part"), [("{", "is not JSON"), ("[]", "hold a JSON object"), ("\xff", "cannot be read")]
)
def test_sidecars_that_are_no_json(tmp_path, text, part):
    path = conv(tmp_path / "net.onnx")
    (tmp_path / "net.onnx.json").write_bytes(text.encode("latin-1"))
    assert part in refused(path)
