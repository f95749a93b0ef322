"""The kind features of an index, and what they should be."""

import numpy as np
from PIL import Image

from ce_retrieval.descriptors.one_vector import make_one_vector
from ce_retrieval.photo_index import PhotoIndex


def kinds_of(path):
    return np.concatenate(list(PhotoIndex.open(path).kinds()))


def kind_files(path):
    return sorted(str(file.relative_to(path)) for file in path.rglob("kind-*"))


def expected_kinds(path, hole=None):
    """What the index should hold, photo by photo, alone."""
    index = PhotoIndex.open(path)
    kind = make_one_vector("kind", 32)
    found = []
    for record in index.records(range(len(index))):
        pixels = index.read_photo(record, 32).pixels
        square = np.asarray(Image.fromarray(pixels).resize((kind.size, kind.size), Image.Resampling.BICUBIC))
        found.append(kind.describe(square[None], hole)[0])
    return np.stack(found)
