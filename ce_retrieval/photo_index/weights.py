"""Whether learned features are made with the weights that an index was built with."""

from __future__ import annotations

from pathlib import Path

from ce_retrieval.descriptors import Descriptor, weights_hash
from ce_retrieval.descriptors.one_vector import OneVector, make_one_vector
from ce_retrieval.errors import CeretError, NoKindError, PhotoIndexError
from ce_retrieval.photo_index.kinds import StoredKind
from ce_retrieval.photo_index.manifest import Manifest


def check_weights(path: Path, manifest: Manifest, descriptor: Descriptor) -> None:
    """Raise PhotoIndexError unless a descriptor has the weights that the index at `path` was built with."""
    hashes = manifest.weights_sha256, weights_hash(descriptor)
    if hashes[0] != hashes[1]:
        built, found = map(_shown, hashes)
        raise PhotoIndexError(
            f"{path} was built with weights {built}, but {descriptor.spec} has weights {found} now: put the old weights "
            "back, or delete the index and build it again with `ceret index`"
        )


def kind_of_index(path: Path, stored: StoredKind | None, size: int) -> OneVector:
    """Make what described the kind of the photos of the index at `path`, whose photos have this size in px.

    Raises
    ------
    NoKindError
        The index has no kind features (`stored` is None), or what made them is missing or has other weights now.
    """
    if stored is None:
        raise without_kind(path)
    try:
        kind = make_one_vector(stored.descriptor, size)
    except CeretError as error:
        raise NoKindError(
            f"the kind features of {path} cannot be compared or added to: {error}; or make others with "
            f"`ceret add {path} --kind KIND` (kind, onnx:FILE or none)"
        ) from error
    if stored.weights_sha256 != kind.weights_sha256 or stored.channels != kind.channels:
        made, found = _shown(stored.weights_sha256), _shown(kind.weights_sha256)
        raise NoKindError(
            f"the kind features of {path} were made with weights {made}, but {kind.spec} has weights {found} now: put the "
            f"old weights back, or make them anew with `ceret add {path} --kind {kind.spec}`"
        )
    return kind


def without_kind(path: Path) -> NoKindError:
    """Return the error for an index at `path` that has no kind features."""
    return NoKindError(f"{path} has no kind features: add them with `ceret add {path} --kind kind`")


def _shown(sha256: str | None) -> str:
    return sha256[:12] if sha256 else "none"
