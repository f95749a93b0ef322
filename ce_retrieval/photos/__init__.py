"""Photos: their sources, decoding, and saving."""

from ce_retrieval.photos.base import DEFAULT_MAX_PIXELS, IMAGE_SUFFIXES, PhotoItem, PhotoSource
from ce_retrieval.photos.decode import DecodedPhoto, LargePhotoError, decode_photo
from ce_retrieval.photos.files import load_photo, save_photo
from ce_retrieval.photos.folder_sources import FileSource, FolderSource
from ce_retrieval.photos.opening import Sources, open_sources
from ce_retrieval.photos.sources import SOURCES, open_source

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
    "Sources",
    "decode_photo",
    "load_photo",
    "open_source",
    "open_sources",
    "save_photo",
]
