"""How much memory photos may take while they are decoded, however many threads decode them."""

import threading

from ce_retrieval.errors import PhotoError
from ce_retrieval.photos import DEFAULT_MAX_PIXELS, DecodedPhoto, decode_photo

# Bytes a pixel that decoding and resizing took at the most, measured over all formats and pixel layouts: a JPEG that is
# progressive, CMYK and not reduced; a WebP with transparency (16-bit and float TIFFs come close).
JPEG_BYTES, OTHER_BYTES = 12, 26
STEPS = (1 << 20, 4 << 20, 16 << 20, 48 << 20, DEFAULT_MAX_PIXELS)  # pixels


class DecodeBudget:
    """Bytes that all threads together may have in photos under decoding."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._changed = threading.Condition()

    def decode(self, data: bytes, name: str, size: int) -> DecodedPhoto:
        """Decode as `decode_photo` does, waiting until the photo has room; PhotoError where it never will.

        A photo's size is not known before it is opened, and small ones are the rule: room for a small one is taken first,
        then for larger ones, as long as the header is refused. What can be read hangs on the total alone, not on what other
        threads do meanwhile.
        """
        cost = JPEG_BYTES if data.startswith(b"\xff\xd8\xff") else OTHER_BYTES
        most = min(self.total // cost, DEFAULT_MAX_PIXELS)
        for step in STEPS:
            limit = min(step, most)
            self._take(limit * cost)
            try:
                return decode_photo(data, name=name, size=size, max_pixels=limit)
            except PhotoError:
                if limit == most:
                    raise
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
