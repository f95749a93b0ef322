"""Features of any network that a user has exported to ONNX."""

from __future__ import annotations

import os
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.descriptors.base import Descriptor
from ce_retrieval.descriptors.cells import LARGEST, check_batch, square_boxes
from ce_retrieval.descriptors.onnx_files import check_files, model_files, model_hash
from ce_retrieval.descriptors.onnx_sidecar import read_sidecar, sidecar_path
from ce_retrieval.errors import DescriptorError, SettingsError, some
from ce_retrieval.holes.strategies import resize_hole
from ce_retrieval.pixels import resize, to_bytes, to_unit

PHOTOS_PER_RUN = 8  # bounds the memory of the network's feature maps; a model with a fixed batch runs with its own
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

    The session runs on the CPU with one thread per caller, so results do not depend on the number of cores.
    """

    def __init__(self, path: Path, size: int):
        self.spec = f"onnx:{path}"
        self.size = size
        self._path = path
        if not path.is_file():
            raise DescriptorError(f"{self.spec}: there is no such file: give an ONNX file that you have exported")
        self._how = read_sidecar(path)
        check_files(path)
        self._session, self._run_options = self._opened()
        self._input, self._fixed = self._checked_input()
        self._output = self._chosen_output()
        self.weights_sha256 = model_hash(path, self._how, self._output)
        self.memory = RUNTIME_MEMORY + 2 * sum(file.stat().st_size for file in model_files(path))
        # A trial run, since declared shapes may be unknown. Its photos are not flat: a network may divide by their spread.
        trial = (np.arange(2 * size * size * 3) * 89 % 251).astype(np.uint8).reshape(2, size, size, 3)
        _, self.cells, self.channels = self._grids(self._prepared(trial, None)).shape
        self.min_share = 0.5 if self.cells > 1 else 0.0
        # Each cell's even share of the photo, with every pixel that it overlaps.
        grid = round(self.cells**0.5)
        edges = np.arange(grid + 1) * size
        self.boxes = square_boxes(edges[:-1] // grid, -(-edges[1:] // grid))

    @property
    def libraries(self) -> tuple[str, ...]:
        """The package that provides onnxruntime, by the name under which it is installed."""
        return tuple(sorted(set(metadata.packages_distributions().get("onnxruntime", ()))))

    def describe(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Describe a batch, uint8 (B, S, S, 3) -> float32 (B, G, C).

        DescriptorError where the network's output is not finite, or too large for an index.
        """
        check_batch(self.spec, self.size, photos, holes)
        out = np.empty((len(photos), self.cells, self.channels), np.float32)
        step = self._fixed or PHOTOS_PER_RUN
        for start in range(0, len(photos), step):
            part = slice(start, start + step)
            grids = self._grids(self._prepared(photos[part], None if holes is None else holes[part]))
            if grids.shape[1:] != out.shape[1:]:
                raise DescriptorError(
                    f"{self.spec}: output {self._output} is {grids.shape[1:]} for some photos and {out.shape[1:]} for others: "
                    "export a model whose output has one shape"
                )
            out[part] = grids
        return out

    def _opened(self) -> tuple[Any, Any]:
        if find_spec("onnxruntime") is None:
            raise DescriptorError(f"{self.spec} needs onnxruntime: pip install '.[onnx]' in the folder of ceret")
        import onnxruntime

        options, run_options = onnxruntime.SessionOptions(), onnxruntime.RunOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = run_options.log_severity_level = 4  # errors are raised; do not log them too
        try:
            return onnxruntime.InferenceSession(self._path, options, providers=["CPUExecutionProvider"]), run_options
        except Exception as error:  # the runtime's own errors have no other base
            raise DescriptorError(
                f"{self.spec}: cannot be loaded as an ONNX model ({_line(error)}): export it again"
            ) from error

    def _checked_input(self) -> tuple[str, int | None]:
        """Return the name of the only input and its batch, None where any will do; DescriptorError unless it takes photos."""
        inputs = self._session.get_inputs()
        found = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
        if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 4:
            raise DescriptorError(
                f"{self.spec}: its inputs are {found or 'none'}: expected one 4-D input of float32 photos, tensor(float)"
            )
        axes = (1, 2, 3) if self._how.layout == "nchw" else (3, 1, 2)
        channels, height, width = (inputs[0].shape[axis] for axis in axes)
        if isinstance(channels, int) and channels != 3:
            raise DescriptorError(
                f"{self.spec}: its input is {found}, with {channels} channels in layout {self._how.layout}: expected 3; "
                f"{sidecar_path(self._path)} may need the other layout"
            )
        if any(isinstance(side, int) and side != self._how.size for side in (height, width)):
            raise DescriptorError(
                f"{self.spec}: its input is {found}: size {self._how.size} of its sidecar does not fit; "
                "write the model's own side there (it must be square)"
            )
        fixed = inputs[0].shape[0]
        return inputs[0].name, fixed if isinstance(fixed, int) and fixed > 0 else None

    def _chosen_output(self) -> str:
        outputs = {one.name: one.type for one in self._session.get_outputs()}
        name = self._how.output
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

    def _prepared(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None) -> NDArray[np.float32]:
        """Return photos uint8 (B, S, S, 3) as the network takes them, in its layout."""
        how, side = self._how, self._how.size
        fill = np.array(how.fill, np.float32)
        values = np.empty((len(photos), side, side, 3), np.float32)
        for number, photo in enumerate(photos):
            if holes is not None:
                photo = np.where(holes[number][:, :, None], to_bytes(fill), photo)
            values[number] = to_unit(resize(photo, (side, side)))
            if holes is not None:
                values[number][resize_hole(holes[number], side)] = fill
        values -= np.array(how.mean, np.float32)
        values *= (how.scale / np.array(how.std)).astype(np.float32)
        ordered = values[..., ::-1] if how.channels == "bgr" else values
        return np.ascontiguousarray(ordered.transpose(0, 3, 1, 2) if how.layout == "nchw" else ordered)

    def _grids(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network on at most one batch, and return its output as float32 (B, G, C)."""
        count = len(values)
        if self._fixed:
            padding = np.zeros((max(self._fixed - count, 0), *values.shape[1:]), np.float32)
            values = np.concatenate([values, padding])[: self._fixed]
        try:
            (raw,) = self._session.run([self._output], {self._input: values}, self._run_options)
        except Exception as error:  # the runtime's own errors have no other base
            raise DescriptorError(
                f"{self.spec}: cannot run on a batch of shape {values.shape} ({_line(error)}): export it for photos "
                f"of {self._how.size} px and any batch, or a batch of 1"
            ) from error
        if not raw.ndim or len(raw) != len(values):
            raise DescriptorError(
                f"{self.spec}: output {self._output} is {raw.shape} for {len(values)} photos: expected one entry per photo on "
                "its first axis"
            )
        grids = self._as_cells(raw)[:count]
        if not np.isfinite(grids).all():
            raise DescriptorError(
                f"{self.spec}: output {self._output} is not finite: check mean, std and range in its sidecar"
            )
        if self._how.normalise:
            norms = np.linalg.norm(grids.astype(np.float64), axis=2, keepdims=True)
            return (grids / np.where(norms > 0, norms, 1)).astype(np.float32)
        if np.abs(grids).max(initial=0) > LARGEST:
            raise DescriptorError(
                f"{self.spec}: output {self._output} has values beyond {LARGEST:g}, more than an index can store: "
                'write "normalise": true in its sidecar'
            )
        return grids

    def _as_cells(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return an output (B, C), (B, T, C), (B, C, h, w) or (B, h, w, C) as (B, G, C), the places row by row."""
        found = f"{self.spec}: output {self._output} is {raw.shape}"
        tokens = self._how.tokens
        if tokens is not None and raw.ndim != 3:
            raise DescriptorError(f'{found}, not (B, T, C): leave "tokens" out of its sidecar')
        if raw.ndim == 2:
            cells = raw[:, None]
        elif raw.ndim == 3:
            if tokens is None:
                raise DescriptorError(
                    f'{found}: write "tokens" in its sidecar, the number of leading tokens that are not places (1 for a class '
                    "token)"
                )
            cells = raw[:, tokens:]
        elif raw.ndim == 4:
            maps = raw.transpose(0, 2, 3, 1) if self._how.layout == "nchw" else raw
            if maps.shape[1] != maps.shape[2]:
                raise DescriptorError(f"{found}: not a square grid of places in layout {self._how.layout}")
            cells = maps.reshape(len(maps), -1, maps.shape[3])
        else:
            raise DescriptorError(f"{found}: expected (B, C), (B, T, C) or feature maps of 4 dimensions")
        if not cells.size or round(cells.shape[1] ** 0.5) ** 2 != cells.shape[1]:
            less = f" less {tokens} leading tokens" if tokens else ""
            raise DescriptorError(
                f"{found}: {cells.shape[1]} places{less} are not a square grid: choose another output or tokens"
            )
        return cells


def _line(error: Exception) -> str:
    """Return the runtime's message as one line of at most about 300 characters."""
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:300]}..."


def make_onnx(argument: str | None, size: int) -> OnnxFeatures:
    """Make ``onnx:FILE``; the canonical spec holds the absolute path, so that an index finds its model from any folder.

    SettingsError without FILE; DescriptorError where the model or its sidecar cannot be used.
    """
    if not argument:
        raise SettingsError("onnx: expected a file, as in onnx:dinov2.onnx")
    return OnnxFeatures(Path(os.path.abspath(os.path.expanduser(argument))), size)
