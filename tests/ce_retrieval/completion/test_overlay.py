"""Method `retrieval`: known pixels kept, fills as defined, lost scenes replaced, the same for any batch and threads."""

import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from ce_retrieval.completion.overlay import RetrievalCompleter
from ce_retrieval.completion.settings import RetrievalSettings
from ce_retrieval.errors import CeretError, DescriptorError, MaskError, PhotoError, SettingsError
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index
from ce_retrieval.photo_index.photo_cache import PhotoCache
from ce_retrieval.photos import load_photo
from ce_retrieval.settings import ranges

SETTINGS = RetrievalSettings(k=5, candidates=30, rerank="rim")
FILLS = ranges(RetrievalSettings)["fill"].choices


@pytest.fixture(scope="module")
def completer(by_retrieval) -> Callable[..., RetrievalCompleter]:
    """Completers by what differs from SETTINGS."""
    return lambda **changes: by_retrieval(replace(SETTINGS, **changes))


@pytest.fixture(scope="module")
def photo(bundled_photos) -> np.ndarray:
    """A photo (100, 130, 3) that is not in the collection, nor of its size."""
    return np.ascontiguousarray(bundled_photos[1][40:240:2, 100:360:2])


def resized(scene: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(Image.fromarray(scene).resize((shape[1], shape[0]), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("shape", [(100, 130), (64, 64), (41, 33)])
def test_known_pixels_stay_as_they_were(completer, bundled_photos, odd_holes, fill, shape):
    photo = resized(bundled_photos[2], shape)
    before = photo.copy()
    for name, hole in odd_holes(*shape).items():
        done = completer(fill=fill).complete(photo, hole, candidate_fills=True)
        assert len(done.fills) == len(done.candidates) == 5
        for picture in (done.best, *done.fills):
            assert picture.dtype == np.uint8 and picture.shape == photo.shape
            np.testing.assert_array_equal(picture[~hole], before[~hole], name)
        np.testing.assert_array_equal(photo, before)


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("rerank", ["none", "rim"])
def test_hidden_content_has_no_influence(completer, photo, odd_holes, fill, rerank):
    filler = completer(fill=fill, rerank=rerank)
    for name, hole in odd_holes(100, 130).items():
        other = photo.copy()
        other[hole] = np.random.default_rng(1).integers(0, 256, (int(hole.sum()), 3))
        one, two = filler.complete(photo, hole), filler.complete(other, hole)
        np.testing.assert_array_equal(one.best, two.best, name)
        assert one.candidates == two.candidates


def test_paste_is_the_scene_at_the_photos_size(completer, photo, odd_holes):
    for name, hole in odd_holes(100, 130).items():
        done = completer(fill="paste").complete(photo, hole, candidate_fills=True)
        for candidate, fill in zip(done.candidates, done.fills, strict=True):
            scene = load_photo(candidate.photo).pixels
            whole = resized(scene, (100, 130))
            assert candidate.scale == (100 / scene.shape[0], 130 / scene.shape[1])
            np.testing.assert_array_equal(fill[hole], whole[hole], name)
        np.testing.assert_array_equal(done.best, done.fills[0])


def test_blend_has_the_gradients_of_the_scene(completer, photo, odd_holes):
    """At every hole pixel the Laplacian of the fill is the scene's, where neither is clipped: to 8-bit rounding."""
    checked = 0
    for name, hole in odd_holes(100, 130).items():
        done = completer(fill="blend").complete(photo, hole)
        filled = done.best.astype(float)
        scene = resized(load_photo(done.candidates[0].photo).pixels, (100, 130)).astype(float)
        residual = np.zeros(photo.shape)
        for shift, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)):
            inside = np.ones(hole.shape, bool)
            inside[(0 if shift == 1 else -1,) if axis == 0 else (slice(None), 0 if shift == 1 else -1)] = False
            step = [image - np.roll(image, shift, axis) for image in (filled, scene)]
            residual += np.where(inside[..., None], step[0] - step[1], 0)
        clipped = hole & ((filled == 0) | (filled == 255)).any(axis=2)
        free = hole & ~ndimage.binary_dilation(clipped)
        # Each of five rounded pixels is off by half a level at most, the middle one four times: 4 * 0.5 + 4 * 0.5.
        assert np.abs(residual[free]).max(initial=0) <= 4.01, name
        checked += int(free.sum())
    assert checked > 1000


def test_mean_is_the_mean_of_the_blends(completer, photo, odd_holes):
    hole = odd_holes(100, 130)["parts"]
    mean = completer(fill="mean").complete(photo, hole, candidate_fills=True)
    blend = completer(fill="blend").complete(photo, hole, candidate_fills=True)
    np.testing.assert_array_equal(mean.fills, blend.fills)
    average = np.mean(np.stack(blend.fills).astype(float), axis=0)
    assert np.abs(mean.best - average).max() <= 1.0  # half a level of each rounding
    assert [c.share for c in mean.candidates] == [1 / 5] * 5
    assert [c.share for c in blend.candidates] == [1, 0, 0, 0, 0]


def test_the_nearest_rim_comes_first(completer, photo):
    hole = np.zeros((64, 64), bool)
    hole[24:40, 20:44] = True
    query = resized(photo, (64, 64))
    done = completer().complete(query, hole)
    weights = np.zeros((64, 64))
    weights[8:56, 4:60] = np.exp(-(ndimage.distance_transform_edt(~hole)[8:56, 4:60] - 1) / 4)
    weights[hole] = 0
    near = completer(rerank="none", k=30).complete(query, hole)
    assert [c.context_rank for c in near.candidates] == list(range(1, 31))
    assert all(c.scores == {} and c.total is None for c in near.candidates)
    scenes = [load_photo(c.photo, size=64).pixels for c in near.candidates]
    squares = [((scene / 255.0 - query / 255.0) ** 2).mean(axis=2) for scene in scenes]
    by_hand = [np.average(square, weights=weights) for square in squares]
    order = np.argsort(by_hand, kind="stable")[:5]
    assert [c.photo for c in done.candidates] == [near.candidates[i].photo for i in order]
    assert [c.context_rank for c in done.candidates] == [i + 1 for i in order]
    assert all(list(c.scores) == ["rim"] for c in done.candidates)
    np.testing.assert_allclose([c.scores["rim"] for c in done.candidates], np.array(by_hand)[order], rtol=1e-5)
    assert [c.rank for c in done.candidates] == [1, 2, 3, 4, 5]


def test_results_depend_on_neither_the_batch_nor_the_threads_nor_what_was_done_before(index, bundled_photos, odd_holes):
    shapes = ((100, 130), (64, 64), (90, 90), (41, 33))
    photos = [resized(bundled_photos[i % 4], shapes[i % 4]) for i in range(12)]  # every hole with every second shape
    holes = [list(odd_holes(*photo.shape[:2]).values())[i % 6] for i, photo in enumerate(photos)]
    together = RetrievalCompleter(index, SETTINGS, workers=4).complete_many(photos, holes)
    small = RetrievalCompleter(index, SETTINGS, workers=1, scenes=PhotoCache(index, 1, 1))
    for photo, hole, one in zip(photos, holes, together, strict=True):
        assert not isinstance(one, CeretError)
        alone = small.complete(photo, hole)
        np.testing.assert_array_equal(one.best, alone.best)
        assert one.provenance() == alone.provenance()


def test_one_bad_query_spares_the_others(completer, photo, odd_holes):
    good = odd_holes(100, 130)["centre"]
    blind = np.ones((100, 130), bool)
    blind[3:5, 3:5] = False
    holes = [good, ~np.zeros_like(good), good[:, 1:], blind, np.zeros_like(good), good]
    results = completer().complete_many([photo] * 6, holes)
    kinds = [type(r) for r in results]
    assert kinds[1:5] == [MaskError, MaskError, DescriptorError, MaskError]
    assert not isinstance(results[0], CeretError) and not isinstance(results[5], CeretError)
    np.testing.assert_array_equal(results[0].best, results[5].best)
    with pytest.raises(DescriptorError, match="invert"):
        completer().complete(photo, blind)
    assert completer().complete_many([], []) == []


@pytest.fixture(scope="module")
def fragile(crop_folder, tmp_path_factory) -> tuple[Path, PhotoIndex]:
    """A collection of 15 photos, and its index."""
    folder = tmp_path_factory.mktemp("fragile")
    shutil.copytree(crop_folder / "photo1", folder / "photos")
    build_index(
        [folder / "photos"], folder / "a.ceret", IndexSettings(features="thumbnail:16", size=64, workers=1, kind="none")
    )
    return folder / "photos", PhotoIndex.open(folder / "a.ceret")


@pytest.fixture
def lossy(fragile, crop_folder) -> Iterator[tuple[Path, PhotoIndex]]:
    """The same for a test that may damage it: its photos are restored afterwards."""
    yield fragile
    shutil.copytree(crop_folder / "photo1", fragile[0], dirs_exist_ok=True)


@pytest.mark.parametrize("rerank", ["none", "rim"])
@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("shape", [(100, 130), (64, 64)])
def test_a_lost_or_changed_scene_gives_way_to_the_next(lossy, photo, odd_holes, rerank, fill, shape):
    _, index = lossy
    settings = replace(SETTINGS, rerank=rerank, fill=fill)
    query, hole = resized(photo, shape), odd_holes(*shape)["centre"]
    before = RetrievalCompleter(index, settings).complete(query, hole)
    lost, changed = (Path(before.candidates[i].photo) for i in (0, 2))
    lost.unlink()
    data = bytearray(changed.read_bytes())
    data[-20] ^= 1
    changed.write_bytes(data)
    after = RetrievalCompleter(index, settings).complete(query, hole, candidate_fills=True)
    assert after.candidates[0].photo == before.candidates[1].photo
    assert [c.rank for c in after.candidates] == [1, 2, 3, 4, 5]
    assert not {str(lost), str(changed)} & {c.photo for c in after.candidates}
    assert len(after.dropped) == 2
    assert any(str(lost) in line and "cannot be read" in line for line in after.dropped)
    assert any(str(changed) in line and "changed" in line for line in after.dropped)
    assert sum(c.share for c in after.candidates) == pytest.approx(1)
    alone = RetrievalCompleter(index, replace(settings, k=1)).complete(query, hole)
    assert alone.candidates[0].photo == before.candidates[1].photo


@pytest.mark.parametrize("rerank", ["none", "rim"])
def test_a_collection_that_is_gone_is_one_line(lossy, photo, odd_holes, rerank):
    photos, index = lossy
    shutil.rmtree(photos)
    with pytest.raises(PhotoError, match=r"none of the 15 nearest scenes can be read.*put it back") as caught:
        RetrievalCompleter(index, replace(SETTINGS, rerank=rerank)).complete(photo, odd_holes(100, 130)["centre"])
    assert "\n" not in str(caught.value)


def test_settings_are_checked_at_once(index):
    for change, message in (
        ({"k": 61}, r"`k` is 61, but .* holds 60 photos: choose 1 to 60"),
        ({"k": 0}, "`k` is 0"),
        ({"candidates": 0}, "`candidates` is 0"),
        ({"fill": "magic"}, "`fill` is 'magic': expected one of paste, blend, mean"),
        ({"rerank": "luck"}, "`rerank` is 'luck': expected one of none, rim, guided"),
        ({"focus": 0.0}, "`focus` is 0.0: expected a number from 0.1 to 1000000000 px"),
    ):
        with pytest.raises(SettingsError, match=message):
            RetrievalCompleter(index, replace(SETTINGS, **change))


def test_k_may_be_the_whole_collection_and_more_than_the_candidates(completer, photo, odd_holes):
    for rerank in ("none", "rim"):
        done = completer(k=60, candidates=10, rerank=rerank).complete(photo, odd_holes(100, 130)["centre"])
        assert len({c.photo for c in done.candidates}) == 60


def test_auto_focus_is_that_of_the_features_and_is_recorded(completer, photo, odd_holes):
    hole = odd_holes(100, 130)["centre"]
    auto = completer().complete(photo, hole)
    assert auto.settings.focus == 8.0
    given = completer(focus=8.0).complete(photo, hole)
    none = completer(focus=None).complete(photo, hole)
    assert [c.context_distance for c in auto.candidates] == [c.context_distance for c in given.candidates]
    assert [c.context_distance for c in none.candidates] != [c.context_distance for c in auto.candidates]


def test_a_collection_in_a_tar_serves_as_one_in_a_folder(crop_folder, photo, odd_holes, tmp_path):
    with tarfile.open(tmp_path / "crops.tar", "w") as tar:
        for path in sorted((crop_folder / "photo1").iterdir()):
            tar.add(path, path.name)
    results = []
    for source in (crop_folder / "photo1", tmp_path / "crops.tar"):
        path = tmp_path / f"{source.name}.ceret"
        build_index([source], path, IndexSettings(features="thumbnail:16", size=64, workers=1, kind="none"))
        results.append(
            RetrievalCompleter(PhotoIndex.open(path), SETTINGS, workers=4).complete(photo, odd_holes(100, 130)["parts"])
        )
    np.testing.assert_array_equal(results[0].best, results[1].best)
    names = [candidate.photo for candidate in results[1].candidates]
    keys = [Path(candidate.photo).name for candidate in results[0].candidates]
    assert names == [f"{tmp_path / 'crops.tar'}::{key}" for key in keys]
