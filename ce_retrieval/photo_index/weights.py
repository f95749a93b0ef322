"""An index of learned features and the weights that it was built with."""

from pathlib import Path

from ce_retrieval.descriptors import Descriptor, weights_hash
from ce_retrieval.errors import PhotoIndexError
from ce_retrieval.photo_index.manifest import Manifest


def check_weights(path: Path, manifest: Manifest, descriptor: Descriptor) -> None:
    """Raise PhotoIndexError where a descriptor's weights are not those that the index at `path` was built with."""
    built, found = manifest.weights_sha256, weights_hash(descriptor)
    if built != found:
        raise PhotoIndexError(
            f"{path} was built with weights {_short(built)}, but {descriptor.spec} has weights {_short(found)} now: put the "
            "old weights back, or build the index anew with `ceret index`"
        )


def _short(sha256: str | None) -> str:
    return sha256[:12] if sha256 else "none"
