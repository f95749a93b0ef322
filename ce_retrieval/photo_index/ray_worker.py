"""What a Ray worker does: describe the items of a segment as a build on one machine would."""

from __future__ import annotations

import dataclasses
import pickle
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from ce_retrieval.descriptors import make_descriptor, protocol_spec, weights_hash
from ce_retrieval.descriptors.one_vector import NO_KIND, make_one_vector
from ce_retrieval.errors import CeretError, ClusterError
from ce_retrieval.photo_index.batches import Described, Describer, Pipeline, Task
from ce_retrieval.photo_index.decode_budget import make_decode_budget
from ce_retrieval.photo_index.kinds import StoredKind
from ce_retrieval.photo_index.manifest import Manifest, library_versions
from ce_retrieval.photo_index.manifest_parts import Source
from ce_retrieval.photo_index.places import StoredPlaces, place_features
from ce_retrieval.photo_index.settings import IndexSettings
from ce_retrieval.photos import PhotoSource, open_source

Shard = list[list[Task]]  # the batches of a segment


@dataclass(frozen=True)
class Job:
    """What all workers of a build know.

    Attributes
    ----------
    settings : IndexSettings
        With `kind` "none" where no file of kind features is written.
    weights_sha256 : str or None
    kind : StoredKind or None
        Of the file of kind features.
    places : StoredPlaces or None
    libraries : name -> version
        Which a worker must have too, since they shape the bytes.
    sources : number -> Source
    """

    settings: IndexSettings
    weights_sha256: str | None
    kind: StoredKind | None
    places: StoredPlaces | None
    libraries: Mapping[str, str]
    sources: Mapping[int, Source]


def job_of(settings: IndexSettings, manifest: Manifest, pipeline: Pipeline) -> Job:
    """Return what workers elsewhere need to do the work of a pipeline."""
    kind, places = pipeline.kind, pipeline.places
    return Job(
        dataclasses.replace(settings, kind=settings.kind if kind else NO_KIND),
        manifest.weights_sha256,
        StoredKind.of(kind) if kind else None,
        places.stored if places else None,
        manifest.libraries,
        {number: Source(source.kind, source.root) for number, source in pipeline.sources.items()},
    )


class Worker:
    """Loads the network once, and describes shards. An error is part of the result, so that Ray does not try it again."""

    def __init__(self, job: bytes) -> None:
        # Ray sends code by pickle itself: the machines of a cluster trust each other.
        self._job: Job = pickle.loads(job)
        self._describer: Describer | None = None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[bytes]]:
        """Return the described batches of the one shard of a Ray batch, as `unpacked` reads them."""
        shard: Shard = pickle.loads(batch["shard"][0])
        try:
            result: list[Described] | CeretError = self._described(shard)
        except CeretError as error:
            result = error
        return {"described": [pickle.dumps(result, pickle.HIGHEST_PROTOCOL)]}

    def _described(self, shard: Shard) -> list[Described]:
        if self._describer is None:
            self._describer = _describer_of(self._job)
        stopping = threading.Event()
        described = [self._describer.describe(tasks, self._job.settings.hole, stopping) for tasks in shard]
        for source in self._describer.sources.values():
            source.rest()
        return described


class _Opened(dict[int, PhotoSource]):
    """Sources by number, opened when they are first read: a worker meets few of thousands of tars."""

    def __init__(self, sources: Mapping[int, Source]) -> None:
        super().__init__()
        self._sources = sources

    def __missing__(self, number: int) -> PhotoSource:
        source = self._sources[number]
        self[number] = open_source(source.root, source.kind, check=False)
        return self[number]


def _describer_of(job: Job) -> Describer:
    """Make what describes photos; ClusterError where this machine would describe them in another way than the first one."""
    settings = job.settings
    descriptor = make_descriptor(protocol_spec(settings.features, settings.hole), settings.size)
    kind = make_one_vector(settings.kind, settings.size) if settings.kind != NO_KIND else None
    places = place_features() if settings.places else None
    own = weights_hash(descriptor), StoredKind.of(kind) if kind else None, places.stored if places else None
    if own != (job.weights_sha256, job.kind, job.places):
        raise ClusterError(
            "a Ray worker has other weights than this machine: install the same ceret, with the same weights"
        )
    budget = make_decode_budget(descriptor, settings.workers, settings.max_memory, kind, places)
    return Describer(descriptor, kind, _Opened(job.sources), budget.decode_both, places)


def unpacked(described: bytes) -> list[Described]:
    """Return what a worker described; raises the error that it met."""
    result: list[Described] | CeretError = pickle.loads(described)
    if isinstance(result, CeretError):
        raise result
    return result


def other_versions(libraries: Mapping[str, str]) -> str:
    """Return which libraries this machine has in other versions, or not at all, as text; "" for none."""
    found: list[str] = []
    for name, version in libraries.items():
        try:
            own = library_versions((name,))[name]
        except metadata.PackageNotFoundError:
            own = "none"
        found += [f"{name} {own} and not {version}"] if own != version else []
    return ", ".join(found)
