"""Photos of a collection: which are too small to be used, and why one is skipped."""

from __future__ import annotations

from ce_retrieval.errors import PhotoError
from ce_retrieval.photos.base import PhotoItem, PhotoSource

MIN_SIDE = 16  # px; a smaller photo has hardly any context


def check_side(width: int, height: int) -> None:
    """Raise PhotoError for a photo too small to have a context."""
    if min(width, height) < MIN_SIDE:
        raise PhotoError(
            f"the photo is {width}x{height}: at least {MIN_SIDE} px a side are needed to see a context; "
            "enlarge it, or leave it out"
        )


def reason_of(error: PhotoError, source: PhotoSource, item: PhotoItem) -> str:
    """Return why a photo is skipped, without its name, which stands beside the reason."""
    reason = str(error)
    for name in (f"{source.root}/{item.key}", source.root, item.key):
        reason = reason.removeprefix(f"{name}: ")
    return reason
