"""Muon: momentum whose direction is made orthogonal, for the kernels of convolutions and channel-wise layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
STEPS = 5
# Of the quintic iteration: it drives the singular values to between 0.7 and 1.2 in five steps, which is all that is needed.
_A, _B, _C = 3.4445, -4.7750, 2.0315


@torch.no_grad()
def orthogonal(matrices: Tensor, steps: int = STEPS) -> Tensor:
    """The nearest (semi-)orthogonal matrix to each, about: U V' of U S V', by Newton-Schulz iteration in bfloat16.

    matrices: float (..., m, n). Returns float32 of the same shape, singular values between 0.7 and 1.2 (0 stays 0).
    """
    wide = matrices.mT if matrices.shape[-2] > matrices.shape[-1] else matrices
    x = wide.bfloat16()
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return (x.mT if wide is not matrices else x).to(torch.float32)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, made orthogonal, with decoupled weight decay.

    K. Jordan, "Muon: an optimizer for hidden layers in neural networks" (2024). A convolution's kernel (out, in, h, w) is
    the matrix (out, in h w); a channel-wise layer (channels, cells, cells) is one matrix a channel. The step is scaled by
    sqrt(max(1, rows / columns)). On this product's network it needs about 40 % of the steps of AdamW for the same error
    (docs/training.md).

    parameters: of 3 or 4 dimensions. rate: of the step, in units of the singular values of a kernel.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], rate: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": rate, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step from the gradients at hand; `closure` is not used (torch's signature)."""
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
                direction = orthogonal(matrix).view(ahead.shape)
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(direction, alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)


def kernels(network: nn.Module) -> list[nn.Parameter]:
    """The parameters for Muon: kernels of convolutions and channel-wise layers, but the first and the last of the network.

    The first layer reads photos and the last writes them; as everywhere with Muon these stay with Adam.
    """
    found = [parameter for parameter in network.parameters() if parameter.ndim >= 3]
    return found[1:-1]
