"""How near a fill looks to the truth, by the features of a network that the user has."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ce_retrieval.descriptors.onnx_files import model_hash, output_names, tensor_names
from ce_retrieval.descriptors.onnx_network import OnnxNetwork
from ce_retrieval.errors import SettingsError, shown, some
from ce_retrieval.evaluation.queries import Queries

PREFIX = "onnx:"
FLOATS = "tensor(float)"
TINY = 1e-6  # added to a norm: vectors of zeros stay zero
TRUTH_BYTES = 1 << 29  # features of the truth that are kept for the next method


class _Seen(NamedTuple):
    """What a network sees in a photo.

    Attributes
    ----------
    layers : of each the unit vectors float32 (P, C) at the places that the hole touches, and their weights (P,).
    whole : float32 (C,)
        The mean of the last layer over all places.
    """

    layers: Sequence[tuple[NDArray[np.float32], NDArray[np.float64]]]
    whole: NDArray[np.float32]


class Judged(NamedTuple):
    """What a network makes of fills.

    Attributes
    ----------
    distances : float64 (Q, L)
        From the truth at each layer; 0 is the truth, 4 the most.
    features : float32 (Q, C)
        The mean of the last layer over all places of the filled photo.
    """

    distances: NDArray[np.float64]
    features: NDArray[np.float32]


class Perceptual:
    """A distance between photos with a hole: that of a network's features under the hole.

    Parameters
    ----------
    spec : str
        `onnx:FILE[:LAYER,...]`. LAYER is the name of a tensor in the network, with places: feature maps, or tokens. None:
        the sidecar's `output`, else every output of the network that has places.

    Attributes
    ----------
    layers : list of str
    about : dict
        What a report says of it, as JSON types.

    Raises
    ------
    SettingsError
        No file, or a layer that the network lacks or that has no places.
    DescriptorError
        The errors of opening the network and its sidecar.

    Notes
    -----
    R. Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric", CVPR 2018. At each place of a
    layer the squared difference of the two feature vectors, each scaled to unit length; averaged over the places, which
    weigh the share of the hole in them. Deviations: all channels and all layers weigh alike, the network is any, and only
    the hole counts.
    """

    def __init__(self, spec: str) -> None:
        path, layers = _parsed(spec)
        self.spec = f"{PREFIX}{path}"
        self._network = OnnxNetwork(path, self.spec, _inside(self.spec, path, layers))
        self.layers = layers or self._outputs(path)
        self._check(self.layers)
        sha256 = model_hash(path, self._network.how, ",".join(self.layers))
        self.about: dict[str, Any] = {"path": str(path), "layers": self.layers, "sha256": sha256}
        self._truth: dict[int, _Seen] = {}
        self._wholes: dict[int, NDArray[np.float32]] = {}
        self._held = 0

    def compare(self, queries: Queries, fills: np.ndarray) -> Judged:
        """Compare every fill, uint8 (Q, S, S, 3), with the truth.

        The truth's features are kept: all calls must be about the same queries.
        """
        found = self._in_parts(lambda rows: self._compared(queries, fills, rows), len(queries))
        return Judged(np.array([distances for distances, _ in found]), np.stack([whole for _, whole in found]))

    def truth(self, queries: Queries) -> NDArray[np.float32]:
        """Return the features of the queries themselves, as `Judged.features`."""
        if len(self._wholes) < len(queries):
            self._in_parts(lambda rows: self._truths(queries, rows), len(queries))
        return np.stack([self._wholes[row] for row in range(len(queries))])

    def _in_parts(self, work: Callable[[range], Sequence[Any]], count: int) -> list[Any]:
        """Call `work` for all rows, on all cores, as many at once as the network takes; return the results in order."""
        step = self._network.step
        parts = [range(start, min(start + step, count)) for start in range(0, count, step)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return [one for part in pool.map(work, parts) for one in part]

    def _compared(
        self, queries: Queries, fills: np.ndarray, rows: range
    ) -> list[tuple[list[float], NDArray[np.float32]]]:
        part = slice(rows.start, rows.stop)
        pairs = zip(self._truths(queries, rows), self._seen(fills[part], queries.holes[part]), strict=True)
        return [(_distances(truth, fill), fill.whole) for truth, fill in pairs]

    def _truths(self, queries: Queries, rows: range) -> list[_Seen]:
        if rows.start in self._truth:
            return [self._truth[row] for row in rows]
        part = slice(rows.start, rows.stop)
        truths = self._seen(queries.photos[part], queries.holes[part])
        self._wholes.update((row, one.whole) for row, one in zip(rows, truths, strict=True))
        size = sum(vectors.nbytes + weights.nbytes for one in truths for vectors, weights in one.layers)
        if self._held + size <= TRUTH_BYTES:
            self._held += size
            self._truth.update(zip(rows, truths, strict=True))
        return truths

    def _seen(self, photos: np.ndarray, holes: np.ndarray) -> list[_Seen]:
        """Return the features of photos uint8 (B, S, S, 3) under their holes bool (B, S, S)."""
        found = self._network.run(self._network.prepared(photos), self.layers)
        maps = [self._cells(name, raw) for name, raw in zip(self.layers, found, strict=True)]
        wholes = maps[-1].mean(axis=1)
        return [_Seen([_under(cells[row], hole) for cells in maps], wholes[row]) for row, hole in enumerate(holes)]

    def _cells(self, name: str, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a layer as (B, G, C). Inside a network the layout may differ from the input's: the places are a square."""
        layout = self._network.how.layout
        if raw.ndim == 4 and raw.shape[1] != raw.shape[3]:
            layout = "nchw" if raw.shape[2] == raw.shape[3] else "nhwc"
        return self._network.cells(name, raw, layout)

    def _outputs(self, path: Path) -> list[str]:
        """Return the sidecar's output, or all outputs that have places."""
        outputs, named = self._network.outputs, self._network.how.output
        if named is not None:
            return [named]
        floats = [name for name, kind in outputs.items() if kind == FLOATS]
        found = self._network.run(self._trial(), floats)
        places = [name for name, raw in zip(floats, found, strict=True) if raw.ndim > 2 and self._count(name, raw) > 1]
        if not places:
            raise SettingsError(
                f"`perceptual` {self.spec}: none of its outputs ({some([*outputs], 5)}) has places: name layers inside it, as "
                f"in {self.spec}:{tensor_names(path)[0]}"
            )
        return places

    def _check(self, layers: Sequence[str]) -> None:
        """Raise SettingsError or DescriptorError unless all layers are numbers at several places."""
        outputs = self._network.outputs
        for name in layers:
            if outputs.get(name) != FLOATS:
                what = f"is {outputs[name]}, not {FLOATS}" if name in outputs else "is not one of its outputs"
                raise SettingsError(f"`perceptual` {self.spec}: {name} {what}: choose another layer")
        for name, raw in zip(layers, self._network.run(self._trial(), layers), strict=True):
            if raw.ndim == 2 or self._count(name, raw) < 2:
                raise SettingsError(
                    f"`perceptual` {self.spec}: {name} is {raw.shape}, without places to compare under the hole: choose a layer "
                    "of feature maps or tokens"
                )

    def _count(self, name: str, raw: NDArray[np.float32]) -> int:
        return self._cells(name, raw).shape[1]

    def _trial(self) -> NDArray[np.float32]:
        """Return photos that are not flat, prepared: a network may divide by their spread."""
        count, side = min(2, self._network.step), self._network.how.size
        values = np.arange(count * side * side * 3) * 89 % 251
        return self._network.prepared(values.astype(np.uint8).reshape(count, side, side, 3))


