"""The losses of Context Encoders (section 3.2)."""

from __future__ import annotations

import torch.nn.functional as functional
from torch import Tensor


def loss_weights(holes: Tensor, overlap: int, overlap_weight: float) -> Tensor:
    """Weight of each pixel's error: 1 in the hole, `overlap_weight` in a band of `overlap` px around it, else 0.

    holes: bool (B, S, S). Returns float32 (B, 1, S, S). The band is visible context that is predicted too, so that the
    fill continues it (section 5.1: 7 px, 10 times the weight).
    """
    missing = holes[:, None].float()
    if overlap == 0:
        return missing
    # A square dilation, one axis after the other.
    side = 2 * overlap + 1
    grown = functional.max_pool2d(missing, (side, 1), stride=1, padding=(overlap, 0))
    grown = functional.max_pool2d(grown, (1, side), stride=1, padding=(0, overlap))
    return missing + overlap_weight * (grown - missing)


def reconstruction_loss(predicted: Tensor, target: Tensor, weights: Tensor, *, power: int = 2) -> Tensor:
    """Equation 1, normalised: the weighted mean of |error|^power in each photo, then the mean over photos.

    predicted, target: float (B, 3, T, T) in [-1, 1]; weights: (B, 1, T, T). Photos count alike whatever the size of
    their holes, so the loss of a batch is the mean of the losses of its parts.
    """
    error = (predicted - target) * weights if power == 1 else (predicted - target).square() * weights
    sums = error.abs().sum(dim=(1, 2, 3)) if power == 1 else error.sum(dim=(1, 2, 3))
    return (sums / (3 * weights.sum(dim=(1, 2, 3)))).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Equation 2, to be minimised by the adversary: -log D(x) - log(1 - D(F(x))), from logits (B,), mean over B."""
    return functional.softplus(-real).mean() + functional.softplus(fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """The encoder's side of equation 2, -log D(F(x)) from logits (B,): the form whose gradient does not vanish.

    Deviation from the equation (log(1 - D(F(x)))), as in DCGAN and the authors' released code.
    """
    return functional.softplus(-fake).mean()


def joint_loss(reconstruction: Tensor, adversarial: Tensor, weight: float) -> Tensor:
    """Equation 3: (1 - weight) reconstruction + weight adversarial; the paper has weight = 0.001."""
    return (1 - weight) * reconstruction + weight * adversarial
