"""Features of any network that a user has exported to ONNX."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.descriptors.base import Descriptor
from ce_retrieval.descriptors.cells import LARGEST, check_batch, square_boxes
from ce_retrieval.descriptors.onnx_files import model_hash
from ce_retrieval.descriptors.onnx_network import OnnxNetwork
from ce_retrieval.errors import DescriptorError, SettingsError, some

RUNTIME_MEMORY = 64 << 20  # bytes, of onnxruntime itself


class OnnxFeatures(Descriptor):
    """The output of a network in an ONNX file, as a grid: feature maps, tokens of a transformer, or one vector per photo.

    `FILE.json` beside it says how to feed and read the network (docs/features-onnx.md, `onnx_sidecar.Sidecar`). A photo is
    resized to the network's side. A map of g x g places, or g * g tokens, become g * g cells; a vector is a single cell.
    Each cell is scaled to unit norm, unless the sidecar says `"normalise": false`.

    Notes
    -----
    With a hole, hidden pixels take the sidecar's `fill` (default: its mean) before the resize, and so does every pixel of
    the network's input that a hidden one overlaps. Approximation: the boxes divide the photo evenly, while the receptive
    fields of a network are larger, overlap, and reach into the hole. A cell counts from half visible, the single cell of a
    vector always.

    `weights_sha256` covers the model, its external weights and the meaning of the sidecar. `photo_memory` is 0, since
    what the network's maps take is not known beforehand.
    """

    def __init__(self, path: Path, size: int):
        self.spec = f"onnx:{path}"
        self.size = size
        self._network = OnnxNetwork(path, self.spec)
        self._output = self._chosen_output()
        self.weights_sha256 = model_hash(path, self._network.how, self._output)
        self.memory = RUNTIME_MEMORY + 2 * self._network.file_bytes
        # A trial run, since declared shapes may be unknown. Its photos are not flat: a network may divide by their spread.
        trial = (np.arange(2 * size * size * 3) * 89 % 251).astype(np.uint8).reshape(2, size, size, 3)
        _, self.cells, self.channels = self._grids(trial, None).shape
        self.min_share = 0.5 if self.cells > 1 else 0.0
        # Each cell's even share of the photo, with every pixel that it overlaps.
        grid = round(self.cells**0.5)
        edges = np.arange(grid + 1) * size
        self.boxes = square_boxes(edges[:-1] // grid, -(-edges[1:] // grid))

    @property
    def libraries(self) -> tuple[str, ...]:
        """The package that provides onnxruntime, by the name under which it is installed."""
        return self._network.libraries

    def describe(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Describe a batch, uint8 (B, S, S, 3) -> float32 (B, G, C).

        DescriptorError where the network's output is not finite, or too large for an index.
        """
        check_batch(self.spec, self.size, photos, holes)
        out = np.empty((len(photos), self.cells, self.channels), np.float32)
        for start in range(0, len(photos), self._network.step):
            part = slice(start, start + self._network.step)
            grids = self._grids(photos[part], None if holes is None else holes[part])
            if grids.shape[1:] != out.shape[1:]:
                raise DescriptorError(
                    f"{self.spec}: output {self._output} is {grids.shape[1:]} for some photos and {out.shape[1:]} for others: "
                    "export a model whose output has one shape"
                )
            out[part] = grids
        return out

    def _chosen_output(self) -> str:
        outputs, name = self._network.outputs, self._network.how.output
        if name is None and len(outputs) == 1:
            (name,) = outputs
        if name is None or name not in outputs:
            why = "it has several outputs and its sidecar names none" if name is None else f"it has no output {name!r}"
            raise DescriptorError(f'{self.spec}: {why}: write "output" with one of {some([*outputs], 10)}')
        if outputs[name] != "tensor(float)":
            raise DescriptorError(
                f"{self.spec}: output {name} is {outputs[name]}, expected tensor(float): export it in float32"
            )
        return name

    def _grids(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None) -> NDArray[np.float32]:
        """Return the output of the network on at most one batch as float32 (B, G, C)."""
        how = self._network.how
        (raw,) = self._network.run(self._network.prepared(photos, holes), [self._output])
        if how.tokens is not None and raw.ndim != 3:
            raise DescriptorError(
                f'{self.spec}: output {self._output} is {raw.shape}, not (B, T, C): leave "tokens" out of its sidecar'
            )
        grids = self._network.cells(self._output, raw, how.layout)
        if how.normalise:
            norms = np.linalg.norm(grids.astype(np.float64), axis=2, keepdims=True)
            return (grids / np.where(norms > 0, norms, 1)).astype(np.float32)
        if np.abs(grids).max(initial=0) > LARGEST:
            raise DescriptorError(
                f"{self.spec}: output {self._output} has values beyond {LARGEST:g}, more than an index can store: "
                'write "normalise": true in its sidecar'
            )
        return grids


def make_onnx(argument: str | None, size: int) -> OnnxFeatures:
    """Make ``onnx:FILE``; the canonical spec holds the absolute path, so that an index finds its model from any folder.

    SettingsError without FILE; DescriptorError where the model or its sidecar cannot be used.
    """
    if not argument:
        raise SettingsError("onnx: expected a file, as in onnx:dinov2.onnx")
    return OnnxFeatures(Path(os.path.abspath(os.path.expanduser(argument))), size)
