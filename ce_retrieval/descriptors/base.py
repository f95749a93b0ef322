"""What a descriptor is, and how one is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.descriptors.encoder import make_encoder, protocol_layer
from ce_retrieval.descriptors.gist import make_gist
from ce_retrieval.descriptors.hog import make_hog
from ce_retrieval.descriptors.onnx import make_onnx
from ce_retrieval.descriptors.thumbnail import make_thumbnail
from ce_retrieval.errors import DescriptorError


class Descriptor(Protocol):
    """A photo, with or without a hole, as a grid of G cells of C channels, compared cell by cell.

    Attributes, none of which changes after construction:

    spec: canonical name, ``name`` or ``name:argument``; ``make_descriptor(spec, size).spec == spec``.
    size: side S in pixels of the square photos that it takes.
    cells, channels: G and C.
    boxes: int32 (G, 4), the footprint y0, x0, y1, x1 of each cell in pixels at ``size``, half-open.
    min_share: a cell whose footprint is visible to a lesser share has weight 0.

    A learned descriptor has more of them: weights_sha256 (`weights_hash`); libraries, the names of the packages whose
    versions shape its numbers; memory and photo_memory, bytes that it takes once, and for each photo being described.
    """

    @property
    def spec(self) -> str: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def cells(self) -> int: ...  # noqa: D102
    @property
    def channels(self) -> int: ...  # noqa: D102
    @property
    def boxes(self) -> NDArray[np.int32]: ...  # noqa: D102
    @property
    def min_share(self) -> float: ...  # noqa: D102

    def describe(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Describe a batch; safe to call from many threads at once.

        photos: RGB uint8 (B, S, S, 3); holes: bool (B, S, S), True = missing, or None where nothing is. Returns float32
        (B, G, C), to which the pixels under the holes contribute nothing. `DescriptorError` for other shapes or types.
        """
        ...


DESCRIPTORS: dict[str, Callable[[str | None, int], Descriptor]] = {
    "encoder": make_encoder,
    "gist": make_gist,
    "hog": make_hog,
    "onnx": make_onnx,
    "thumbnail": make_thumbnail,
}
"""By name: (what follows the first colon of the spec or None, size in pixels) -> the descriptor."""


def make_descriptor(spec: str, size: int) -> Descriptor:
    """The descriptor that ``spec``, ``name[:argument]``, names, for photos of ``size`` x ``size`` pixels.

    Examples: ``hog``, ``hog:cells``, ``gist``, ``thumbnail``, ``thumbnail:16``, ``encoder``, ``encoder:context``,
    ``onnx:FILE``. Raises `DescriptorError` for an unknown name, a bad argument, or a size that the descriptor cannot use;
    `CheckpointError` for weights that are missing or damaged.
    """
    name, colon, argument = spec.partition(":")
    if name not in DESCRIPTORS:
        raise DescriptorError(f"no descriptor is named {name!r}: choose one of {', '.join(sorted(DESCRIPTORS))}")
    if size < 1:
        raise DescriptorError(f"{spec}: size {size} px: expected a positive number of pixels")
    return DESCRIPTORS[name](argument if colon else None, size)


def protocol_spec(spec: str, hole: str) -> str:
    """What ``spec`` stands for in an index of the hole protocol ``hole`` ("none" or "center"), as far as that differs.

    Only an encoder whose layer is not named depends on it (`encoder.protocol_layer`): a spec that names one, as every
    canonical spec does, is returned as it is. Raises as `make_descriptor`.
    """
    name, _, argument = spec.partition(":")
    return protocol_layer(argument or None, hole) if name == "encoder" else spec


def weights_hash(descriptor: Descriptor) -> str | None:
    """SHA-256 of the weights of a learned descriptor, in hexadecimal; None for one that is not learned."""
    return getattr(descriptor, "weights_sha256", None)
