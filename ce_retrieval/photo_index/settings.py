"""How an index is built."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from ce_retrieval.descriptors.one_vector import check_kind
from ce_retrieval.descriptors.registry import check_name
from ce_retrieval.errors import SettingsError, shown
from ce_retrieval.photo_index.manifest import AUTO, HOLE_PROTOCOLS, RECIPES
from ce_retrieval.settings import WORKERS, Checked, setting

LOCAL, RAY = "local", "ray"  # engines; a cluster's is ray://HOST:PORT


@dataclass(frozen=True)
class IndexSettings(Checked):
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
        Threads; with Ray, workers on each machine.
    max_memory : int
        Bytes; photos too large to be decoded within it are skipped, and a search of the index is to take no more. With Ray, of
        each worker.
    kind : str
        What describes the kind of each photo, beside `features`: "kind", "onnx:FILE" or "none".
    places : bool
        Whether the index gets local features, by which photos of the same place are found.
    recipe : str
        How the index is searched: "exact", all vectors in memory; "pooled", by codes; "lists", by codes in lists; "auto" leaves
        it to the number of photos.
    recall : float
        Least share of the ten nearest photos that a search by codes is to find.
    skip_duplicates : bool
        Whether photos whose bytes the index has already are left out, now and by later additions.
    engine : str
        What describes the photos: "local", the threads of this process; "ray", a Ray on this machine; "ray://HOST:PORT", a
        cluster of which this machine is a part. The index is the same.

    Raises
    ------
    SettingsError
        A value is out of its range, or `features`, `kind` or `engine` begins with an unknown name.
    """

    features: str = setting("encoder")
    hole: str = setting("none", choices=HOLE_PROTOCOLS)
    size: int = setting(128, low=1, high=4096)
    workers: int = field(default_factory=lambda: os.cpu_count() or 1, metadata={"range": WORKERS})
    max_memory: int = setting(4 << 30, low=1 << 20, high=16 << 40)
    kind: str = setting("kind")
    places: bool = setting(False)
    recipe: str = setting(AUTO, choices=RECIPES)
    recall: float = setting(0.95, low=0.5, high=1)
    skip_duplicates: bool = setting(False)
    engine: str = setting(LOCAL)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name(self.features)
        check_kind(self.kind)
        if self.engine not in (LOCAL, RAY) and not _is_cluster(self.engine):
            raise SettingsError(f"`engine` is {shown(self.engine)}: expected local, ray or ray://HOST:PORT")


def _is_cluster(engine: str) -> bool:
    """Return whether an engine is ray://HOST:PORT."""
    scheme, _, address = engine.partition("://")
    host, _, port = address.rpartition(":")
    return scheme == RAY and bool(host) and re.fullmatch("[0-9]{1,5}", port) is not None and 0 < int(port) < 1 << 16
