"""Retrieval of photos by context, and completion of photos from what is retrieved.

The names below are imported when they are used, so that `import ce_retrieval` is instant.
"""

import importlib
from typing import Any

_HOMES = {
    "AutoCompleter": "completion.auto.completer",
    "AutoSettings": "completion.settings",
    "CeretError": "errors",
    "Completer": "completion.completer",
    "Completion": "completion.result",
    "IndexSettings": "photo_index",
    "Neighbor": "retrieval.search",
    "NetworkCompleter": "completion.network",
    "NetworkSettings": "completion.settings",
    "OtherPhotos": "completion.places.others",
    "PatchCompleter": "completion.patches.completer",
    "PatchSettings": "completion.settings",
    "PhotoIndex": "photo_index",
    "PlaceCompleter": "completion.places.completer",
    "PlaceSettings": "completion.settings",
    "RetrievalCompleter": "completion.overlay",
    "RetrievalSettings": "completion.settings",
    "SceneCompleter": "completion.scenes.completer",
    "SceneSettings": "completion.settings",
    "SettingsError": "errors",
    "add_photos": "photo_index",
    "build_index": "photo_index",
    "compact_index": "photo_index",
    "complete": "completion.methods",
    "export_index": "photo_index",
    "find_duplicates": "retrieval.duplicates",
    "find_neighbors": "retrieval.search",
    "kind_similarity": "retrieval.kind_search",
    "load_photo": "photos",
    "make_completer": "completion.methods",
    "merge_indexes": "photo_index",
    "publish_index": "photo_index",
    "read_mask": "holes.files",
    "relocate_index": "photo_index",
    "remove_photos": "photo_index",
    "restore_photos": "photo_index",
    "save_photo": "photos",
    "tune_index": "retrieval.tuning",
    "verify_index": "photo_index",
}

__all__ = [  # noqa: PLE0604
    *_HOMES,
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module at first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
