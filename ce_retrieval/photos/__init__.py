"""Photos: their sources, decoding, and saving."""

from ce_retrieval.photos.base import DEFAULT_MAX_PIXELS, IMAGE_SUFFIXES, PhotoItem, PhotoSource
from ce_retrieval.photos.decode import DecodedPhoto, LargePhotoError, decode_photo
from ce_retrieval.photos.files import load_photo, save_photo
from ce_retrieval.photos.sources import SOURCES, FileSource, FolderSource, open_source, open_sources

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "IMAGE_SUFFIXES",
    "SOURCES",
    "DecodedPhoto",
    "FileSource",
    "FolderSource",
    "LargePhotoError",
    "PhotoItem",
    "PhotoSource",
    "decode_photo",
    "load_photo",
    "open_source",
    "open_sources",
    "save_photo",
]
