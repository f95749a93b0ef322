"""How an index is built."""

import os
from dataclasses import dataclass, field

from ce_retrieval.errors import SettingsError
from ce_retrieval.photo_index.manifest import HOLE_PROTOCOLS


@dataclass(frozen=True)
class IndexSettings:
    """How an index is built; these are the command line's defaults.

    Attributes
    ----------
    features : str
        Descriptor spec; `encoder` alone means the layer that suits the hole protocol.
    hole : str
        Hole protocol: "none", whole photos are described; "center", each without its centre.
    size : int
        Side in px to which photos are resized.
    workers : int
        Threads.
    max_memory : int
        Bytes; photos too large to be decoded within it are skipped.

    Raises
    ------
    SettingsError
        An unknown protocol, or fewer than one worker.
    """

    features: str = "encoder"
    hole: str = "none"
    size: int = 128
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    max_memory: int = 4 << 30

    def __post_init__(self) -> None:
        if self.hole not in HOLE_PROTOCOLS:
            raise SettingsError(f"hole protocol {self.hole!r} is unknown: choose one of {', '.join(HOLE_PROTOCOLS)}")
        if self.workers < 1:
            raise SettingsError(f"workers is {self.workers}: expected 1 or more")
