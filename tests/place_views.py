"""Views of a place whose geometry is known: photos seen through homographies, in other light, with passers-by."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

CENTRE = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])  # from numbers of pixels to their centres


def turned(size: tuple[int, int], degrees: float = 25.0, scale: float = 0.7, roll: float = 4.0) -> np.ndarray:
    """The homography from a photo of a size (H, W) to a view of that size: turned about the vertical axis, and scaled."""
    height, width = size
    turn, _ = cv2.Rodrigues(np.deg2rad([0.0, degrees, 0.0]))
    roll_by, _ = cv2.Rodrigues(np.deg2rad([0.0, 0.0, roll]))
    turn = roll_by @ turn
    plane = np.column_stack([turn[:, 0] / width, turn[:, 1] / width, [0, 0, 1]])
    camera = np.array([[scale * width, 0, width / 2], [0, scale * width, height / 2], [0, 0, 1]])
    found = camera @ plane @ np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    return found / found[2, 2]


def moved(x: float, y: float) -> np.ndarray:
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def seen(photo: np.ndarray, homography: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
    """What a photo looks like through a homography, from its (x, y) to those of the view; black beyond it."""
    between = np.linalg.inv(CENTRE) @ homography @ CENTRE
    height, width = size or photo.shape[:2]
    # Four pixels for one, and their mean: no aliases.
    fine = np.diag([2.0, 2.0, 1.0]) @ CENTRE
    fine = np.linalg.inv(CENTRE) @ fine @ between
    large = cv2.warpPerspective(photo, fine, (2 * width, 2 * height), flags=cv2.INTER_CUBIC)
    return cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA)


def lit(photo: np.ndarray, gamma: float) -> np.ndarray:
    return np.rint(255 * (photo / 255.0) ** gamma).astype(np.uint8)


def at(homography: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (n, 2) under a homography."""
    found = np.column_stack([points, np.ones(len(points))]) @ homography.T
    return found[:, :2] / found[:, 2:]


def apart(one: np.ndarray, other: np.ndarray, mask: np.ndarray) -> float:
    """How far two homographies are apart at most over the box of a mask bool (H, W), px."""
    ys, xs = np.nonzero(mask)
    corners = np.array([[x, y] for x in (xs.min(), xs.max() + 1) for y in (ys.min(), ys.max() + 1)], float)
    return float(np.linalg.norm(at(one, corners) - at(other, corners), axis=1).max())


def oval(size: tuple[int, int], centre: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
    """A hole bool (H, W): an ellipse; centre and radii (rows, cols) in px."""
    rows, cols = np.mgrid[: size[0], : size[1]]
    return ((rows - centre[0]) / radii[0]) ** 2 + ((cols - centre[1]) / radii[1]) ** 2 <= 1


def removed(photo: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """A photo with something of one colour under the hole, which is in no view."""
    return np.where(hole[..., None], np.uint8((250, 0, 250)), photo)


def psnr(one: np.ndarray, other: np.ndarray, where: np.ndarray) -> float:
    """In dB, over the pixels `where`, bool (H, W)."""
    errors = (one[where].astype(float) - other[where].astype(float)) ** 2
    return float(10 * np.log10(255**2 / max(errors.mean(), 1e-9)))


def saved(folder: Path, **photos: np.ndarray) -> Path:
    """Write photos as NAME.png into a folder, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, photo in photos.items():
        Image.fromarray(np.ascontiguousarray(photo)).save(folder / f"{name}.png", compress_level=1)
    return folder
