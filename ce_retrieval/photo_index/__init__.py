"""The index on disk, immutable segments and one manifest: building, adding, opening, verifying."""

from ce_retrieval.installation import check_installation
from ce_retrieval.photo_index.batches import check_side
from ce_retrieval.photo_index.builder import BuildReport, add_photos, build_index
from ce_retrieval.photo_index.filters import Origin, Origins, SameSource, allowed_photos
from ce_retrieval.photo_index.manifest import Manifest, read_manifest
from ce_retrieval.photo_index.reader import PhotoIndex, Verification, verify_index
from ce_retrieval.photo_index.segments import PhotoRecord
from ce_retrieval.photo_index.settings import IndexSettings

check_installation("indexes")  # whoever searches imports this room first

__all__ = [
    "BuildReport",
    "IndexSettings",
    "Manifest",
    "Origin",
    "Origins",
    "PhotoIndex",
    "PhotoRecord",
    "SameSource",
    "Verification",
    "add_photos",
    "allowed_photos",
    "build_index",
    "check_side",
    "read_manifest",
    "verify_index",
]
