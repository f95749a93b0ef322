"""Masks that were drawn on a photo as its file stores it, and not as its EXIF orientation turns it."""

import io
from pathlib import Path

from PIL import Image

from ce_retrieval.photos.exif import exif_of, orientation_of
from ce_retrieval.photos.files import read_bytes
from ce_retrieval.photos.formats import format_of, open_image, without_warnings

# EXIF orientation of a photo -> what turns a mask of the unturned photo upright.
_TURNS = {
    5: "mirror the mask along its main diagonal",
    6: "turn the mask by 90 degrees clockwise",
    7: "mirror the mask along its other diagonal",
    8: "turn the mask by 90 degrees counterclockwise",
}


def turn_for(photo: str | Path) -> str:
    """Return what turns a mask as the EXIF data of a photo's file turn the photo, "" where they do not swap its sides."""
    data = read_bytes(photo)
    kind = format_of(data)
    with without_warnings(data, kind):
        image = Image.open(io.BytesIO(data)) if kind is None else open_image(data, kind)
        return _TURNS.get(orientation_of(exif_of(image)), "")
