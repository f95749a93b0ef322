"""Which photos of an evaluation the networks of its methods have seen in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ce_retrieval.evaluation.fills import Material
from ce_retrieval.evaluation.methods import Method, completion_settings, network_of
from ce_retrieval.models.seen_photos import read_seen, signatures, were_seen
from ce_retrieval.models.shipped import weights_path

MARK = "‡"  # behind the name of a method whose network has seen photos


def seen_by(material: Material, methods: Sequence[Method]) -> dict[str, Any]:
    """Return what is known of the photos that the methods' networks have seen, as JSON types.

    Returns
    -------
    `methods`: by name, how many of the photos its networks were trained on, where these are any. `unknown`: the weights of
    which no file tells what they were trained on (`models.seen_photos`).

    Raises
    ------
    CheckpointError : such a file is damaged.
    """
    asked = signatures(material.queries.photos)
    used = {method.name: _weights_of(material, method) for method in methods}
    files = sorted({path for paths in used.values() for path in paths})
    lists = {path: read_seen(path) for path in files}
    seen = {path: were_seen(asked, told) for path, told in lists.items() if told is not None}
    nothing = np.zeros(len(asked), bool)
    counts = {
        name: int(np.logical_or.reduce([nothing, *(seen[path] for path in paths if path in seen)]).sum())
        for name, paths in used.items()
    }
    return {
        "methods": {name: count for name, count in counts.items() if count},
        "unknown": [str(path) for path, told in lists.items() if told is None],
    }


def seen_notes(about: Mapping[str, Any], photos: int) -> list[str]:
    """Return the lines under a table of what `seen_by` told of so many photos."""
    lines = []
    if counts := about["methods"]:
        each = ", ".join(f"{name} {count}" for name, count in counts.items())
        lines.append(
            f"{MARK}: its network was trained on some of the {photos} photos, so its figures are too good: {each}."
        )
    if unknown := about["unknown"]:
        lines.append(
            f"Whether the photos were among those that it was trained on is not known of: {', '.join(unknown)}."
        )
    return lines


def _weights_of(material: Material, method: Method) -> set[Path]:
    """Return the files of the networks that have part in a method; those of other programs (ONNX) are not looked at."""
    if method.kind != "completion":
        return set()
    found = [method.descriptor.trained if method.descriptor else None]
    network = network_of(method, completion_settings(method, material.settings, len(material.labels)))
    if network is not None:
        found.append(weights_path(network or None))
    if method.features and (index := material.indexes[method.features]).manifest.kind is not None:
        found.append(index.kind.trained)
    return {path for path in found if path is not None}
