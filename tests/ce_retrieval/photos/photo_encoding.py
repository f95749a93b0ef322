"""Photos to bytes and back, for the tests of decoding."""

import io

import numpy as np
from PIL import Image

from ce_retrieval.photos import decode_photo


def encode(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(data: bytes, **options) -> np.ndarray:
    return decode_photo(data, name="photo", **options).pixels
