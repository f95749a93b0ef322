"""An experiment: methods measured under several kinds of holes and several seeds, described by a TOML file.

    photos = ["held-out"]           # files, folders, archives; paths are relative to the TOML file
    index = "photos.ceret"
    methods = ["scenes", "network", "oracle"]
    masks = ["center", "irregular"] # one or several
    seeds = [0, 1, 2]

Further keys are the fields of `EvaluationSettings`, as in `limit = 200`.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ce_retrieval.errors import EvaluationError, reason_of, shown
from ce_retrieval.evaluation.settings import EvaluationSettings
from ce_retrieval.holes.strategies import STRATEGIES
from ce_retrieval.reading import read_regular

_PATHS = ("photos", "index", "shapes", "weights", "perceptual")
_LISTS = ("photos", "methods", "masks", "seeds", "collection")
_NUMBERS = ("seeds", "collection")


@dataclass(frozen=True)
class Experiment:
    """What is measured.

    Attributes
    ----------
    photos : the query photos: files, folders or archives.
    index : path of the collection's index.
    masks : kinds of holes, each as in `EvaluationSettings`.
    seeds : of which each makes all holes anew.
    collection : numbers of photos of the collection to fill from, increasing; None: all.
    settings : of every evaluation. Its `seed`, the first, decides the photos; its `masks` and `holes_seed` are those of the
        first.
    """

    photos: tuple[str, ...]
    index: str
    masks: tuple[str, ...]
    seeds: tuple[int, ...]
    collection: tuple[int | None, ...]
    settings: EvaluationSettings

    def cells(self) -> list[EvaluationSettings]:
        """Return the settings of each evaluation, by holes, then collection; `shapes` are for regions, if there are any."""
        given = self.settings.shapes
        others = None if "region" in self.masks else given
        return [
            replace(
                self.settings,
                masks=masks,
                collection=collection,
                holes_seed=seed,
                shapes=given if masks == "region" else others,
            )
            for masks in self.masks
            for collection in self.collection
            for seed in self.seeds
        ]


def read_experiment(path: str | Path) -> Experiment:
    """Read an experiment from a TOML file.

    Raises
    ------
    EvaluationError
        The file cannot be read, is not TOML, lacks a key, or has one that is unknown.
    SettingsError
        A value is out of range.
    """
    path = Path(path)
    try:
        content = tomllib.loads(read_regular(path).decode())
    except OSError as error:
        raise EvaluationError(f"{path} cannot be read: {reason_of(error)}; give an experiment's file") from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise EvaluationError(f"{path} is not TOML ({error}): see docs/evaluation.md for an example") from error
    known = [*_LISTS[:1], "index", *(one.name for one in fields(EvaluationSettings) if "seed" not in one.name), "seeds"]
    if unknown := sorted(set(content) - set(known)):
        raise EvaluationError(f"{path} has an unknown key {shown(unknown[0])}: expected some of {', '.join(known)}")
    if missing := [name for name in ("photos", "index", "methods") if name not in content]:
        raise EvaluationError(f"{path} lacks the key {missing[0]}: add it")
    lists = {name: _list(path, name, content.pop(name)) for name in _LISTS if name in content}
    for name in (*_PATHS, "masks"):
        if "" in (content.get(name), *lists.get(name, ())):
            raise EvaluationError(f"{path}: {name} is an empty text: give a path, or leave it out")
        if name in _PATHS and isinstance(content.get(name), str):
            content[name] = _placed(path.parent, name, content[name])
    if not isinstance(index := content.pop("index"), str):
        raise EvaluationError(f"{path}: index is {shown(index)}: expected the path of an index")
    masks = tuple(_placed(path.parent, "masks", one) for one in lists.pop("masks", (EvaluationSettings.masks,)))
    seeds = lists.pop("seeds", (EvaluationSettings.seed,))
    collection = tuple(sorted(lists.pop("collection", ()))) or (None,)
    settings = EvaluationSettings(
        methods=lists.pop("methods"), masks=masks[0], seed=seeds[0], holes_seed=seeds[0], **content
    )
    photos = tuple(_placed(path.parent, "photos", one) for one in lists.pop("photos"))
    made = Experiment(photos, index, masks, seeds, collection, settings)
    made.cells()  # every seed is checked
    return made


def _list(path: Path, name: str, value: Any) -> tuple[Any, ...]:
    """Return the entries of a list, or of one entry; they must be different."""
    kind, expected = (int, "whole numbers") if name in _NUMBERS else (str, "texts")
    values = tuple(value) if isinstance(value, list) else (value,)
    if not values or any(type(one) is not kind for one in values) or len(set(values)) < len(values):
        raise EvaluationError(f"{path}: {name} is {shown(value)}: expected a list of different {expected}")
    return values


def _placed(folder: Path, name: str, value: str) -> str:
    """Return a path of the file as seen from here; what is no path is left alone."""
    if name == "masks" and (value in STRATEGIES or not (folder / value).is_dir()):
        return value
    if name == "perceptual":
        kind, colon, rest = value.partition(":")
        return f"{kind}{colon}{os.path.join(folder, rest)}" if colon else value
    return os.path.join(folder, value)
