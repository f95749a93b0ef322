"""The adversary: tells a real photo (or centre) from a predicted one."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from ce_retrieval.models.paper_center import down, initialise_dcgan


class Discriminator(nn.Module):
    """Convolutions 4x4 / 2 down to 512 x 4 x 4, and one more to a logit.

    | side 64 | side 128 |
    |---|---|
    | 64 x 32 x 32 | 64 x 64 x 64 |
    | 128 x 16 x 16 | 64 x 32 x 32 |
    | 256 x 8 x 8 | 128 x 16 x 16 |
    | 512 x 4 x 4 | 256 x 8 x 8 |
    | 1 | 512 x 4 x 4 |
    | | 1 |

    Parameters
    ----------
    side : int
        Side of the predictions in px, at least 64. Sides other than 64 and 128 are pooled to 128 first.

    Notes
    -----
    Pathak et al. 2016, Figure 9a, right; not conditioned on the mask (section 3.2).
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = 64 if side == 64 else 128
        widths = (3, 64, 128, 256, 512) if self.side == 64 else (3, 64, 64, 128, 256, 512)
        steps = [down(a, b, norm=a != 3) for a, b in pairwise(widths)]
        self.body = nn.Sequential(*(layer for step in steps for layer in step), nn.Conv2d(512, 1, 4))
        initialise_dcgan(self)

    def forward(self, photos: Tensor) -> Tensor:
        """Judge photos float (B, 3, side, side) in [-1, 1]: logits float32 (B,), positive = real."""
        if photos.shape[-1] != self.side:
            photos = nn.functional.adaptive_avg_pool2d(photos, self.side)
        return self.body(photos).flatten().float()
