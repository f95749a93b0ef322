"""Features of a context encoder: what a network learned of the surroundings of holes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.descriptors.cells import check_batch
from ce_retrieval.descriptors.reconstruction import CELL, Reconstruction
from ce_retrieval.descriptors.threads import CHUNK, in_chunks, thread_count
from ce_retrieval.errors import CheckpointError, DescriptorError

if TYPE_CHECKING:
    import torch

    from ce_retrieval.models.shipped import Weights

FILL_LAYER = "fill"  # the decoder's, see `reconstruction`
LAYERS = ("cells", "context", "bottleneck", FILL_LAYER)  # of all architectures; what else follows `encoder:` is a path
LOCAL_LAYER = "cells"  # of every architecture: the only layer before all cells are mixed
FLOAT16_MAX = 65504.0  # an index stores float16
LIBRARY_MEMORY = 250 << 20  # bytes that torch takes when it is loaded and run
PIXEL_MEMORY = 160  # bytes of maps a pixel of a photo, at the most


class Encoder:
    """One layer of a context encoder (Pathak et al. 2016, section 5.1: features for context nearest neighbours).

    Spec ``encoder[:LAYER][:CHECKPOINT]``; the canonical one always names the layer, and the checkpoint by its absolute path
    unless it is that of the package. Channels are those of the layer's compression in the weights file (`compression`),
    or all of them, divided by their square root, where the file has none; either way the norms are of order 1.

    ``cells`` is local: a cell has the box of its share of the photo, and serves any hole. Its receptive field is larger
    than its box, so a hole reaches into cells around it, ever less with the distance. A later layer sees the whole photo
    from each of its cells, so every box is the whole photo: a hole leaves all cells the same share. Whole photos and
    photos with a hole differ under it; it is made for collections described with the same hole as the query.

    Deviation from the paper: bfloat16 arithmetic, and the compression. A photo's features do not depend on the others of
    its batch, nor on the number of threads, beyond rounding.
    """

    libraries = ("torch",)

    def __init__(self, weights: Weights, layer: str, size: int, *, shipped: bool) -> None:
        network = weights.network
        self.spec = f"encoder:{layer}" if shipped else f"encoder:{layer}:{weights.path}"
        if layer not in network.LAYERS:
            known = ", ".join((*network.LAYERS, FILL_LAYER))
            raise DescriptorError(
                f"{self.spec}: {weights.path.name} is of architecture {network.config.architecture}: its layers are {known}"
            )
        if size != network.config.size:
            needed = network.config.size
            raise DescriptorError(
                f"{self.spec}: its network takes photos of {needed} px, not {size}: use size {needed} (--size {needed})"
            )
        self.size = size
        self.layer = layer
        self.weights = weights
        self.weights_sha256 = weights.sha256
        self._compression = weights.compressions.get(layer)
        self._threads = thread_count()
        self.memory, self.photo_memory = network_memory(network)
        rows, columns, whole = self._features(np.zeros((1, size, size, 3), np.uint8), None).shape[1:]
        compressed = self._compression
        if compressed is not None and len(compressed.mean) != whole:
            raise CheckpointError(
                f"{weights.path}: its compression of {layer} is for {len(compressed.mean)} channels, the layer has {whole}; "
                "export the weights anew"
            )
        self.cells = rows * columns
        self.channels = whole if compressed is None else compressed.channels
        self.boxes = _boxes(size, rows, columns, local=layer == LOCAL_LAYER)
        self.min_share = 0.5 if layer == LOCAL_LAYER else 0.0

    def describe(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """uint8 (B, S, S, 3), holes bool (B, S, S) or None -> float32 (B, G, C), norms of order 1.

        Each call of the network runs on one thread: many callers share the cores without getting into each other's way,
        and the many photos of one caller are shared out to all cores. DescriptorError: features that float16 cannot hold.
        """
        check_batch(self.spec, self.size, photos, holes)
        out = np.empty((len(photos), self.cells, self.channels), np.float32)

        def run(part: slice) -> None:
            out[part] = self._chunk(photos[part], None if holes is None else holes[part])

        in_chunks(len(photos), run, self._threads)
        return out

    def _chunk(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None) -> NDArray[np.float32]:
        import torch

        features = self._features(photos, holes)
        flat = features.reshape(len(photos), self.cells, features.shape[-1])
        if self._compression is None:
            grids = flat * np.float32(flat.shape[-1] ** -0.5)
        else:
            grids = self._compression.apply(torch.from_numpy(flat)).numpy()
        if not (np.abs(grids) <= FLOAT16_MAX).all():  # not for NaN either
            raise DescriptorError(
                f"{self.spec}: its network gives features beyond what an index can hold: its weights are damaged, use others"
            )
        return grids

    def _features(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None) -> NDArray[np.float32]:
        from ce_retrieval.models.inference import encode_photos

        return encode_photos(self.weights.network, photos, holes, layer=self.layer, batch=CHUNK)


def _boxes(size: int, rows: int, columns: int, *, local: bool) -> NDArray[np.int32]:
    """int32 (rows * columns, 4): equal shares of the photo, to the pixel, or the whole photo for each cell."""
    if not local:
        return np.tile(np.array([0, 0, size, size], np.int32), (rows * columns, 1))
    y, x = (np.rint(np.arange(n + 1) * size / n).astype(np.int32) for n in (rows, columns))
    top, left = (a.ravel() for a in np.meshgrid(y[:-1], x[:-1], indexing="ij"))
    bottom, right = (a.ravel() for a in np.meshgrid(y[1:], x[1:], indexing="ij"))
    return np.stack([top, left, bottom, right], axis=1)


def network_memory(network: torch.nn.Module) -> tuple[int, int]:
    """(bytes that torch and the network take, bytes of maps that a photo takes on its way through it), at the most."""
    parameters = sum(value.numel() * value.element_size() for value in network.state_dict().values())
    side: int = network.config.size
    return LIBRARY_MEMORY + 3 * parameters // 2, PIXEL_MEMORY * side**2  # float32, and bfloat16 beside it


def _parts(argument: str | None) -> tuple[str | None, str | None]:
    """(layer or None, checkpoint or None) of what follows ``encoder:``; DescriptorError where a part is empty."""
    if argument is None:
        return None, None
    head, colon, rest = argument.partition(":")
    layer, checkpoint = (head, rest if colon else None) if head in LAYERS else (None, argument)
    if checkpoint == "":
        raise DescriptorError(
            f"encoder:{argument}: expected encoder[:LAYER][:CHECKPOINT], as in encoder, encoder:context or encoder:FILE"
        )
    return layer, checkpoint


def _load(checkpoint: str | None) -> Weights:
    from ce_retrieval.models.shipped import load_weights

    try:
        return load_weights(checkpoint)
    except CheckpointError as error:
        if (
            checkpoint is not None
            and not os.path.exists(checkpoint)
            and (os.sep not in checkpoint or ":" in checkpoint)
        ):
            raise CheckpointError(f"{error}, or a layer: {', '.join(LAYERS)}") from error
        raise


def make_encoder(argument: str | None, size: int) -> Encoder | Reconstruction:
    """``encoder[:LAYER][:CHECKPOINT]``, by default the weights of the package, and the layer of `protocol_layer` for "none".

    DescriptorError: a layer that the network does not have, another size than the network's; CheckpointError: weights that
    are missing or damaged; CeretError: torch is not installed.
    """
    layer, checkpoint = _parts(argument)
    weights = _load(checkpoint)
    layer = layer or _default_layer(weights, "none")
    if layer == FILL_LAYER:
        return Reconstruction(weights, size, shipped=checkpoint is None)
    return Encoder(weights, layer, size, shipped=checkpoint is None)


def protocol_layer(argument: str | None, hole: str) -> str:
    """The spec of an encoder with its layer named: where it is not, ``fill``, which did best on held-out photos.

    A network whose photos are no multiple of the cells of ``fill`` gets ``cells``, or under "center" its last layer: whole
    photos must serve holes that are not known yet, which takes cells that see only what is around them; where every photo
    is described with the same hole, a layer that saw all of the context tells more.
    """
    layer, checkpoint = _parts(argument)
    layer = layer or _default_layer(_load(checkpoint), hole)
    return f"encoder:{layer}" + (f":{checkpoint}" if checkpoint is not None else "")


def _default_layer(weights: Weights, hole: str) -> str:
    if weights.network.config.size % CELL == 0:
        return FILL_LAYER
    return LOCAL_LAYER if hole == "none" else weights.network.LAYERS[-1]
