"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real photos that lies beside a checkout (or at $CERET_SHARED_DATA); the test skips without it."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("CERET_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip("the shared photos are not on this machine")
    return folder


@pytest.fixture(scope="session")
def bundled_photos() -> list:
    """Real colour photos that scikit-image carries: uint8 (H, W, 3) arrays."""
    from skimage import data

    return [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
