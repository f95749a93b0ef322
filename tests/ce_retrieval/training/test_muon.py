import numpy as np
import torch
from torch import nn

from ce_retrieval.training.muon import MOMENTUM, Muon, kernels, orthogonal


def test_orthogonal_keeps_the_singular_vectors_and_levels_the_singular_values():
    generator = torch.Generator().manual_seed(0)
    for shape in [(8, 20), (20, 8), (3, 6, 6)]:
        matrices = torch.randn(shape, generator=generator)
        left, _, right = torch.linalg.svd(matrices, full_matrices=False)
        result = orthogonal(matrices)
        assert result.shape == matrices.shape and result.dtype == torch.float32
        in_its_basis = left.mT @ result @ right.mT
        values = in_its_basis.diagonal(dim1=-2, dim2=-1)
        assert values.min() > 0.5 and values.max() < 1.35
        rest = in_its_basis - torch.diag_embed(values)
        assert rest.abs().max() < 0.06  # bfloat16
    assert torch.equal(orthogonal(torch.zeros(4, 5)), torch.zeros(4, 5))


def test_a_step_is_nesterov_momentum_made_orthogonal_with_decoupled_decay():
    generator = torch.Generator().manual_seed(1)
    kernel = nn.Parameter(torch.randn(12, 2, 2, 2, generator=generator))
    start = kernel.detach().clone()
    optimiser = Muon([kernel], 0.1, 0.5)
    momentum = torch.zeros_like(start)
    expected = start
    for _ in range(2):
        gradient = torch.randn(start.shape, generator=generator)
        kernel.grad = gradient.clone()
        optimiser.step()
        momentum = MOMENTUM * momentum + (1 - MOMENTUM) * gradient
        ahead = (1 - MOMENTUM) * gradient + MOMENTUM * momentum
        direction = orthogonal(ahead.reshape(12, 8)).reshape(start.shape)
        expected = expected * (1 - 0.1 * 0.5) - 0.1 * np.sqrt(12 / 8) * direction
    torch.testing.assert_close(kernel.detach(), expected, rtol=1e-2, atol=2e-3)


def test_the_first_and_the_last_kernel_and_all_vectors_stay_with_adam():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 3), nn.Conv2d(5, 3, 3))
    assert [tuple(parameter.shape) for parameter in kernels(network)] == [(5, 4, 3, 3)]
