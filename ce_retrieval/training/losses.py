"""The losses of Context Encoders (section 3.2)."""

from __future__ import annotations

import torch.nn.functional as functional
from torch import Tensor


def loss_weights(holes: Tensor, overlap: int, overlap_weight: float) -> Tensor:
    """Return the weight of each pixel's error.

    Parameters
    ----------
    holes : bool (B, S, S), True = missing.
    overlap : width (px) of the band of context around the hole that is predicted too, so that the fill continues it.
    overlap_weight : weight of the errors in that band.

    Returns
    -------
    float32 (B, 1, S, S): 1 in the hole, `overlap_weight` in the band, 0 elsewhere.

    Notes
    -----
    Section 5.1: a band of 7 px with 10 times the weight.
    """
    missing = holes[:, None].float()
    if overlap == 0:
        return missing
    # A square dilation, one axis after the other.
    side = 2 * overlap + 1
    grown = functional.max_pool2d(missing, (side, 1), stride=1, padding=(overlap, 0))
    grown = functional.max_pool2d(grown, (1, side), stride=1, padding=(0, overlap))
    return missing + overlap_weight * (grown - missing)


def reconstruction_loss(predicted: Tensor, target: Tensor, weights: Tensor, *, power: int) -> Tensor:
    """Return the weighted mean of |error|^power in each photo, averaged over the photos.

    Parameters
    ----------
    predicted, target : float (B, 3, T, T), in [-1, 1].
    weights : float (B, 1, T, T)
    power : 2 for L2, 1 for L1.

    Returns
    -------
    Tensor, 0-dimensional.

    Notes
    -----
    Equation 1, normalised by the weights: every photo counts the same whatever the size of its hole, so the loss of a
    batch is the mean of the losses of its parts.
    """
    error = (predicted - target) * weights if power == 1 else (predicted - target).square() * weights
    sums = error.abs().sum(dim=(1, 2, 3)) if power == 1 else error.sum(dim=(1, 2, 3))
    return (sums / (3 * weights.sum(dim=(1, 2, 3)))).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return the adversary's loss from logits (B,): -log D(x) - log(1 - D(F(x))) of equation 2, mean over B."""
    return functional.softplus(-real).mean() + functional.softplus(fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """Return the network's adversarial loss from logits (B,): -log D(F(x)), mean over B.

    Notes
    -----
    Deviation from equation 2 (log(1 - D(F(x)))), as in DCGAN and the authors' code: this form's gradient does not vanish.
    """
    return functional.softplus(-fake).mean()


def joint_loss(reconstruction: Tensor, adversarial: Tensor, weight: float) -> Tensor:
    """Return (1 - weight) reconstruction + weight adversarial: equation 3, where weight is 0.001."""
    return (1 - weight) * reconstruction + weight * adversarial
