"""The weights file of the network of kinds, read without torch."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import CheckpointError
from ce_retrieval.models.checkpoint_file import load_arrays
from ce_retrieval.models.config import KindConfig
from ce_retrieval.models.plain import PlainKind
from ce_retrieval.models.plain_shapes import kind_shapes

if TYPE_CHECKING:
    from ce_retrieval.models.kind_network import KindNetwork

FILE_KIND = "kind"


class KindWeights:
    """A file of `kind_network.save_kind`.

    Attributes
    ----------
    path : Path
    config : KindConfig
    sha256 : of its numbers.
    numbers : how many there are.
    plain : the network in numpy.

    Raises
    ------
    CheckpointError
        The file holds something else, or is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        arrays, header = load_arrays(path)
        if header.get("kind") != FILE_KIND:
            raise CheckpointError(f"{path}: holds no network of kinds: use the one that ships with ceret")
        try:
            values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in header["network"].items()}
            self.config = KindConfig(**values)
            expected = kind_shapes(self.config)
        except (KeyError, TypeError, ValueError, AttributeError):
            expected = {}
        if not expected or {name: value.shape for name, value in arrays.items()} != expected:
            raise CheckpointError(f"{path}: its parts do not fit each other; install ceret again")
        self.path, self.sha256 = Path(path), str(header["sha256"])
        self.numbers = sum(value.size for value in arrays.values())
        self.plain = PlainKind(self.config, arrays)
        self._arrays: dict[str, NDArray[np.generic]] = arrays

    @cached_property
    def network(self) -> KindNetwork:
        """The network in torch, in evaluation mode, on the CPU. It is shared: do not change it."""
        from ce_retrieval.models.kind_network import network_of_kinds

        return network_of_kinds(self.config, self._arrays)
