"""The held-out photos, and what other code measured of fills of their centre."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

# L1 %, L2 %, PSNR dB of classical fills of the centre, at 128 px: of all 600 photos, and of every twelfth.
FIGURES = {
    600: {"smooth": (12.73, 2.99, 16.11), "navier-stokes": (12.92, 3.58, 15.32), "telea": (12.73, 3.47, 15.47)},
    50: {"smooth": (13.05, 3.08, 15.72), "navier-stokes": (13.25, 3.61, 15.02), "telea": (13.08, 3.52, 15.18)},
}


class HeldOut(NamedTuple):
    files: list[Path]
    photos: np.ndarray
    figures: dict[str, tuple[float, float, float]]


def read_held_out(scenes: Path, every: int) -> HeldOut:
    """Every twelfth photo, or every one."""
    files = sorted((scenes / "val").rglob("*.jpg"))[::every]
    resized = [Image.open(file).convert("RGB").resize((128, 128), Image.Resampling.BICUBIC) for file in files]
    return HeldOut(files, np.stack(resized), FIGURES[len(files)])
