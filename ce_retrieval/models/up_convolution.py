"""Transposed convolution whose bfloat16 gradients are right on the CPU too."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn


class UpConvolution(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d` (one group, no dilation, square kernel and stride) with the same weights and result.

    In bfloat16 on the CPU, the gradients of transposed kernels in torch 2.13 differ from call to call on the same batch,
    and are sometimes NaN. There this layer computes an ordinary convolution to s^2 times the channels, one for each of the
    s x s phases of the output with every s-th tap of the kernel, and a pixel shuffle.
    """

    def forward(self, maps: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C, h, w) -> (B, D, (h - 1) s - 2 p + k, ...), for stride s, padding p and kernel k."""
        if maps.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(maps, output_size)
        kernel, stride, pad = self.kernel_size[0], self.stride[0], self.padding[0]
        if maps.shape[-2:] == (1, 1) and pad == 0:  # a fully connected layer
            flat = functional.linear(maps.flatten(1), self.weight.flatten(1).T).unflatten(1, self.weight.shape[1:])
            return flat if self.bias is None else flat + self.bias[:, None, None]
        taps = -(-kernel // stride)
        grown = functional.pad(self.weight, (0, taps * stride - kernel) * 2)
        phases = grown.unflatten(3, (taps, stride)).unflatten(2, (taps, stride)).flip(2, 4)
        # (C, D, taps, phase, taps, phase) -> (D phase phase, C, taps, taps), the order that the shuffle expects
        weight = phases.permute(1, 3, 5, 0, 2, 4).flatten(0, 2)
        shuffled = functional.pixel_shuffle(functional.conv2d(maps, weight, padding=taps - 1), stride)
        height, width = ((side - 1) * stride - 2 * pad + kernel for side in maps.shape[-2:])
        cropped = shuffled[..., pad : pad + height, pad : pad + width]
        return cropped if self.bias is None else cropped + self.bias[:, None, None]
