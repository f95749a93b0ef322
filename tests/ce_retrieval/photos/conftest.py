"""The photo that the tests of decoding share."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def photo(bundled_photos) -> np.ndarray:
    """A real colour photo, 90 x 120, whose four corners tell the orientations apart."""
    return np.array(Image.fromarray(bundled_photos[1]).resize((120, 90), Image.Resampling.LANCZOS))
