"""The initialisations that are compared: random, a context encoder, its twin the autoencoder, and a user's weights."""

from __future__ import annotations

import hashlib

from torch import Generator, nn

from ce_retrieval.errors import CheckpointError, reason_of
from ce_retrieval.models.build import build_network
from ce_retrieval.models.checkpoint import load_network
from ce_retrieval.models.config import PaperRegionConfig
from ce_retrieval.models.paper_region import PaperRegion
from ce_retrieval.reading import open_regular
from ce_retrieval.transfer.networks.alexnet import AlexNet, draw_gaussian, layout_trunk
from ce_retrieval.transfer.networks.stages import SIDE
from ce_retrieval.transfer.networks.weights_file import AlexNetWeights, read_alexnet
from ce_retrieval.transfer.settings import Initialisation

# CaffeNet's Gaussian numbers: 0.005 in the two large layers, 0.01 elsewhere.
_DEVIATION, _LARGE = 0.01, 0.005
_PRESETS = {"encoder": "paper-region", "autoencoder": "autoencoder"}


def initialised(init: Initialisation, *, side: int, units: int, classes: int, seed: int) -> AlexNet:
    """Return an AlexNet with its first weights: on the CPU, in evaluation mode.

    Parameters
    ----------
    init : what conv1 to pool5 start from.
    side : of the photos, px.
    units : of fc6 and fc7.
    classes : outputs.
    seed : of all random weights.

    Notes
    -----
    `random` follows CaffeNet, on which Pathak et al. 2016 build: Gaussian weights with a deviation of 0.01, and 0.005 in fc6
    and fc7. `encoder` and `autoencoder` take conv1 to pool5 of a checkpoint, with fc6 and fc7 as in `random`; `weights` takes
    fc6 and fc7 too where the file has them. Deviations: biases start at 0 (CaffeNet: at 1 in some layers), and `random`,
    `encoder` and `autoencoder` have batch norm in place of local response normalisation, as the network `paper-region` has.

    Raises
    ------
    CheckpointError : the checkpoint or file is missing or damaged, or of another network.
    """
    generator = Generator().manual_seed(seed)
    weights = None
    match init.kind:
        case "random":
            trunk = _random_trunk(generator)
        case "weights":
            weights = read_alexnet(init.path)
            trunk = _layout_trunk(weights)
        case _:
            trunk = _checkpoint_trunk(init)
    network = AlexNet(trunk, side=side, units=units, classes=classes)
    draw_gaussian([network.fc6, network.fc7], _LARGE, generator)
    draw_gaussian([network.fc8], _DEVIATION, generator)
    if weights is not None:
        _take_full(network, weights, init.path, side)
    return network.eval()


def weights_hash(init: Initialisation) -> str | None:
    """Return the SHA-256 of the file of an initialisation, None for `random`; CheckpointError where it cannot be read."""
    if not init.path:
        return None
    try:
        with open_regular(init.path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        reason = reason_of(error)
        raise CheckpointError(f"{init.path}: {reason}; give the path of a file of weights") from None


def _random_trunk(generator: Generator) -> nn.Sequential:
    network = build_network(PaperRegionConfig())
    assert isinstance(network, PaperRegion)
    draw_gaussian([one for one in network.encoder if isinstance(one, nn.Conv2d)], _DEVIATION, generator)
    return network.encoder


def _layout_trunk(weights: AlexNetWeights) -> nn.Sequential:
    trunk = layout_trunk(weights.layout)
    layers = [one for one in trunk if isinstance(one, nn.Conv2d)]
    for layer, (weight, bias) in zip(layers, weights.convolutions, strict=True):
        layer.load_state_dict({"weight": weight, "bias": bias})
    return trunk


def _checkpoint_trunk(init: Initialisation) -> nn.Sequential:
    """Return conv1 to pool5 of a checkpoint of `ceret train`, which must have been trained as `init` says."""
    network, header = load_network(init.path)
    preset = _PRESETS[init.kind]
    if not isinstance(network, PaperRegion):
        found = network.config.architecture
        raise CheckpointError(
            f"{init.path}: holds a network {found}, not paper-region; train one by the preset {preset}"
        )
    masks = header.get("training", {}).get("masks")
    if masks is None:
        raise CheckpointError(f"{init.path}: does not say how it was trained; give a best.safetensors of `ceret train`")
    kind = "autoencoder" if masks == "none" else "encoder"
    if kind != init.kind:
        raise CheckpointError(
            f"{init.path}: was trained with the masks {masks}, so it is an {kind}: use {kind}:{init.path}, "
            f"or train by the preset {preset}"
        )
    return network.encoder


def _take_full(network: AlexNet, weights: AlexNetWeights, path: str, side: int) -> None:
    """Copy fc6 and fc7 of a file; CheckpointError where their shapes do not fit."""
    for name, (weight, bias) in weights.full.items():
        layer: nn.Linear = getattr(network, name)
        if weight.shape != layer.weight.shape:
            found, wanted = tuple(weight.shape), tuple(layer.weight.shape)
            changes = [f"`units` to {len(weight)}"] if found[0] != wanted[0] else []
            if (
                name == "fc6" and found[1] != wanted[1] and side != SIDE
            ):  # of the tasks, classification alone has `size`
                changes.append(f"`size` to {SIDE}")
            remedy = f"set {' and '.join(changes)}, or " if changes else ""
            raise CheckpointError(
                f"{path}: {weights.names[name]}.weight has shape {found}, this network expects {wanted}; "
                f"{remedy}leave fc6 and fc7 out of the file"
            )
        layer.load_state_dict({"weight": weight, "bias": bias})