def _parsed(spec: str) -> tuple[Path, list[str]]:
    """Return the file and the layers of `onnx:FILE[:LAYER,...]`; the names of both may hold colons."""
    rest = spec.removeprefix(PREFIX)
    if rest == spec or not rest:
        raise SettingsError(f"`perceptual` is {shown(spec)}: expected onnx:FILE[:LAYER,...], as in onnx:resnet.onnx")
    parts = rest.split(":")
    ends = [end for end in range(len(parts), 0, -1) if Path(":".join(parts[:end])).expanduser().is_file()]
    end = ends[0] if ends else 1
    path = Path(os.path.abspath(Path(":".join(parts[:end])).expanduser()))
    layers = [name.strip() for name in ":".join(parts[end:]).split(",")] if end < len(parts) else []
    if "" in layers:
        raise SettingsError(f"`perceptual` is {shown(spec)}: a layer has no name: expected onnx:FILE[:LAYER,...]")
    return path, list(dict.fromkeys(layers))


def _inside(spec: str, path: Path, layers: Sequence[str]) -> list[str]:
    """Return the layers that the network does not give out; SettingsError for one that it lacks."""
    if not layers or not path.is_file():
        return []
    names = tensor_names(path)
    for layer in layers:
        if layer not in names:
            near = difflib.get_close_matches(layer, names, n=5, cutoff=0.4)
            which = f"near it are {', '.join(near)}" if near else f"it has {some(names, 5)}"
            raise SettingsError(f"`perceptual` {spec} has no layer {shown(layer)}: {which}")
    given_out = output_names(path)
    return [layer for layer in layers if layer not in given_out]


def _under(cells: NDArray[np.float32], hole: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return what the hole touches of a layer (G, C): unit vectors, and weights that sum to 1."""
    grid = round(len(cells) ** 0.5)
    picture = Image.fromarray(hole.astype(np.float32))
    share = np.asarray(picture.resize((grid, grid), Image.Resampling.BOX), np.float64).ravel()
    places = np.flatnonzero(share > 0)
    vectors = cells[places]
    vectors = vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + np.float32(TINY))
    return vectors, share[places] / share.sum()


def _distances(truth: _Seen, fill: _Seen) -> list[float]:
    pairs = zip(truth.layers, fill.layers, strict=True)
    return [float(np.square(a - b).sum(axis=1) @ weights) for (a, weights), (b, _) in pairs]
