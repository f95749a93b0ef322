"""Photos that an index leaves out because another photo of it has the same bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Repeat:
    """A photo of the sources whose bytes the index has already.

    It is noted with its file's state, so that the next addition need not read it; it is taken when no photo of the index has
    its bytes any more.

    Attributes
    ----------
    source : int
        Number of its source in the manifest.
    key : str
        Its name in the source.
    offset : int
        Place in a tar shard in bytes; the row of a parquet file; else -1.
    sha256 : str
        Of its bytes.
    bytes, changed : int
        Size in bytes and time of change in ns of the file that held it when it was read.
    """

    source: int
    key: str
    offset: int
    sha256: str
    bytes: int
    changed: int

    @property
    def name(self) -> tuple[int, str]:
        """Number of its source, and key."""
        return self.source, self.key

    @property
    def stamp(self) -> tuple[int, int]:
        """Size and time of change of its file."""
        return self.bytes, self.changed


def content_of(sha256: str) -> bytes:
    """Return a hash in a third of the memory of its text: a build keeps the hash of every photo."""
    return bytes.fromhex(sha256)
