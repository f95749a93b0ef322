"""A place that a photo with a hole and other photos show: the coffee table of scikit-image."""

import cv2
import numpy as np
from place_views import lit, moved, oval, seen, turned

SIZE = (400, 600)
HOLE = oval(SIZE, (200, 330), (42, 52))
TURNED = turned(SIZE, 25, 0.7)
LEFT = turned(SIZE, -15, 0.85, roll=-3)
NEAR = np.diag([1.25, 1.25, 1.0]) @ moved(-110, -30)


def others_of(photo: np.ndarray) -> dict[str, np.ndarray]:
    """Three views of the place, each in its own light."""
    return {
        "turned": lit(seen(photo, TURNED), 1.4),
        "left": lit(seen(photo, LEFT), 0.8),
        "near": seen(photo, NEAR),
    }


def crossed(view: np.ndarray, homography: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """A view with someone in red where it shows the middle of a hole."""
    ys, xs = np.nonzero(hole)
    x, y, depth = homography @ (xs.mean(), ys.mean(), 1.0)
    x, y = round(x / depth), round(y / depth)
    view = view.copy()
    view[y - 18 : y + 18, x - 12 : x + 12] = (210, 20, 30)
    return view


def facade(columns: int = 7, rows: int = 5, *, house: int = 4, grime: float = 0.0) -> np.ndarray:
    """A wall with windows that are all alike, 60 px apart, with the grime of this house, in grey levels."""
    rng = np.random.default_rng(house)
    window = np.full((60, 60, 3), (170, 120, 90), np.uint8)
    window[10:48, 14:46] = (60, 80, 110)
    window[10:48, 28:32] = window[27:31, 14:46] = (240, 240, 235)
    window[48:52, 10:50] = (200, 195, 180)
    wall = np.tile(window, (rows, columns, 1)).astype(float)
    stains = cv2.GaussianBlur(rng.normal(0, 1, wall.shape[:2]), (0, 0), 4)
    wall += rng.normal(0, 3, wall.shape) + grime * (stains / stains.std())[..., None]
    return np.clip(wall, 0, 255).astype(np.uint8)
