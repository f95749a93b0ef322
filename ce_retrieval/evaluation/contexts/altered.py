"""Altered copies of photos of a collection: cropped, brighter or darker, and recompressed. A search should find the originals."""

from __future__ import annotations

import io
import os
from typing import NamedTuple

import numpy as np

from ce_retrieval.evaluation.queries import Queries
from ce_retrieval.evaluation.settings import Progress
from ce_retrieval.holes.strategies import uniforms_for
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.pixels import Floats, Photo, resize, to_bytes, to_unit
from ce_retrieval.pool import worker_pool

CROP = 0.04  # most that is cut off a side, as a share of it
BRIGHTNESS = (0.85, 1.15)
QUALITY = (30, 70)  # of JPEG
DRAWS = 6  # four sides, brightness, quality


class Altered(NamedTuple):
    """Copies of photos of a collection.

    Attributes
    ----------
    queries : named as their originals; their holes are empty.
    ids : int64 (A,)
        The originals.
    """

    queries: Queries
    ids: np.ndarray


def altered_copies(index: PhotoIndex, count: int, seed: int, report: Progress) -> Altered:
    """Return copies of photos that the seed draws from a collection, at the index's size; PhotoError where one cannot be read.

    What is done to a photo depends on the seed and its name alone.
    """
    drawn = np.sort(np.random.default_rng(seed).permutation(len(index))[:count])
    records = index.records(drawn)
    uniforms = uniforms_for(seed, [record.key for record in records], DRAWS)

    size = index.manifest.size
    photos = np.empty((len(records), size, size, 3), np.uint8)

    def copied(number: int) -> Photo:
        return resize(alter(index.read_photo(records[number]).pixels, uniforms[number]), (size, size))

    with worker_pool(os.cpu_count() or 1) as pool:
        for number, photo in enumerate(pool.map(copied, range(len(records)))):
            photos[number] = photo
            report("altering copies", number + 1, len(records))
    names, labels = tuple(one.key for one in records), tuple(one.label for one in records)
    return Altered(Queries(names, labels, photos, np.zeros(photos.shape[:3], bool)), drawn)


def alter(photo: Photo, uniforms: Floats) -> Photo:
    """Return a photo uint8 (H, W, 3) cropped, brighter or darker, and recompressed, as DRAWS numbers in [0, 1) say."""
    height, width = photo.shape[:2]
    top, bottom = (round(float(share) * CROP * height) for share in uniforms[:2])
    left, right = (round(float(share) * CROP * width) for share in uniforms[2:4])
    low, high = BRIGHTNESS
    cropped = to_unit(photo[top : height - bottom, left : width - right])
    lit = to_bytes(cropped * np.float32(low + (high - low) * uniforms[4]))
    least, most = QUALITY
    return _recompressed(lit, int(least + (most - least) * uniforms[5]))


def _recompressed(photo: Photo, quality: int) -> Photo:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "JPEG", quality=quality)
    buffer.seek(0)
    return np.asarray(Image.open(buffer).convert("RGB"))
