"""How near a fill looks to the truth, by the features of a network that the user has."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.descriptors.onnx_files import model_hash, tensor_names
from ce_retrieval.descriptors.onnx_network import OnnxNetwork
from ce_retrieval.errors import DescriptorError, SettingsError, shown, some
from ce_retrieval.evaluation.queries import Queries

PREFIX = "onnx:"
TINY = 1e-6  # added to a norm: vectors of zeros stay zero
TRUTH_BYTES = 1 << 29  # features of the truth that are kept for the next method

# Of a photo, a layer each: unit vectors float32 (P, C) at the places that the hole touches, and their weights (P,).
_Seen = list[tuple[NDArray[np.float32], NDArray[np.float64]]]


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
        self.layers = self._checked(layers or self._outputs())
        sha256 = model_hash(path, self._network.how, ",".join(self.layers))
        self.about: dict[str, Any] = {"path": str(path), "layers": self.layers, "sha256": sha256}
        self._truth: dict[int, _Seen] = {}
        self._held = 0

    def distances(self, queries: Queries, fills: np.ndarray) -> NDArray[np.float64]:
        """Return the distance of every fill, uint8 (Q, S, S, 3), from the truth at each layer: float64 (Q, L).

        0 is the truth, 4 the most. All calls are about the same queries: the truth's features are kept.
        """
        step = self._network.step
        parts = [range(start, min(start + step, len(queries))) for start in range(0, len(queries), step)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = list(pool.map(lambda rows: self._of_part(queries, fills, rows), parts))
        return np.concatenate(found)

    def _of_part(self, queries: Queries, fills: np.ndarray, rows: range) -> NDArray[np.float64]:
        holes = queries.holes[rows.start : rows.stop]
        truths = [self._truth.get(row) for row in rows]
        if None in truths:
            truths = self._seen(queries.photos[rows.start : rows.stop], holes)
            self._keep(rows, truths)
        ours = self._seen(fills[rows.start : rows.stop], holes)
        return np.array([_distance(truth, fill) for truth, fill in zip(truths, ours, strict=True)])

    def _keep(self, rows: range, seen: Sequence[_Seen]) -> None:
        size = sum(vectors.nbytes + weights.nbytes for one in seen for vectors, weights in one)
        if self._held + size <= TRUTH_BYTES:
            self._held += size
            self._truth.update(zip(rows, seen, strict=True))

    def _seen(self, photos: np.ndarray, holes: np.ndarray) -> list[_Seen]:
        """Return the features of photos uint8 (B, S, S, 3) under their holes bool (B, S, S)."""
        maps = [self._cells(*named) for named in zip(self.layers, self._run(photos), strict=True)]
        return [[_under(cells[row], hole) for cells in maps] for row, hole in enumerate(holes)]

    def _run(self, photos: np.ndarray) -> list[NDArray[np.float32]]:
        return self._network.run(self._network.prepared(photos), self.layers)

    def _cells(self, name: str, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a layer as (B, G, C). Inside a network the layout may not be the input's: its places are a square."""
        layout = self._network.how.layout
        if raw.ndim == 4 and raw.shape[1] != raw.shape[3]:
            layout = "nchw" if raw.shape[2] == raw.shape[3] else "nhwc"
        return self._network.cells(name, raw, layout)

    def _outputs(self) -> list[str]:
        """Return the sidecar's output, or the network's outputs that have places."""
        outputs, named = self._network.outputs, self._network.how.output
        if named is not None:
            return [named]
        whole = [name for name, kind in outputs.items() if kind == "tensor(float)"]
        found = self._network.run(self._trial(), whole)
        places = [name for name, raw in zip(whole, found, strict=True) if raw.ndim in (3, 4) and self._places(name, raw) > 1]
        if not places:
            raise SettingsError(
                f"`perceptual` {self.spec}: none of its outputs ({some([*outputs], 10)}) has places: name layers inside the "
                f"network, as in {self.spec}:LAYER; the last are {some(tensor_names(Path(self.about_path)), 10)}"
            )
        return places
