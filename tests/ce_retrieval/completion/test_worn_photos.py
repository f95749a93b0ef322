"""Photos with holes all over them, and sizes at which too little is left: named, with what helps, before scenes are opened."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.completion.scene_completion import SceneCompleter
from ce_retrieval.completion.settings import SceneSettings
from ce_retrieval.errors import MaskError
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index

SETTINGS = SceneSettings(rerank="rim", top=3)


def index_of(folder: Path, scenes: list[np.ndarray]) -> PhotoIndex:
    (folder / "scenes").mkdir(parents=True)
    for number, scene in enumerate(scenes):
        Image.fromarray(np.ascontiguousarray(scene)).save(folder / "scenes" / f"{number}.png")
    path = folder / "scenes.ceret"
    build_index([folder / "scenes"], path, IndexSettings(features="thumbnail:16", size=64, workers=1))
    return PhotoIndex.open(path)


@pytest.fixture(scope="module")
def index(tmp_path_factory, bundled_photos) -> PhotoIndex:
    return index_of(tmp_path_factory.mktemp("worn"), [bundled_photos[n][:100, :125] for n in (0, 1)])


@pytest.fixture(scope="module")
def photo(bundled_photos) -> np.ndarray:
    return np.ascontiguousarray(bundled_photos[2][60:140, 100:200])


def grid(shape: tuple[int, int], rows: int, cols: int) -> np.ndarray:
    hole = np.zeros(shape, bool)
    hole[::rows, ::cols] = True
    return hole


def test_a_grid_of_pixels_is_filled_and_keeps_the_photo(index, photo):
    done = SceneCompleter(index, SETTINGS).complete(photo, grid((80, 100), 8, 8))
    assert (done.seam > 0).sum() <= 5 * done.hole.sum()


def test_a_seam_that_reaches_all_of_the_photo_is_named_before_scenes_are_opened(index, photo, monkeypatch):
    completer = SceneCompleter(index, SETTINGS)
    monkeypatch.setattr(completer, "opened", lambda *_: pytest.fail("a scene was opened"))
    with pytest.raises(
        MaskError, match=r"seam of 16 px, at the 100x80 px .*; set seam to 0, or mark a smaller"
    ) as caught:
        completer.complete(photo, grid((80, 100), 3, 1))
    assert "\n" not in str(caught.value)
    kept = SceneCompleter(index, replace(SETTINGS, seam=0.0)).complete(photo, grid((80, 100), 3, 1))
    np.testing.assert_array_equal(kept.best[~kept.hole], photo[~kept.hole])
