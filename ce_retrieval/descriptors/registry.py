"""All descriptors by name."""

from __future__ import annotations

from collections.abc import Callable

from ce_retrieval.descriptors.base import Descriptor
from ce_retrieval.descriptors.encoder_spec import make_encoder, protocol_layer
from ce_retrieval.descriptors.gist import make_gist
from ce_retrieval.descriptors.hog import make_hog
from ce_retrieval.descriptors.kind import make_kind
from ce_retrieval.descriptors.onnx import make_onnx
from ce_retrieval.descriptors.thumbnail import make_thumbnail
from ce_retrieval.errors import SettingsError, cut, shown

DESCRIPTORS: dict[str, Callable[[str | None, int], Descriptor]] = {
    "encoder": make_encoder,
    "gist": make_gist,
    "hog": make_hog,
    "kind": make_kind,
    "onnx": make_onnx,
    "thumbnail": make_thumbnail,
}
"""Name -> function of (what follows the first colon of the spec, or None; size in px) that makes the descriptor."""


def make_descriptor(spec: str, size: int) -> Descriptor:
    """Make a descriptor from its spec.

    Parameters
    ----------
    spec : str
        ``name[:argument]``, as in ``hog``, ``hog:cells``, ``gist``, ``kind``, ``thumbnail:16``, ``encoder``,
        ``encoder:context`` or ``onnx:FILE``.
    size : int
        Side in px of the square photos to describe.

    Raises
    ------
    SettingsError
        The name is unknown, the argument is wrong, or the descriptor cannot use this size.
    CheckpointError, DescriptorError
        The weights or the ONNX file are missing or damaged.
    """
    check_name(spec)
    name, colon, argument = spec.partition(":")
    if size < 1:
        raise SettingsError(f"{cut(spec)}: `size` is {size} px: expected 1 or more")
    return DESCRIPTORS[name](argument if colon else None, size)


def check_name(spec: str) -> None:
    """Raise SettingsError unless a spec begins with the name of a descriptor."""
    if spec.partition(":")[0] not in DESCRIPTORS:
        raise SettingsError(f"`features` {shown(spec)} are unknown: choose one of {', '.join(sorted(DESCRIPTORS))}")


def protocol_spec(spec: str, hole: str) -> str:
    """Return the spec with the layer that an encoder uses by default under a hole protocol, "none" or "center".

    All other specs come back as they are. Raises as `make_descriptor`.
    """
    name, colon, argument = spec.partition(":")
    return protocol_layer(argument if colon else None, hole) if name == "encoder" else spec


def weights_hash(descriptor: Descriptor) -> str | None:
    """Return the SHA-256 of a learned descriptor's weights in hexadecimal, None for the others."""
    return descriptor.weights_sha256
