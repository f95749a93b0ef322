"""Tiny ONNX models with their sidecars, what they compute by numpy, and how they are loaded."""

import json

import numpy as np
import pytest

from ce_retrieval.descriptors import make_descriptor
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
