"""The protocol of a descriptor."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Descriptor(Protocol):
    """A photo, with or without a hole, as a grid of G cells of C channels that are compared cell by cell.

    The descriptors here subclass it, and so inherit the defaults of what only learned descriptors set.

    Attributes
    ----------
    spec : str
        Canonical name, ``name`` or ``name:argument``: ``make_descriptor(spec, size).spec == spec``.
    size : int
        Side S in px of the square photos that it takes.
    cells, channels : int
        G and C.
    boxes : int32 (G, 4)
        Footprint of each cell: y0, x0, y1, x1 in px at `size`, half-open.
    min_share : float
        A cell has weight 0 where less than this share of its footprint is visible.
    hidden : float
        Weight of the hidden share of a cell; above 0 only where the descriptor predicts what lies under a hole.
    weights_sha256 : str or None
        SHA-256 of the weights in hexadecimal; None for a descriptor that is not learned.
    trained : Path or None
        File of the weights that were trained with ceret; None for others.
    memory, photo_memory : int
        Bytes that the network takes once, and for each photo that is being described.
    libraries : tuple of str
        Installed packages, besides those that every index needs, whose versions change the numbers.

    Notes
    -----
    No attribute changes after construction.
    """

    spec: str
    size: int
    cells: int
    channels: int
    boxes: NDArray[np.int32]
    min_share: float

    hidden: float = 0.0
    weights_sha256: str | None = None
    trained: Path | None = None
    memory: int = 0
    photo_memory: int = 0

    @property
    def libraries(self) -> tuple[str, ...]:  # noqa: D102 - described with the attributes
        return ()

    def describe(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Describe a batch. Any number of threads may call it at once.

        Parameters
        ----------
        photos : uint8 (B, S, S, 3)
            RGB.
        holes : bool (B, S, S) or None
            True = missing; None where nothing is.

        Returns
        -------
        float32 (B, G, C)
            Nothing in it depends on the pixels under the holes.

        Raises
        ------
        DescriptorError
            Arrays of other shapes or types; a hole that leaves the descriptor nothing to see.
        """
        ...
