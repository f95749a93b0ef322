"""The stages of a completion, told while it runs.

A completer tells them to the `progress` of `Completer.complete_many`. The steps that tell lie deep within the methods, so each
thread of a photo knows whom to tell.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

SEARCH, PLACES, PLACE, CUT, BLEND, PATCHES, NETWORK = "search", "places", "place", "cut", "blend", "patches", "network"
#: Every stage, and what happens in it. A method goes through some of them, and may go through one twice.
STAGES = {
    SEARCH: "searching the collection",
    PLACES: "looking for photos of the same place",
    PLACE: "placing scenes",
    CUT: "cutting them along their seams",
    BLEND: "blending the best",
    PATCHES: "filling from the photo's own patches",
    NETWORK: "predicting by a network",
}

#: Called with (stage, done, in all); what it raises ends the work, and comes out of the completer.
Progress = Callable[[str, int, int], None]

_told: ContextVar[Progress | None] = ContextVar("_told", default=None)


def listener() -> Progress | None:
    """Return whom this thread tells its stages, None for nobody."""
    return _told.get()


@contextlib.contextmanager
def telling(progress: Progress | None) -> Iterator[None]:
    """Tell the stages of the block, as far as this thread carries them out, to `progress`."""
    token = _told.set(progress)
    try:
        yield
    finally:
        _told.reset(token)


def tell(stage: str, done: int = 0, total: int = 1) -> None:
    """Tell that a stage has come so far."""
    progress = _told.get()
    if progress is not None:
        progress(stage, done, total)
