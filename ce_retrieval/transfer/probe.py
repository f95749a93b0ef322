"""A linear probe: one layer on features that stay as they are."""

from __future__ import annotations

import torch
from torch import Tensor

from ce_retrieval.errors import TrainingError
from ce_retrieval.transfer.losses import classification_loss

DECAY = 1e-3  # of the probe's weights; features have a mean square of 1 / D, so that a photo's norm is about 1
_STEPS = 200
_FLAT = 1e-6  # share of the largest deviation below which a feature counts as constant


class LinearProbe:
    """Logistic regression (softmax, or sigmoids) with a penalty of DECAY / 2 on the squared weights, by L-BFGS.

    Parameters
    ----------
    features : float32 (N, D) of the training photos; they are standardised by their own means and deviations.
    targets : as of `classification_loss`.
    classes : outputs.

    Raises
    ------
    TrainingError : the features are not numbers.
    """

    def __init__(self, features: Tensor, targets: Tensor, classes: int) -> None:
        if not bool(features.isfinite().all()):
            raise TrainingError("the features of the training photos are not finite numbers: use other weights")
        variance, self._mean = torch.var_mean(features, 0, correction=0)
        deviation = variance.sqrt()
        varies = deviation > _FLAT * deviation.max()
        share = features.shape[1] ** -0.5
        self._scale = torch.where(varies, share / deviation, torch.zeros(()))
        self._weight = torch.zeros(classes, features.shape[1], requires_grad=True)
        self._bias = torch.zeros(classes, requires_grad=True)
        inputs = self._standardised(features)
        descent = torch.optim.LBFGS([self._weight, self._bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            descent.zero_grad()
            loss = classification_loss(inputs @ self._weight.T + self._bias, targets)
            loss = loss + DECAY / 2 * self._weight.square().sum()
            loss.backward()
            return loss

        descent.step(closure)

    def _standardised(self, features: Tensor) -> Tensor:
        return (features - self._mean) * self._scale

    def scores(self, features: Tensor) -> Tensor:
        """Return the scores of the classes: float32 (B, classes)."""
        with torch.no_grad():
            return self._standardised(features) @ self._weight.T + self._bias
