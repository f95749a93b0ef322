"""The losses of classification: softmax where a photo shows one class, sigmoids where it shows several."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor


def classification_loss(scores: Tensor, targets: Tensor) -> Tensor:
    """Return the mean loss over photos.

    Parameters
    ----------
    scores : float (B, classes)
    targets : int64 (B,): softmax cross-entropy; or int8 (B, classes) of 1, -1 and 0: the sum of the sigmoid cross-entropies
        of the classes, of which those that are 0 (shown by difficult objects alone) do not count.
    """
    if targets.ndim == 1:
        return functional.cross_entropy(scores, targets)
    wanted = (targets > 0).to(scores.dtype)
    each = functional.binary_cross_entropy_with_logits(scores, wanted, reduction="none")
    return torch.where(targets == 0, 0.0, each).sum() / len(scores)
