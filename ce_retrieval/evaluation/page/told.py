"""An experiment as the TOML that describes it, with the names of files and folders alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import MISSING, fields
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ce_retrieval.errors import one_line
from ce_retrieval.evaluation.settings import EvaluationSettings

if TYPE_CHECKING:
    from ce_retrieval.evaluation.experiments.experiment import Experiment

_OF_EXPERIMENT = ("methods", "masks", "seed", "holes_seed", "collection")  # written from the experiment itself
_PATHS = ("shapes", "weights")


def as_toml(experiment: Experiment) -> str:
    """Return the file that describes an experiment, without values that are the default."""
    content: dict[str, Any] = {
        "photos": [_name(one) for one in experiment.photos],
        "index": _name(experiment.index),
        "methods": list(experiment.settings.methods),
        "masks": [_name(one) for one in experiment.masks],
        "seeds": list(experiment.seeds),
    }
    if sizes := [size for size in experiment.collection if size is not None]:
        content["collection"] = sizes
    for field in fields(EvaluationSettings):
        value = getattr(experiment.settings, field.name)
        if field.name in _OF_EXPERIMENT or field.default is MISSING or value == field.default:
            continue
        if field.name in _PATHS:
            value = _name(value)
        if field.name == "perceptual":
            kind, colon, rest = value.partition(":")
            value = f"{kind}{colon}{_name(rest)}"
        content[field.name] = value
    return "".join(f"{key} = {_value(value)}\n" for key, value in content.items())


def _value(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(one_line(value), ensure_ascii=False) if isinstance(value, str) else str(value)


def _name(path: str) -> str:
    return PurePath(path).name or path
