"""A network in an ONNX file: loaded and checked, and fed with photos as its sidecar says."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.descriptors.onnx_files import check_files, model_files, with_outputs
from ce_retrieval.descriptors.onnx_sidecar import read_sidecar, sidecar_path
from ce_retrieval.errors import DescriptorError
from ce_retrieval.holes.strategies import resize_hole
from ce_retrieval.pixels import resize, to_bytes, to_unit

PHOTOS_PER_RUN = 8  # bounds the memory of the network's feature maps; a model with a fixed batch runs with its own
EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"  # of a model that is loaded from bytes


class OnnxNetwork:
    """A network in an ONNX file, with its sidecar beside it (docs/features-onnx.md, `onnx_sidecar.Sidecar`).

    Parameters
    ----------
    path : Path
    spec : str
        What messages call it.
    tensors : sequence of str
        Tensors inside the network to give out beside its outputs.

    Attributes
    ----------
    how : Sidecar
    outputs : dict of str to str
        Types of the outputs and of `tensors`, by name.
    step : int
        Most photos of a run.

    Raises
    ------
    DescriptorError
        onnxruntime, the file or its sidecar is missing, the file cannot be loaded, or the network takes no photos.

    Notes
    -----
    The session runs on the CPU with one thread per caller, so results do not depend on the number of cores.
    """

    def __init__(self, path: Path, spec: str, tensors: Sequence[str] = ()) -> None:
        self.spec, self._path = spec, path
        if not path.is_file():
            raise DescriptorError(f"{spec}: there is no such file: give an ONNX file that you have exported")
        self.how = read_sidecar(path)
        check_files(path)
        self._session, self._run_options = self._opened(tensors)
        self._input, self._fixed = self._checked_input()
        self.step = self._fixed or PHOTOS_PER_RUN
        self.outputs: dict[str, str] = {one.name: one.type for one in self._session.get_outputs()}

    @property
    def libraries(self) -> tuple[str, ...]:
        """The package that provides onnxruntime, by the name under which it is installed."""
        from importlib import metadata

        return tuple(sorted(set(metadata.packages_distributions().get("onnxruntime", ()))))

    @property
    def file_bytes(self) -> int:
        """Size of the model and of the files that hold its weights."""
        return sum(file.stat().st_size for file in model_files(self._path))

    def prepared(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Return photos uint8 (B, S, S, 3) as the network takes them, in its layout; hidden pixels take the sidecar's fill."""
        how, side = self.how, self.how.size
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

    def run(self, values: NDArray[np.float32], names: Sequence[str]) -> list[NDArray[np.float32]]:
        """Run the network on at most `step` prepared photos; return the tensors of these names, a photo on the first axis."""
        count = len(values)
        if self._fixed:
            padding = np.zeros((max(self._fixed - count, 0), *values.shape[1:]), np.float32)
            values = np.concatenate([values, padding])[: self._fixed]
        try:
            found = self._session.run(list(names), {self._input: values}, self._run_options)
        except Exception as error:  # the runtime's own errors have no other base
            raise DescriptorError(
                f"{self.spec}: cannot run on a batch of shape {values.shape} ({_line(error)}): export it for photos "
                f"of {self.how.size} px and any batch, or a batch of 1"
            ) from error
        for name, raw in zip(names, found, strict=True):
            if not raw.ndim or len(raw) != len(values):
                raise DescriptorError(
                    f"{self.spec}: output {name} is {raw.shape} for {len(values)} photos: expected one entry per photo on "
                    "its first axis"
                )
        return [raw[:count] for raw in found]

    def cells(self, name: str, raw: NDArray[np.float32], layout: str) -> NDArray[np.float32]:
        """Return an output (B, C), (B, T, C), (B, C, h, w) or (B, h, w, C) as (B, G, C), the places row by row.

        layout: of feature maps, "nchw" or "nhwc". DescriptorError for other shapes, and values that are not finite.
        """
        cells = self._as_cells(name, raw, layout)
        if not np.isfinite(cells).all():
            raise DescriptorError(f"{self.spec}: output {name} is not finite: check mean, std and range in its sidecar")
        return cells

    def _as_cells(self, name: str, raw: NDArray[np.float32], layout: str) -> NDArray[np.float32]:
        found = f"{self.spec}: output {name} is {raw.shape}"
        tokens = self.how.tokens
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
            maps = raw.transpose(0, 2, 3, 1) if layout == "nchw" else raw
            if maps.shape[1] != maps.shape[2]:
                raise DescriptorError(f"{found}: not a square grid of places in layout {layout}")
            cells = maps.reshape(len(maps), -1, maps.shape[3])
        else:
            raise DescriptorError(f"{found}: expected (B, C), (B, T, C) or feature maps of 4 dimensions")
        if not cells.size or round(cells.shape[1] ** 0.5) ** 2 != cells.shape[1]:
            less = f" less {tokens} leading tokens" if tokens else ""
            raise DescriptorError(
                f"{found}: {cells.shape[1]} places{less} are not a square grid: choose another output or tokens"
            )
        return cells

    def _opened(self, tensors: Sequence[str]) -> tuple[Any, Any]:
        if find_spec("onnxruntime") is None:
            raise DescriptorError(f"{self.spec} needs onnxruntime: pip install '.[onnx]' in the folder of ceret")
        import onnxruntime

        options, run_options = onnxruntime.SessionOptions(), onnxruntime.RunOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = run_options.log_severity_level = 4  # errors are raised; do not log them too
        model: Any = self._path
        if tensors:
            model = with_outputs(self._path, tensors)
            options.add_session_config_entry(EXTERNAL_FOLDER, str(self._path.parent))
        try:
            return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]), run_options
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
        axes = (1, 2, 3) if self.how.layout == "nchw" else (3, 1, 2)
        channels, height, width = (inputs[0].shape[axis] for axis in axes)
        if isinstance(channels, int) and channels != 3:
            raise DescriptorError(
                f"{self.spec}: its input is {found}, with {channels} channels in layout {self.how.layout}: expected 3; "
                f"{sidecar_path(self._path)} may need the other layout"
            )
        if any(isinstance(side, int) and side != self.how.size for side in (height, width)):
            raise DescriptorError(
                f"{self.spec}: its input is {found}: size {self.how.size} of its sidecar does not fit; "
                "write the model's own side there (it must be square)"
            )
        fixed = inputs[0].shape[0]
        return inputs[0].name, fixed if isinstance(fixed, int) and fixed > 0 else None


def _line(error: Exception) -> str:
    """Return the runtime's message as one line of at most about 300 characters."""
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:300]}..."
