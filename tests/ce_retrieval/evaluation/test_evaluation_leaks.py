"""The leak guard finds copies however they were treated, and does not cry over photos that are merely alike."""

import io

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.evaluation.leaks import LeakGuard
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index
from ce_retrieval.photo_index.photo_cache import PhotoCache
from ce_retrieval.photos import load_photo
from ce_retrieval.photos.near_duplicates import fine, similarity
from ce_retrieval.photos.sameness import SAME_VIEW


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return Image.open(data)


def cropped(image: Image.Image, left: int, top: int, right: int, bottom: int) -> Image.Image:
    return image.crop((left, top, image.width - right, image.height - bottom))


def brighter(image: Image.Image, factor: float, plus: int = 0) -> Image.Image:
    return image.point(lambda value: min(255, round(value * factor) + plus))


TREATMENTS = {
    "the same": lambda image: image,
    "jpeg 60": lambda image: jpeg(image, 60),
    "shrunk": lambda image: image.resize((image.width * 2 // 3, image.height * 2 // 3), Image.Resampling.LANCZOS),
    "grown": lambda image: image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC),
    "brighter": lambda image: brighter(image, 1.1),
    "brighter still": lambda image: brighter(image, 1.0, 20),
    "darker": lambda image: brighter(image, 0.8),
    "cropped": lambda image: cropped(image, 3, 3, 3, 3),
    "cropped at a corner": lambda image: cropped(image, 4, 0, 0, 3),
    "all at once": lambda image: jpeg(brighter(cropped(image, 0, 2, 3, 1), 1.1), 60),
}


def guarded(queries: np.ndarray, index: PhotoIndex, scenes: PhotoCache | None = None, block: int = 25) -> dict:
    names = [f"q{number}" for number in range(len(queries))]
    scenes = scenes or PhotoCache(index, 1 << 28, 2)
    guard = LeakGuard(names, queries)
    for start in range(0, len(index), block):
        ids = np.arange(start, min(start + block, len(index)))
        guard.feed(ids, scenes.get(ids).photos)
    return guard.leaks(index, scenes)


def square(image: Image.Image, size: int) -> np.ndarray:
    return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("treatment", TREATMENTS)
def test_copies_are_found(treatment, mirrored, crop_folder, opened, decoded):
    paths = sorted(crop_folder.rglob("*.png"))[::5]
    images = [TREATMENTS[treatment](Image.open(path).convert("RGB")) for path in paths]
    queries = np.stack([square(image, 64) for image in images])
    leaks = guarded(queries[:, :, ::-1] if mirrored else queries, opened, decoded)
    # a few crops of the rocket show nothing but night
    textured = [n for n, path in enumerate(paths) if load_photo(path).pixels.std() > 12]
    assert len(textured) >= 8
    for number in textured:
        assert number in leaks, f"{paths[number]} was not found"
        leak = leaks[number]
        assert (leak.query, leak.photo, leak.mirrored) == (f"q{number}", str(paths[number]), mirrored)
        assert SAME_VIEW <= leak.similarity <= 1 + 1e-6


def test_other_parts_of_the_same_photos_are_no_copies(query_folder, opened, decoded):
    queries = np.stack([load_photo(path, size=64).pixels for path in sorted(query_folder.rglob("*.png"))])
    assert guarded(queries, opened, decoded) == {}


def test_gradients_and_plain_colours_are_no_copies(opened, tmp_path):
    row, col = np.mgrid[0:64, 0:64]
    skies = [np.stack([90 + row, 120 + row // 2 + col // shade, 255 - row], 2) for shade in (2, 5, 9)]
    plain = np.full((64, 64, 3), 77)
    (tmp_path / "skies").mkdir()
    for number, sky in enumerate([*skies, plain]):
        Image.fromarray(sky.astype(np.uint8)).save(tmp_path / f"skies/{number}.png")
    build_index([tmp_path / "skies"], tmp_path / "s.ceret", IndexSettings("thumbnail:16", "none", 64, 1, kind="none"))
    queries = np.stack([skies[0] + 3, plain + 2]).astype(np.uint8)
    assert guarded(queries, PhotoIndex.open(tmp_path / "s.ceret")) == {}


def test_photos_in_the_same_frame_are_no_copies(bundled_photos):
    framed = []
    for photo in (bundled_photos[0], bundled_photos[2]):
        crop = 100 + photo[40:240, 100:300] // 2  # fainter than the edges of the frame
        crop[:30], crop[-30:] = 8, 8
        framed.append(fine(np.asarray(Image.fromarray(crop).resize((128, 128)))))
    assert similarity(*framed, None, 1.0) < SAME_VIEW - 0.05


def test_the_order_and_size_of_blocks_change_nothing(crop_folder, opened, decoded):
    queries = np.stack([load_photo(path, size=64).pixels for path in sorted(crop_folder.rglob("*.jpg"))])
    assert guarded(queries, opened, decoded, 1) == guarded(queries, opened, decoded, 60) != {}


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_on_real_photos(shared_data, tmp_path, step):
    """The held-out photos show three views that the collection shows too; treated copies of its own photos are found."""
    val, train = shared_data / "scenes/val", shared_data / "scenes/train"
    same_view = {
        "glacier/21146.jpg": "glacier/7746.jpg",
        "glacier/24113.jpg": "glacier/14127.jpg",
        "mountain/23117.jpg": "mountain/1019.jpg",
    }
    chosen = sorted({*sorted(train.rglob("*.jpg"))[:: 18 * step], *(train / key for key in same_view.values())})
    for path in chosen:
        link = tmp_path / "collection" / path.relative_to(train)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    build_index(
        [tmp_path / "collection"], tmp_path / "c.ceret", IndexSettings("thumbnail:16", "none", 128, 2, kind="none")
    )
    index = PhotoIndex.open(tmp_path / "c.ceret")
    scenes = PhotoCache(index, 1 << 28, 2)

    paths = sorted({*sorted(val.rglob("*.jpg"))[:: 4 * step], *(val / key for key in same_view)})
    leaks = guarded(np.stack([load_photo(path, size=128).pixels for path in paths]), index, scenes, 512)
    found = {str(paths[row].relative_to(val)): leak.photo for row, leak in leaks.items()}
    assert found == {key: str(tmp_path / "collection" / photo) for key, photo in same_view.items()}

    copied = chosen[::32]
    copies = [treat(Image.open(path).convert("RGB")) for path in copied for treat in TREATMENTS.values()]
    leaks = guarded(np.stack([square(image, 128) for image in copies]), index, scenes, 512)
    missed = [copied[n // len(TREATMENTS)].name for n in range(len(copies)) if n not in leaks]
    assert not missed
