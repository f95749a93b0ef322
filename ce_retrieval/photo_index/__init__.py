"""The index on disk, immutable segments and one manifest: building, bringing up to date, opening, verifying."""

from ce_retrieval.installation import check_installation
from ce_retrieval.photo_index.alike import build_alike
from ce_retrieval.photo_index.builder import add_photos, build_index
from ce_retrieval.photo_index.compaction import Compaction, compact_index
from ce_retrieval.photo_index.export import Export, export_index
from ce_retrieval.photo_index.filters import Origin, Origins, SameSource, allowed_photos, findable, restricted
from ce_retrieval.photo_index.kinds import StoredKind
from ce_retrieval.photo_index.manifest import Manifest, read_manifest
from ce_retrieval.photo_index.merging import Merge, merge_indexes
from ce_retrieval.photo_index.reader import PhotoIndex
from ce_retrieval.photo_index.relocate import Relocation, relocate_index
from ce_retrieval.photo_index.removal import Removal, remove_photos, restore_photos
from ce_retrieval.photo_index.segments import PhotoRecord
from ce_retrieval.photo_index.settings import IndexSettings
from ce_retrieval.photo_index.stores import Published, publish_index
from ce_retrieval.photo_index.update import BuildReport
from ce_retrieval.photo_index.verify import Verification, verify_index

check_installation("indexes")  # whoever searches imports this room first

__all__ = [
    "BuildReport",
    "Compaction",
    "Export",
    "IndexSettings",
    "Manifest",
    "Merge",
    "Origin",
    "Origins",
    "PhotoIndex",
    "PhotoRecord",
    "Published",
    "Relocation",
    "Removal",
    "SameSource",
    "StoredKind",
    "Verification",
    "add_photos",
    "allowed_photos",
    "build_alike",
    "build_index",
    "compact_index",
    "export_index",
    "findable",
    "merge_indexes",
    "publish_index",
    "read_manifest",
    "relocate_index",
    "remove_photos",
    "restore_photos",
    "restricted",
    "verify_index",
]
