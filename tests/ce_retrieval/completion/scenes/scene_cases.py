"""Small collections of scenes for the tests of scene completion."""

from pathlib import Path

import numpy as np
from PIL import Image

from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index


def of_size(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))


def index_of(folder: Path, scenes: dict[str, np.ndarray]) -> PhotoIndex:
    """Write scenes to `folder`/scenes and index them there."""
    (folder / "scenes").mkdir()
    for name, scene in scenes.items():
        Image.fromarray(np.ascontiguousarray(scene)).save(folder / "scenes" / f"{name}.png")
    path = folder / "scenes.ceret"
    build_index([folder / "scenes"], path, IndexSettings(features="thumbnail:16", size=64, workers=1))
    return PhotoIndex.open(path)


def own_and_others(pictures: list[np.ndarray]) -> dict[str, np.ndarray]:
    """One scene that a photo may be cut from, and three of other things; 100x125 px."""
    face, cat, coffee, rocket = pictures
    return {
        "own": coffee[40:240:2, 80:330:2],
        "cat": cat[20:220:2, 60:310:2],
        "face": face[:200:2, 100:350:2],
        "rocket": rocket[100:300:2, 200:450:2],
    }
