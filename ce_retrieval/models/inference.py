"""Networks applied to uint8 photos in numpy arrays: features of photos, fills of holes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ce_retrieval.errors import MaskError
from ce_retrieval.models.context_encoder import ContextEncoder
from ce_retrieval.models.kind_network import KindNetwork
from ce_retrieval.models.plain import check_photos, check_visible
from ce_retrieval.models.precision import has_bfloat16
from ce_retrieval.pixels import to_bytes

BATCH = 64  # photos per call of the network


def _to_device(
    network: ContextEncoder | KindNetwork, photos: np.ndarray, holes: np.ndarray | None
) -> tuple[Tensor, Tensor]:
    """Return photos float (B, 3, S, S) in [-1, 1] and holes bool (B, S, S) on the network's device."""
    size = network.config.size
    check_photos(photos, size)
    device = next(network.parameters()).device
    pixels = torch.from_numpy(np.array(photos)).to(device)
    if holes is None:
        missing = torch.zeros(pixels.shape[:3], dtype=torch.bool, device=device)
    else:
        missing = torch.from_numpy(np.array(np.broadcast_to(holes, photos.shape[:3]))).to(device)
    # The permuted view of HWC pixels is channels_last already: no copy but the conversion.
    return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1), missing


def _batches(count: int) -> list[slice]:
    return [slice(start, start + BATCH) for start in range(0, count, BATCH)]


def _autocast(network: ContextEncoder | KindNetwork, fast: bool) -> torch.autocast:
    kind = next(network.parameters()).device.type
    return torch.autocast(kind, torch.bfloat16, enabled=fast and has_bfloat16(kind))


@torch.inference_mode()
def encode_photos(
    network: ContextEncoder,
    photos: np.ndarray,
    holes: np.ndarray | None = None,
    *,
    layer: str | None = None,
    fast: bool = True,
) -> np.ndarray:
    """Return the features of photos.

    Parameters
    ----------
    network : ContextEncoder
        In evaluation mode.
    photos : uint8 (B, S, S, 3)
        S is the network's size.
    holes : bool (B, S, S) or (S, S), or None
        True = missing; None for whole photos.
    layer : str or None
        One of `network.LAYERS`, the last by default.
    fast : bool
        bfloat16 arithmetic (relative error near 1 %) in place of float32, where the device has it in hardware.

    Returns
    -------
    float32 (B, h, w, C)
        The cells of the layer.

    Raises
    ------
    PhotoError
        Photos of another shape or type.
    SettingsError
        The network has no such layer.
    """
    parts = []
    for window in _batches(len(photos)):
        inputs = _to_device(network, photos[window], holes if holes is None or holes.ndim == 2 else holes[window])
        with _autocast(network, fast):
            maps = network.encode(*inputs, layer)
        parts.append(maps.float().permute(0, 2, 3, 1).contiguous().cpu().numpy())
    return np.concatenate(parts)


@torch.inference_mode()
def kinds_of_photos(network: KindNetwork, photos: np.ndarray, holes: np.ndarray | None = None) -> np.ndarray:
    """Return the kinds of photos, float32 (B, K), each of norm 1; parameters and errors as for `encode_photos`."""
    parts = []
    for window in _batches(len(photos)):
        inputs = _to_device(network, photos[window], None if holes is None else holes[window])
        with _autocast(network, True):
            features = network(*inputs)
        parts.append(network.kinds(features).cpu().numpy())
    return np.concatenate(parts)


@torch.inference_mode()
def predict_photos(
    network: ContextEncoder, photos: np.ndarray, holes: np.ndarray, *, mirror: bool = False, fast: bool = True
) -> np.ndarray:
    """Return the network's raw predictions of whole photos.

    Parameters
    ----------
    network, photos, holes, fast
        As for `encode_photos`.
    mirror : bool
        Average the predictions for the photo and for its mirror image: twice the time for a slightly lower error.

    Returns
    -------
    float32 (B, S, S, 3)
        0 is black and 1 is white; not clipped. A network that predicts the central half alone has its outermost pixels
        repeated up to the photo's border.

    Raises
    ------
    MaskError
        A hole covers a whole photo.
    """
    missing = np.broadcast_to(holes, photos.shape[:3])
    check_visible(missing)
    outputs = np.empty(photos.shape, np.float32)
    for window in _batches(len(photos)):
        pixels, gone = _to_device(network, photos[window], missing[window])
        with _autocast(network, fast):
            predicted = network(pixels, gone)
            if mirror:
                predicted = (predicted + network(pixels.flip(3), gone.flip(2)).flip(3)) / 2
        margin = (network.config.size - predicted.shape[-1]) // 2
        if margin:
            predicted = torch.nn.functional.pad(predicted, (margin,) * 4, mode="replicate")
        outputs[window] = predicted.float().add(1).div_(2).permute(0, 2, 3, 1).cpu().numpy()
    return outputs


def fill_photos(
    network: ContextEncoder, photos: np.ndarray, holes: np.ndarray, *, mirror: bool = False, fast: bool = True
) -> np.ndarray:
    """Return photos with their holes filled by the network: uint8 (B, S, S, 3), visible pixels unchanged.

    Parameters as for `predict_photos`. MaskError where a hole covers a whole photo, or reaches outside the part that the
    network predicts.
    """
    missing = np.broadcast_to(holes, photos.shape[:3])
    if (missing & ~predicted_part(network)).any():
        name = network.config.architecture
        raise MaskError(f"a hole reaches outside the central half, all that {name} predicts: use another network")
    predicted = predict_photos(network, photos, missing, mirror=mirror, fast=fast)
    return np.where(missing[..., None], to_bytes(predicted), photos)


def predicted_part(network: ContextEncoder) -> np.ndarray:
    """Return the part of a photo that the network predicts: bool (S, S)."""
    part = torch.zeros((network.config.size,) * 2, dtype=torch.bool)
    network.region(part).fill_(True)
    return part.numpy()
