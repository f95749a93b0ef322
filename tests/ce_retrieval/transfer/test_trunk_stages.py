"""Where maps stand in a photo: centres of cells by the gradient, for every layout of AlexNet."""

import pytest
import torch
from torch import nn
from transfer_networks import slim_alexnet

from ce_retrieval.models import PaperRegionConfig
from ce_retrieval.models.build import build_network
from ce_retrieval.transfer.networks import fcn
from ce_retrieval.transfer.networks.alexnet import CAFFENET, TORCHVISION, AlexNet, draw_gaussian, layout_trunk
from ce_retrieval.transfer.networks.stages import (
    SIDE,
    cells,
    conv1_padding,
    padded_for_conv5,
    padded_for_fc6,
    split_trunk,
    trunk_to,
)
from ce_retrieval.transfer.probe import probed_features

TRUNKS = {
    "batch norm": lambda: build_network(PaperRegionConfig()).encoder,
    "no pooling": lambda: build_network(PaperRegionConfig(pool_free=True)).encoder,
    "torchvision": lambda: layout_trunk(TORCHVISION),
    "CaffeNet": lambda: layout_trunk(CAFFENET),
}


def evened(part):
    """A part's geometry with one channel, even weights, and means in the place of maxima: gradients show all it sees."""
    layers = []
    for one in part:
        if isinstance(one, nn.Conv2d):
            one = nn.Conv2d(1, 1, one.kernel_size, one.stride, one.padding, bias=False)
            nn.init.constant_(one.weight, 1)
        if isinstance(one, nn.Conv2d | nn.MaxPool2d):
            layers.append(nn.AvgPool2d(3, stride=2) if isinstance(one, nn.MaxPool2d) else one)
    return nn.Sequential(*layers)


def centre(value, photo):
    """The middle of what a value depends on, px."""
    (gradient,) = torch.autograd.grad(value, photo, retain_graph=True)
    rows, columns = (gradient[0].abs().sum((0, axis)).nonzero().ravel() for axis in (2, 1))
    return float(rows[0] + rows[-1]) / 2, float(columns[0] + columns[-1]) / 2


@pytest.mark.parametrize("name", TRUNKS)
def test_cells_are_centred_on_their_pixels(name):
    network = AlexNet(TRUNKS[name](), side=SIDE, units=2, classes=2)
    padding = conv1_padding(network)
    assert padding == (2 if name == "torchvision" else 0) and network.cells == 256 * 36
    pool1, conv5, pool5 = (evened(part) for part in split_trunk(network.trunk))
    photo = torch.rand(1, 1, 400, 460, requires_grad=True)
    maps = conv5(pool1(padded_for_conv5(photo, padding)))[0, 0]
    assert maps.shape == (cells(400, 16), cells(460, 16)) == (26, 30)
    assert centre(maps[12, 14], photo) == (192, 224)
    first = pool1(padded_for_fc6(photo, padding))
    fifth = conv5(first)
    sixth = nn.functional.avg_pool2d(pool5(fifth), 6, stride=1)[0, 0]
    assert sixth.shape == (cells(400, 32), cells(460, 32)) == (14, 16)
    assert centre(sixth[6, 7], photo) == (192, 224)
    assert centre(fifth[0, 0][12 + fcn._CONV5_START, 14 + fcn._CONV5_START], photo) == (192, 224)
    assert centre(first[0, 0][24 + fcn._POOL1_START, 28 + fcn._POOL1_START], photo) == (192, 224)


@pytest.mark.parametrize("length", [1, 2, 16, 17, 33, 227, 500])
@pytest.mark.parametrize(("step", "pad"), [(16, padded_for_conv5), (32, padded_for_fc6)])
def test_cells_cover_the_photo(step, pad, length):
    network = slim_alexnet()
    pool1, conv5, pool5 = split_trunk(network.trunk)
    maps = conv5(pool1(pad(torch.zeros(1, 3, length, 40), 0)))
    rows = maps.shape[2] if step == 16 else pool5(maps).shape[2] - 5
    assert rows == cells(length, step) and step * (rows - 1) >= length - 1 > step * (rows - 2)


@pytest.mark.parametrize("name", TRUNKS)
def test_a_probe_reads_the_layer_it_names(name):
    """About as many features of each layer, means of maps behind their ReLU."""
    trunk = TRUNKS[name]().eval()
    draw_gaussian([one for one in trunk if isinstance(one, nn.Conv2d)], 0.05, torch.Generator().manual_seed(0))
    widths = [one.out_channels for one in trunk if isinstance(one, nn.Conv2d) and one.stride != (2, 2)]
    photos = torch.rand(2, 3, SIDE, SIDE) * 2 - 1
    with torch.no_grad():
        for number, (width, side) in enumerate(zip(widths, (10, 6, 5, 5, 6), strict=True), start=1):
            layer = f"conv{number}"
            part = trunk_to(trunk, layer)
            assert sum(isinstance(one, nn.Conv2d) and one.stride != (2, 2) for one in part) == number
            maps = part(photos)
            assert maps.shape[:2] == (2, width) and float(maps.min()) == 0 < float(maps.max())
            found = probed_features(trunk, layer)(photos)
            assert found.shape == (2, width * side**2)
            first = maps[:, :, : -(-maps.shape[2] // side), : -(-maps.shape[3] // side)].mean((2, 3))
            torch.testing.assert_close(found.view(2, width, side, side)[:, :, 0, 0], first)
        assert torch.equal(probed_features(trunk, "pool5")(photos), trunk(photos).flatten(1))
        small = probed_features(trunk, "conv5")(photos[:, :, :67, :67])
        assert small.shape == (2, widths[4] * trunk_to(trunk, "conv5")(photos[:, :, :67, :67]).shape[2] ** 2)
