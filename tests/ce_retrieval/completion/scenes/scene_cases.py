"""Small collections of scenes and holes for the tests of scene completion."""

from pathlib import Path

import numpy as np
from PIL import Image

from ce_retrieval.completion.result import Completion
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index

SHAPE = (80, 100)
ABOVE, LEFT = 9, 13  # px of the photo's own scene beyond the photo
HIDDEN = (255, 0, 255)  # what lies under a hole, and is in no scene


def of_size(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.array(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))


def index_of(folder: Path, scenes: dict[str, np.ndarray]) -> PhotoIndex:
    """Write scenes to `folder`/scenes and index them there."""
    (folder / "scenes").mkdir(parents=True)
    for name, scene in scenes.items():
        Image.fromarray(np.ascontiguousarray(scene)).save(folder / "scenes" / f"{name}.png")
    path = folder / "scenes.ceret"
    build_index([folder / "scenes"], path, IndexSettings(features="thumbnail:16", size=64, workers=1, kind="none"))
    return PhotoIndex.open(path)


def hole_of(*boxes: tuple[slice, slice], shape: tuple[int, int] = SHAPE) -> np.ndarray:
    hole = np.zeros(shape, bool)
    for box in boxes:
        hole[box] = True
    return hole


def hidden(photo: np.ndarray, hole: np.ndarray) -> np.ndarray:
    return np.where(hole[..., None], np.uint8(HIDDEN), photo)


def stems(done: Completion) -> list[str]:
    """Names of the candidates' files, best first."""
    return [Path(candidate.photo).stem for candidate in done.candidates]
