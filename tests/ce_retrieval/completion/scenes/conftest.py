"""A photo, and collections with and without the scene that it is cut from."""

import numpy as np
import pytest
from scene_cases import ABOVE, LEFT, SHAPE, index_of

from ce_retrieval.photo_index import PhotoIndex


@pytest.fixture(scope="session")
def scenes(bundled_photos) -> dict[str, np.ndarray]:
    """The photo's own scene, which fills it if `allow_same_photo` is set, and three of other things; 100x125 px."""
    face, cat, coffee, rocket = bundled_photos
    return {
        "own": coffee[40:240:2, 80:330:2],
        "cat": cat[20:220:2, 60:310:2],
        "face": face[:200:2, 100:350:2],
        "rocket": rocket[100:300:2, 200:450:2],
    }


@pytest.fixture(scope="session")
def truth(scenes) -> np.ndarray:
    """The photo, uint8 (*SHAPE, 3): a part of its own scene."""
    return np.ascontiguousarray(scenes["own"][ABOVE : ABOVE + SHAPE[0], LEFT : LEFT + SHAPE[1]])


@pytest.fixture(scope="session")
def index(tmp_path_factory, scenes) -> PhotoIndex:
    """Read-only: all scenes."""
    return index_of(tmp_path_factory.mktemp("scenes"), scenes)


@pytest.fixture(scope="session")
def other_index(tmp_path_factory, scenes) -> PhotoIndex:
    """Read-only: the scenes of other things."""
    return index_of(tmp_path_factory.mktemp("others"), {name: s for name, s in scenes.items() if name != "own"})
