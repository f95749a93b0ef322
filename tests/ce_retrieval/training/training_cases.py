"""Small photos and a small network for the tests of training; also run by the processes that some of them start."""

from __future__ import annotations

import numpy as np

from ce_retrieval.models import CompactConfig
from ce_retrieval.training import PackedPhotos

TINY = CompactConfig(size=32, widths=(8, 16, 16), encoder_blocks=(0, 0, 1), decoder_blocks=(0, 0, 1), mixers=1)


def make_photos(count: int, size: int, seed: int = 0) -> PackedPhotos:
    """Photos of smooth colour gradients, each another: something to learn."""
    rng = np.random.default_rng(seed)
    axis = np.linspace(-1, 1, size)
    waves = np.sin(
        3
        * (rng.normal(size=(count, 1, 1, 3)) * axis[:, None, None] + rng.normal(size=(count, 1, 1, 3)) * axis[:, None])
    )
    pixels = np.clip(127 + 100 * waves + rng.normal(size=(count, size, size, 3)) * 4, 0, 255).astype(np.uint8)
    return PackedPhotos(
        pixels, tuple(f"photo{n}" for n in range(count)), ("",) * count, f"gradients-{count}-{size}-{seed}"
    )


def small_adversary(side: int):
    """The layers of `Discriminator` with few channels, for predictions of any even side."""
    from torch import nn

    from ce_retrieval.models.paper_center import down, initialise_dcgan

    class SmallAdversary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.side = side
            self.body = nn.Sequential(*down(3, 8, norm=False), *down(8, 16), nn.Conv2d(16, 1, side // 4))
            initialise_dcgan(self)

        def forward(self, photos):
            assert photos.shape[1:] == (3, self.side, self.side)
            return self.body(photos).flatten().float()

    return SmallAdversary()
