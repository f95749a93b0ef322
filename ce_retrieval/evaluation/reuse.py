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
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

import indexes
from ce_retrieval.errors import SettingsError, shown
from ce_retrieval.evaluation.fills import Material
from ce_retrieval.evaluation.measuring import Measured
from ce_retrieval.evaluation.methods import Method, completion_settings
from ce_retrieval.evaluation.perceptual import Judged
from ce_retrieval.evaluation.settings import Metric
from ce_retrieval.evaluation.watch import Cost
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.photo_index.manifest import to_json
from ce_retrieval.reading import read_regular
from ce_retrieval.storage import make_folder, replace_file

_VALUE, _KIND = "value ", "kind "  # before the names of arrays


class KeptMethods:
    """What methods made of the queries of one evaluation, in files named by what it depends on.

    Parameters
    ----------
    folder : Path
        Made when the first method is kept.
    material : Material
    index : PhotoIndex
        The collection.
    about : mapping
        What else the figures depend on, as JSON types: the networks, and what judges.
    """

    def __init__(self, folder: Path, material: Material, index: PhotoIndex, about: Mapping[str, Any]) -> None:
        self._folder, self._material = folder, material
        left_out = ("methods", "collection")
        settings = {name: value for name, value in asdict(material.settings).items() if name not in left_out}
        stated = {name: value for name, value in about.items() if name not in ("threads", "seen")}
        metrics = {name: _source_of(name, metric) for name, metric in material.metrics.items()}
        self._common = [stated, settings, metrics, _source_hash(), _of_index(index), *_queries(material)]

    def get(self, method: Method) -> Measured | None:
        """Return what was kept of a method; None for nothing, or for what is damaged."""
        try:
            with np.load(io.BytesIO(read_regular(self._path(method))), allow_pickle=False) as arrays:
                told = json.loads(str(arrays["told"]))
                values = {name.removeprefix(_VALUE): arrays[name] for name in arrays.files if name.startswith(_VALUE)}
                kind = {name.removeprefix(_KIND): arrays[name] for name in arrays.files if name.startswith(_KIND)}
                judged = Judged(arrays["distances"], arrays["features"]) if "features" in arrays.files else None
                failed = {int(row): reason for row, reason in told["failed"].items()}
                return Measured(method, values, kind, judged, Cost(*told["cost"]), failed, arrays["filled"])
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
            return None

    def put(self, measured: Measured) -> None:
        """Keep what a method made; StorageError where it cannot be written."""
        arrays: dict[str, Any] = {_VALUE + name: array for name, array in measured.values.items()}
        arrays |= {_KIND + name: array for name, array in measured.kind.items()}
        if measured.judged is not None:
            arrays |= measured.judged._asdict()
        told = json.dumps({"cost": measured.cost, "failed": measured.failed})
        buffer = io.BytesIO()
        np.savez_compressed(buffer, told=np.array(told), filled=measured.filled, **arrays)
        make_folder(self._folder)
        replace_file(self._path(measured.method), buffer.getvalue())

    def _path(self, method: Method) -> Path:
        material, parts = self._material, [*self._common, method.name]
        if method.kind == "completion":
            chosen = completion_settings(method, material.settings, len(material.labels))
            parts.append({name: str(value) for name, value in sorted(chosen.items())})
        if method.uses_collection:
            parts.append(material.settings.collection)
        if method.features:
            parts.append(_of_index(material.indexes[method.features]))
        if method.kind == "pixels":
            parts.append(material.nearest[method.base].tolist())
        digest = _hash(json.dumps(parts, sort_keys=True).encode("utf-8", "backslashreplace"))
        return self._folder / f"{digest}.npz"


def _source_of(name: str, metric: Metric) -> str:
    """Return the source code of a user's metric; SettingsError where there is none, so that nothing could tell a change."""
    try:
        return inspect.getsource(metric)
    except (OSError, TypeError) as error:
        raise SettingsError(
            f"the metric {shown(name)} has no source code that can be read: define it by `def` in a file"
        ) from error


def _of_index(index: PhotoIndex) -> str:
    return _hash(to_json(index.manifest))


def _queries(material: Material) -> Sequence[Any]:
    """Return what tells the queries from others."""
    queries = material.queries
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
