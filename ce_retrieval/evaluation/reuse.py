"""Measured methods that are kept in a folder, so that a run which was stopped goes on, and a second one gives the same bytes.

A method is taken up again where nothing differs that its figures depend on: the queries and their holes, the collection, the
settings, the weights, and the source code of ceret.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

import indexes
from ce_retrieval.errors import SettingsError, shown
from ce_retrieval.evaluation.fills import Material
from ce_retrieval.evaluation.measuring import Fills, Measures
from ce_retrieval.evaluation.methods import Method, completion_settings, network_of
from ce_retrieval.evaluation.perceptual import Judged
from ce_retrieval.evaluation.queries import Queries
from ce_retrieval.evaluation.settings import Metric
from ce_retrieval.evaluation.watch import Cost
from ce_retrieval.metrics import Floats
from ce_retrieval.models.network_fill import NetworkFill
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.photo_index.manifest import to_json
from ce_retrieval.reading import read_regular
from ce_retrieval.storage import make_folder, replace_file

_VALUE, _KIND = "value ", "kind "  # before the names of arrays


Parts = Sequence[Any]  # JSON types


class KeptFiles:
    """What was computed before, in files named by the hash of all that it depends on.

    Parameters
    ----------
    folder : Path
        Made when the first file is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, parts: Parts) -> tuple[Any, dict[str, np.ndarray]] | None:
        """Return what was kept, as JSON types and arrays; None for nothing, or for what is damaged."""
        try:
            with np.load(io.BytesIO(read_regular(self._path(parts))), allow_pickle=False) as arrays:
                told = json.loads(str(arrays["told"]))
                return told, {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None

    def put(self, parts: Parts, told: Any, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep JSON types and arrays, none of them named "told"; StorageError where that cannot be written."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, told=np.array(json.dumps(told)), **arrays)
        make_folder(self._folder)
        replace_file(self._path(parts), buffer.getvalue())

    def _path(self, parts: Parts) -> Path:
        text = json.dumps([_source_hash(), *parts], sort_keys=True)
        return self._folder / f"{_hash(text.encode('utf-8', 'backslashreplace'))}.npz"


class KeptMethods:
    """What methods made of the queries of one evaluation, and what was measured of it.

    The two are kept apart: a further measure of the fills, or a network that judges them, does not make them again.

    Parameters
    ----------
    files : KeptFiles
    material : Material
    index : PhotoIndex
        The collection.
    networks : mapping
        By the weights of completion methods, "" for those of the package.
    about : mapping
        What else the figures depend on, as JSON types.
    """

    def __init__(
        self,
        files: KeptFiles,
        material: Material,
        index: PhotoIndex,
        networks: Mapping[str, NetworkFill],
        about: Mapping[str, Any],
    ) -> None:
        self._files, self._material, self._networks = files, material, networks
        left_out = ("methods", "collection", "perceptual")
        settings = {name: value for name, value in asdict(material.settings).items() if name not in left_out}
        stated = {name: about[name] for name in ("size", "collection", "libraries")}
        self._common = [stated, settings, of_index(index), *of_queries(material.queries)]
        metrics = {name: _source_of(name, metric) for name, metric in material.metrics.items()}
        self._measures = [about["perceptual"], metrics]

    def fills(self, method: Method, make: Callable[[], Fills]) -> Fills:
        """Return what was kept of a method, or what `make` makes; StorageError where that cannot be kept."""
        parts = self._parts(method)
        if kept := self._files.get(parts):
            told, arrays = kept
            kind = {name.removeprefix(_KIND): arrays[name] for name in arrays if name.startswith(_KIND)}
            failed = {int(row): reason for row, reason in told["failed"].items()}
            return Fills(method, arrays["filled"], kind, Cost(*told["cost"]), failed)
        fills = make()
        arrays = {"filled": fills.pixels, **{_KIND + name: array for name, array in fills.kind.items()}}
        self._files.put(parts, {"cost": fills.cost, "failed": fills.failed}, arrays)
        return fills

    def measures(self, fills: Fills, make: Callable[[], Measures]) -> Measures:
        """Return what was kept of a method's fills, or what `make` makes; StorageError where that cannot be kept."""
        parts = ["measures", *self._common, *self._measures, _hash(fills.pixels.tobytes())]
        if kept := self._files.get(parts):
            arrays = kept[1]
            values = {name.removeprefix(_VALUE): arrays[name] for name in arrays if name.startswith(_VALUE)}
            judged = Judged(arrays["distances"], arrays["features"]) if "features" in arrays else None
            return Measures(values, judged)
        made = make()
        arrays = {_VALUE + name: array for name, array in made.values.items()}
        self._files.put(parts, None, arrays | (made.judged._asdict() if made.judged is not None else {}))
        return made

    def shares(self, method: Method, compute: Callable[[], Floats]) -> Floats:
        """Return what `compute` returns of the search of a method, or what it returned before."""
        parts = ["shares", *self._common, method.features, method.focus, self._material.settings.collection]
        parts.append(of_index(self._material.indexes[method.features]))
        if kept := self._files.get(parts):
            return kept[1]["shares"]
        shares = compute()
        self._files.put(parts, None, {"shares": shares})
        return shares

    def _parts(self, method: Method) -> Parts:
        material, parts = self._material, [*self._common, method.name]
        if method.kind == "completion":
            chosen = completion_settings(method, material.settings, len(material.labels))
            parts.append({name: str(value) for name, value in sorted(chosen.items())})
            network = network_of(method, chosen)
            parts.append(None if network is None else self._networks[network].about)
        if method.uses_collection:
            parts.append(material.settings.collection)
        if method.features:
            parts.append(of_index(material.indexes[method.features]))
        if method.kind == "pixels":
            parts.append(material.nearest[method.base].tolist())
        return parts


def _source_of(name: str, metric: Metric) -> str:
    """Return the source code of a user's metric; SettingsError where there is none, so that nothing could tell a change."""
    try:
        return inspect.getsource(metric)
    except (OSError, TypeError) as error:
        raise SettingsError(
            f"the metric {shown(name)} has no source code that can be read: define it by `def` in a file"
        ) from error


def of_index(index: PhotoIndex) -> str:
    """Return what tells a collection from others."""
    return _hash(to_json(index.manifest))


def of_queries(queries: Queries) -> Parts:
    """Return what tells queries from others."""
    return [
        list(queries.names),
        list(queries.labels),
        _hash(queries.photos.tobytes()),
        _hash(np.packbits(queries.holes).tobytes()),
    ]


@functools.cache
def _source_hash() -> str:
    """Return a hash of the source code: another version of it may measure something else."""
    hashes = []
    for root in (Path(__file__).parents[1], Path(indexes.__file__).parent):
        hashes += [[str(path.relative_to(root)), _hash(path.read_bytes())] for path in sorted(root.rglob("*.py"))]
    return _hash(json.dumps(hashes).encode())


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
