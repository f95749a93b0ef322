"""Photos with holes all over them, and sizes at which too little is left: named, with what helps, before scenes are opened."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.completion.patches.completer import PatchCompleter
from ce_retrieval.completion.scenes.completer import SceneCompleter
from ce_retrieval.completion.settings import PatchSettings, SceneSettings
from ce_retrieval.errors import MaskError, PhotoError
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
    completer = SceneCompleter(PhotoIndex.open(index.path), SETTINGS)
    monkeypatch.setattr(completer.index, "read_photo", lambda *_: pytest.fail("a scene was opened"))
    with pytest.raises(
        MaskError, match=r"seam of 16 px, at the 100x80 px .*; set seam to 0, or mark a smaller"
    ) as caught:
        completer.complete(photo, grid((80, 100), 3, 1))
    assert "\n" not in str(caught.value)
    kept = SceneCompleter(index, replace(SETTINGS, seam=0.0)).complete(photo, grid((80, 100), 3, 1))
    np.testing.assert_array_equal(kept.best[~kept.hole], photo[~kept.hole])


def test_a_hole_that_is_full_at_the_working_size_alone_names_that_size(tmp_path, bundled_photos):
    index = index_of(tmp_path, [bundled_photos[n][:48:2, :36:2] for n in (0, 1)])
    photo, hole = bundled_photos[2][:300, :400], grid((300, 400), 12, 16)
    for completer in (
        SceneCompleter(index, SETTINGS),
        PatchCompleter(index, PatchSettings(scenes=SETTINGS)),
        PatchCompleter(None, PatchSettings(side=24)),
    ):
        with pytest.raises(
            MaskError, match=r"visible at 24x18 px, .* of 400x300 .*: raise that size \(by larger scenes"
        ) as caught:
            completer.complete(photo, hole)
        assert "\n" not in str(caught.value)


def test_a_photo_too_narrow_for_patches_at_the_working_size_names_both_sizes(tmp_path, bundled_photos):
    index = index_of(tmp_path, [bundled_photos[n][:80, :250] for n in (0, 1)])
    photo = np.ascontiguousarray(np.tile(bundled_photos[2][:16, :350], (1, 2, 1)))
    hole = np.zeros((16, 700), bool)
    hole[4:10, 100:110] = True
    for completer in (
        PatchCompleter(index, PatchSettings(scenes=SETTINGS)),
        PatchCompleter(None, PatchSettings(side=250)),
    ):
        with pytest.raises(
            PhotoError, match=r"the photo is 700x16 px, and 250x6 .*7x7 px or more; raise that"
        ) as caught:
            completer.complete(photo, hole)
        assert "\n" not in str(caught.value)
    # Scenes need no such room.
    assert SceneCompleter(index, SETTINGS).complete(photo, hole).candidates
