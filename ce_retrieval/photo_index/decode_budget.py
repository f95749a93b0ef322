"""A bound on the memory of photos under decoding, whatever the number of threads."""

import threading
from collections.abc import Callable
from typing import TypeVar

from ce_retrieval.descriptors import Descriptor
from ce_retrieval.descriptors.networks import LIBRARY_MEMORY
from ce_retrieval.descriptors.one_vector import OneVector
from ce_retrieval.errors import PhotoError, SettingsError
from ce_retrieval.photo_index.batches import AHEAD, BATCH_ITEMS, SEGMENT_ITEMS
from ce_retrieval.photo_index.places import PlaceFeatures
from ce_retrieval.photos import DEFAULT_MAX_PIXELS, DecodedPhoto, LargePhotoError, decode_photo
from ce_retrieval.photos.decode import decode_both
from ce_retrieval.pixels import Photo

# Peak bytes per pixel of decoding and resizing, measured over all formats and pixel layouts. The worst are a progressive
# CMYK JPEG that is not reduced, and a WebP with transparency (16-bit and float TIFFs come close).
JPEG_BYTES, OTHER_BYTES = 12, 26
STEPS = (1 << 20, 4 << 20, 16 << 20, 48 << 20, DEFAULT_MAX_PIXELS)  # pixels
LIBRARY_BYTES = 250 << 20  # of the process before any photo is read

T = TypeVar("T")


class DecodeBudget:
    """Bytes that all threads together may use for photos under decoding.

    Parameters
    ----------
    total : int
        the bytes.
    others : int
        bytes that `max_memory` must hold besides, for messages.
    """

    def __init__(self, total: int, others: int = 0) -> None:
        self.total = total
        self._others = others
        self._free = total
        self._changed = threading.Condition()

    def decode(self, data: bytes, name: str, size: int) -> DecodedPhoto:
        """Decode like `decode_photo`, waiting until the photo fits into the budget; PhotoError if it never will.

        A photo's size is unknown before it is opened, and most are small. So room for a small photo is taken first, and for
        larger ones as long as the header is refused. Which photos can be read depends on the total alone, not on the other
        threads.
        """
        return self._within(data, name, lambda most: decode_photo(data, name=name, size=size, max_pixels=most))

    def decode_both(self, data: bytes, name: str, size: int, side: int | None) -> tuple[DecodedPhoto, Photo | None]:
        """Decode like `decode_both`, within the budget; None in place of the larger photo where `side` is None."""
        if side is None:
            return self.decode(data, name, size), None
        return self._within(
            data, name, lambda most: decode_both(data, name=name, size=size, side=side, max_pixels=most)
        )

    def _within(self, data: bytes, name: str, decode: Callable[[int], T]) -> T:
        """Return what `decode` makes of a photo with at most so many pixels, as soon as there is room for these."""
        cost = JPEG_BYTES if data.startswith(b"\xff\xd8\xff") else OTHER_BYTES
        most = min(self.total // cost, DEFAULT_MAX_PIXELS)
        for step in STEPS:
            limit = min(step, most)
            self._take(limit * cost)
            try:
                return decode(limit)
            except LargePhotoError as error:
                if limit == DEFAULT_MAX_PIXELS:
                    raise
                if limit == most:
                    needed = (self._others + error.pixels * cost >> 20) + 1
                    raise PhotoError(
                        f"{name}: {error.pixels} pixels take too much memory to decode: "
                        f"set `max_memory` to {needed}MB or more, or make it smaller"
                    ) from None
            finally:
                self._give_back(limit * cost)
        raise AssertionError("the last step is the most")

    def _take(self, amount: int) -> None:
        with self._changed:
            while self._free < amount:
                self._changed.wait()
            self._free -= amount

    def _give_back(self, amount: int) -> None:
        with self._changed:
            self._free += amount
            self._changed.notify_all()


def make_decode_budget(
    descriptor: Descriptor,
    workers: int,
    max_memory: int,
    kind: OneVector | None = None,
    places: PlaceFeatures | None = None,
) -> DecodeBudget:
    """Return what `max_memory` bytes leave for decoding photos during a build.

    Subtracted is what does not depend on the photos: libraries, networks, a segment being written, batches in progress.
    kind: describes the kind of each photo too; places: its local features. SettingsError if less is left than a photo of
    four times the descriptor's size needs.
    """
    grid = descriptor.cells * descriptor.channels
    photo = 3 * descriptor.size**2
    networks, each = getattr(descriptor, "memory", 0), getattr(descriptor, "photo_memory", 0)
    if kind:
        both = "torch" in kind.libraries and "torch" in descriptor.libraries
        networks += kind.memory - (LIBRARY_MEMORY if both else 0)  # torch is loaded once
        each = max(each, kind.photo_memory)  # one after the other
        grid += kind.channels
        photo += 3 * kind.size**2 if kind.size != descriptor.size else 0
    described = workers * BATCH_ITEMS * (2 * photo + 12 * grid + each)
    waiting = AHEAD * workers * BATCH_ITEMS * 2 * grid
    segment = 3 * SEGMENT_ITEMS * grid * 2
    fixed = LIBRARY_BYTES + networks + segment + described + waiting
    if places:
        fixed += workers * places.photo_memory + (SEGMENT_ITEMS + AHEAD * workers * BATCH_ITEMS) * places.stored_memory
    needed = fixed + OTHER_BYTES * 16 * descriptor.size**2
    if max_memory < needed:
        kinds, without = (f" and kind features ({kind.spec})", ", or `kind` none") if kind else ("", "")
        kinds += " and local features" if places else ""
        raise SettingsError(
            f"`max_memory` {max_memory >> 20}MB is too little for {descriptor.spec}{kinds} with {workers} workers: "
            f"give at least {(needed >> 20) + 1}MB, or fewer `workers`{without}"
        )
    return DecodeBudget(max_memory - fixed, fixed)
