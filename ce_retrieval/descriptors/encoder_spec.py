"""The specs ``encoder[:LAYER][:CHECKPOINT]`` and what they name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ce_retrieval.descriptors.encoder import LOCAL_LAYER, Encoder
from ce_retrieval.descriptors.reconstruction import CELL, Reconstruction
from ce_retrieval.errors import CheckpointError, SettingsError, cut

if TYPE_CHECKING:
    from ce_retrieval.models.shipped import Weights

FILL_LAYER = "fill"  # `Reconstruction`; the others are layers of the network
LAYERS = ("cells", "context", "bottleneck", FILL_LAYER)  # of all architectures; anything else in a spec is a path


def make_encoder(argument: str | None, size: int) -> Encoder | Reconstruction:
    """Make the descriptor of ``encoder[:LAYER][:CHECKPOINT]``.

    Default checkpoint: the weights of the package. Default layer: as in `protocol_layer`, under "none".

    Raises
    ------
    SettingsError
        The network has no such layer, or takes photos of another size.
    CheckpointError
        The weights are missing or damaged.
    CeretError
        torch is not installed.
    """
    layer, checkpoint = _parts(argument)
    weights = _load(checkpoint)
    layer = layer or _default_layer(weights, "none")
    spec = f"encoder:{layer}" if checkpoint is None else f"encoder:{layer}:{weights.path}"
    if layer == FILL_LAYER:
        return Reconstruction(spec, weights, size)
    if layer not in weights.layers:
        known = ", ".join((*weights.layers, FILL_LAYER))
        raise SettingsError(
            f"{spec}: {weights.path.name} is of architecture {weights.config.architecture}: its layers are {known}"
        )
    return Encoder(spec, weights, layer, size)


def protocol_layer(argument: str | None, hole: str) -> str:
    """Return an encoder's spec with its layer named, by default ``fill``, which did best on held-out photos.

    The cells of ``fill`` do not divide the photos of some networks. There ``cells`` is the default under "none": whole
    photos must serve holes that are not known yet, so each cell must see only what is around it. Under "center", where
    every photo is described with the same hole, the last layer is the default: it has seen all of the context.
    """
    layer, checkpoint = _parts(argument)
    layer = layer or _default_layer(_load(checkpoint), hole)
    return f"encoder:{layer}" + (f":{checkpoint}" if checkpoint is not None else "")


def _default_layer(weights: Weights, hole: str) -> str:
    if weights.config.size % CELL == 0:
        return FILL_LAYER
    return LOCAL_LAYER if hole == "none" else weights.layers[-1]


def _parts(argument: str | None) -> tuple[str | None, str | None]:
    """Split what follows ``encoder:`` into (layer or None, checkpoint or None); SettingsError where a part is empty."""
    if argument is None:
        return None, None
    head, colon, rest = argument.partition(":")
    layer, checkpoint = (head, rest if colon else None) if head in LAYERS else (None, argument)
    if checkpoint == "":
        raise SettingsError(
            f"{cut(f'encoder:{argument}')}: expected encoder[:LAYER][:CHECKPOINT], as in encoder, encoder:context or encoder:FILE"
        )
    return layer, checkpoint


def _load(checkpoint: str | None) -> Weights:
    from ce_retrieval.models.shipped import load_weights

    try:
        return load_weights(checkpoint)
    except CheckpointError as error:
        # A misspelt layer reads as a path.
        if (
            checkpoint is not None
            and not os.path.exists(checkpoint)
            and (os.sep not in checkpoint or ":" in checkpoint)
        ):
            raise CheckpointError(f"{error}, or a layer: {', '.join(LAYERS)}") from error
        raise
