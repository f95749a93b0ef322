"""Muon: momentum with an orthogonalised direction, for the kernels of convolutions and channel-wise layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ce_retrieval.models.precision import has_bfloat16

MOMENTUM = 0.95
STEPS = 5
# Coefficients of the quintic iteration: five steps bring the singular values to between 0.7 and 1.2, which is enough.
_A, _B, _C = 3.4445, -4.7750, 2.0315


@torch.no_grad()
def orthogonal(matrices: Tensor) -> Tensor:
    """Return approximately the nearest (semi-)orthogonal matrix to each: U V' of U S V'.

    Parameters
    ----------
    matrices : float (..., m, n)

    Returns
    -------
    float32 (..., m, n), with singular values between 0.7 and 1.2 (0 stays 0).

    Notes
    -----
    Newton-Schulz iteration as in K. Jordan's Muon, in bfloat16 where the device has it.
    """
    wide = matrices.mT if matrices.shape[-2] > matrices.shape[-1] else matrices
    x = wide.bfloat16() if has_bfloat16(wide.device.type) else wide.float()
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-7)
    for _ in range(STEPS):
        gram = x @ x.mT
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return (x.mT if wide is not matrices else x).to(torch.float32)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum with an orthogonalised direction and decoupled weight decay.

    Parameters
    ----------
    parameters : kernels (out, in, h, w), each taken as the matrix (out, in h w), and channel-wise layers (channels,
        cells, cells), taken as one matrix per channel.
    rate : step size in units of the singular values of a kernel; a step is scaled by sqrt(max(1, rows / columns)).
    weight_decay : share of a parameter that a step of rate 1 removes.
    compiled : the iteration through torch.compile.

    Notes
    -----
    K. Jordan, "Muon: an optimizer for hidden layers in neural networks" (2024). On the network of preset `compact` it
    needs about 40 % of the steps of AdamW for the same error (docs/training.md).
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], rate: float, weight_decay: float, *, compiled: bool = False
    ) -> None:
        super().__init__(parameters, {"lr": rate, "weight_decay": weight_decay})
        self._orthogonal: Callable[[Tensor], Tensor] = torch.compile(orthogonal) if compiled else orthogonal

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Make one step from the current gradients; `closure` belongs to torch's signature and must be None."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                momentum = state["momentum"].lerp_(parameter.grad, 1 - MOMENTUM)
                ahead = parameter.grad.lerp(momentum, MOMENTUM)
                matrix = ahead.flatten(1) if ahead.ndim == 4 else ahead
                rows, columns = matrix.shape[-2:]
                direction = self._orthogonal(matrix).view(ahead.shape)
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(direction, alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)


def kernels(network: nn.Module) -> list[nn.Parameter]:
    """Return the parameters for Muon: kernels of convolutions and channel-wise layers, except the first and the last.

    The first layer reads photos and the last writes them: as usual with Muon, Adam trains these two.
    """
    found = [parameter for parameter in network.parameters() if parameter.ndim >= 3]
    return found[1:-1]
