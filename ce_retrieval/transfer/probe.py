"""A linear probe: one layer on features that stay as they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from ce_retrieval.errors import TrainingError
from ce_retrieval.transfer.losses import classification_loss
from ce_retrieval.transfer.networks.stages import trunk_to

DECAY = 1e-3  # of the probe's weights; features have a mean square of 1 / D, so that a photo's norm is about 1
_STEPS = 200
# To how many cells a side the maps of a layer are averaged: about as many features of each (9,216 to 9,600), as in the figures
# of R. Zhang, P. Isola, A. Efros, "Colorful Image Colorization" (2016).
_CELLS = {"conv1": 10, "conv2": 6, "conv3": 5, "conv4": 5, "conv5": 6}
_FLAT = 1e-6  # share of the largest deviation below which a feature counts as constant


def probed_features(trunk: nn.Sequential, layer: str) -> Callable[[Tensor], Tensor]:
    """Return what computes the features of photos (B, 3, S, S) for a probe: (B, D).

    Parameters
    ----------
    trunk : conv1 to pool5.
    layer : "conv1" to "conv5", whose maps are averaged to at most 10, 6, 5, 5 and 6 cells a side; or "pool5", as it is.
    """
    part = trunk_to(trunk, layer)

    def features(photos: Tensor) -> Tensor:
        maps = part(photos)
        if layer in _CELLS:
            height, width = (min(_CELLS[layer], side) for side in maps.shape[2:])
            maps = functional.adaptive_avg_pool2d(maps, (height, width))
        return maps.flatten(1)

    return features


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
        variance, self._mean = torch.var_mean(features.double(), 0, correction=0)
        deviation = variance.sqrt()
        varies = deviation > _FLAT * deviation.max()
        share = features.shape[1] ** -0.5
        self._scale = torch.where(varies, share / deviation, 0.0)
        inputs = self._standardised(features)
        size = classes * features.shape[1]

        def loss_and_gradient(numbers: np.ndarray) -> tuple[float, np.ndarray]:
            values = torch.tensor(numbers, requires_grad=True)
            weight, bias = values[:size].view(classes, -1), values[size:]
            loss = classification_loss(inputs @ weight.T + bias, targets) + DECAY / 2 * weight.square().sum()
            loss.backward()
            assert values.grad is not None
            return float(loss.detach()), values.grad.numpy()

        from scipy.optimize import minimize  # torch's own takes three seconds to import

        options = {"maxiter": _STEPS, "ftol": 1e-12, "gtol": 1e-8}
        found = minimize(loss_and_gradient, np.zeros(size + classes), jac=True, method="L-BFGS-B", options=options)
        self._weight = torch.from_numpy(found.x[:size]).view(classes, -1)
        self._bias = torch.from_numpy(found.x[size:])

    def _standardised(self, features: Tensor) -> Tensor:
        return (features.double() - self._mean) * self._scale

    def scores(self, features: Tensor) -> Tensor:
        """Return the scores of the classes: float64 (B, classes)."""
        return self._standardised(features) @ self._weight.T + self._bias
