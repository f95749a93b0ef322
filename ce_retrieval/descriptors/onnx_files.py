"""The files of an ONNX model and their hash: large models keep their weights in files beside them."""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from ce_retrieval.descriptors.onnx_sidecar import Sidecar
from ce_retrieval.errors import DescriptorError, reason_of
from ce_retrieval.reading import open_regular, read_regular

# Where tensors are in a model: message -> field number -> the message in it (onnx.proto, whose numbers never change).
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}


def external_files(model: Path) -> list[str]:
    """Return the names of the files that hold the model's weights, relative to its folder; sorted.

    Reads the wire format of protocol buffers itself, so that the `onnx` package is not needed. DescriptorError where the
    bytes are not such a message.
    """
    return sorted(set(_read(model, lambda data: _locations(data, "model"))))


def tensor_names(model: Path) -> list[str]:
    """Return the names of the tensors that the nodes of the model compute, in order; DescriptorError as `external_files`."""
    return _read(model, lambda data: _named(data, 1, 2))


def output_names(model: Path) -> list[str]:
    """Return the names of the model's outputs; DescriptorError as `external_files`."""
    return _read(model, lambda data: _named(data, 12, 1))


def with_outputs(model: Path, names: Sequence[str]) -> bytes:
    """Return a model that gives these of its tensors out too.

    The concatenation of two protocol buffers is their union, so a model whose graph holds these outputs alone is appended.
    The runtime finds their types and shapes.
    """
    graph = b"".join(
        _encoded(12, _encoded(1, name.encode())) for name in names
    )  # GraphProto.output, ValueInfoProto.name
    return read_regular(model) + _encoded(7, graph)


def model_files(model: Path) -> list[Path]:
    """Return the paths of the model and of the files that hold its weights."""
    return [model, *(model.parent / name for name in external_files(model))]


def check_files(model: Path) -> None:
    """Raise DescriptorError where something other than a file stands in the place of weights: the runtime would wait for it."""
    try:
        names = external_files(model)
    except (DescriptorError, OSError, ValueError):
        return  # the runtime says what is the matter with the model
    for path in (model.parent / name for name in names):
        if path.exists() and not path.is_file():
            raise DescriptorError(f"{model}: its weights in {path} are not a regular file: export the model again")


def model_hash(model: Path, sidecar: Sidecar, output: str) -> str:
    """Return a SHA-256 of all that the features depend on: the model, its weights, the sidecar's values, the output's name.

    The paths of the files and the formatting of the sidecar do not count.
    """
    whole = hashlib.sha256(json.dumps({**asdict(sidecar), "output": output}, sort_keys=True).encode())
    for path in model_files(model):
        try:
            with open_regular(path) as file:
                whole.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise DescriptorError(f"{model}: its weights in {path} cannot be read ({reason_of(error)})") from error
    return whole.hexdigest()


def _read(model: Path, names: Callable[[memoryview], Iterator[str]]) -> list[str]:
    with open_regular(model) as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    try:
        return list(names(data))
    except (IndexError, ValueError) as error:
        raise DescriptorError(f"{model} is not an ONNX file: {error}") from error


def _named(data: memoryview, entry: int, name: int) -> Iterator[str]:
    """Yield the field `name` of every `entry` of the graph (field 7): a node is entry 1, its outputs are its names 2."""
    for graph in (part for number, part in _parts(data) if number == 7):
        for one in (part for number, part in _parts(graph) if number == entry):
            # An optional output that is left out has an empty name.
            yield from (bytes(text).decode() for number, text in _parts(one) if number == name and text)


def _locations(data: memoryview, message: str) -> Iterator[str]:
    for number, part in _parts(data):
        inner = _FIELDS[message].get(number)
        if inner == "entry":
            entry = dict(_parts(part))
            if bytes(entry.get(1, b"")) == b"location":
                yield bytes(entry.get(2, b"")).decode()
        elif inner:
            yield from _locations(part, inner)


def _parts(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield (field number, content) of the length-delimited fields of a message; the others are skipped."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 2:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise ValueError("a field is longer than what holds it")
            yield tag >> 3, data[at : at + length]
            at += length
        elif kind == 0:
            _, at = _varint(data, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of kind {kind}")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _encoded(number: int, content: bytes) -> bytes:
    """Return a length-delimited field."""
    sizes = bytearray()
    for value in (number << 3 | 2, len(content)):
        while value > 127:
            sizes.append(value & 127 | 128)
            value >>= 7
        sizes.append(value)
    return bytes(sizes) + content
