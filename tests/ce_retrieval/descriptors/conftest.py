"""Real photos at the size of the descriptors' tests."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def _crops(photos: list, size: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    out = []
    for photo in photos:
        for _ in range(count):
            side = int(rng.integers(size, min(photo.shape[:2]) + 1))
            y, x = (int(rng.integers(0, n - side + 1)) for n in photo.shape[:2])
            crop = Image.fromarray(photo[y : y + side, x : x + side])
            out.append(np.asarray(crop.resize((size, size), Image.Resampling.BICUBIC)))
    return np.stack(out)


@pytest.fixture(scope="session")
def photos(bundled_photos) -> np.ndarray:
    """Crops of several scales of the bundled photos: uint8 (12, 128, 128, 3)."""
    return _crops(bundled_photos, 128, 3)


@pytest.fixture(scope="session")
def scenes(shared_data: Path) -> np.ndarray:
    """Every tenth of the held-out scenes: uint8 (60, 128, 128, 3); the test skips without them."""
    files = sorted((shared_data / "scenes" / "val").rglob("*.jpg"))[::10]
    if not files:
        pytest.skip("no scenes/val among the shared photos")
    return np.stack([np.asarray(Image.open(f).convert("RGB").resize((128, 128), 3)) for f in files])


@pytest.fixture
def centre() -> np.ndarray:
    """The centre hole of 64 x 64 in 128 x 128."""
    hole = np.zeros((128, 128), bool)
    hole[32:96, 32:96] = True
    return hole
