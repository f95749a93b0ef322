"""Describing photos with Ray, on this machine's cores or on a cluster's; all else of a build stays in its own process."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import pickle
import socket
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from ce_retrieval.errors import ClusterError, InstallationError, cut, reason_of
from ce_retrieval.photo_index import batches
from ce_retrieval.photo_index.batches import Describe, Described, Describing, Pipeline, Task
from ce_retrieval.photo_index.manifest import Manifest
from ce_retrieval.photo_index.ray_worker import Job, Worker, job_of, unpacked
from ce_retrieval.photo_index.settings import RAY, IndexSettings
from ce_retrieval.pool import batched

WINDOW = 512  # shards (a million photos) that are handed to Ray at once; workers load their network anew for the next
STORE_BYTES = 512 << 20  # of the embedded Ray's shared memory; what does not fit lies on disk
REACH_SECONDS = 5
# How HTTP/2 begins, which Ray speaks: a greeting and an empty frame of settings, whose type is the fourth byte.
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_SETTINGS = 4
PROBE_SECONDS = 120


def address_of(engine: str) -> str:
    """Return the address HOST:PORT of the cluster of an engine `ray://HOST:PORT`, "" for the embedded Ray."""
    return engine.removeprefix(RAY).removeprefix("://")


def check_engine(engine: str) -> None:
    """Raise an error of one line, before any work, where the photos cannot be described by Ray as an engine says.

    Raises
    ------
    InstallationError
        Ray is not installed.
    SettingsError
        The address is not HOST:PORT.
    ClusterError
        Nothing answers at the address.
    """
    if find_spec("ray") is None:
        raise InstallationError(f"engine {engine} needs Ray: pip install '.[ray]' in the folder of ceret")
    address = address_of(engine)
    if not address:
        return
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), REACH_SECONDS) as connection:
            connection.sendall(_GREETING)
            answer = connection.recv(4)
        if answer[3:] != bytes([_SETTINGS]):  # Ray itself would try for minutes
            raise ConnectionError("what answers is not Ray")
    except OSError as error:
        raise ClusterError(
            f"no Ray cluster answers at {address} ({reason_of(error)}): start one with "
            f"`ray start --head --port={port}`, or give the address that this prints"
        ) from error


def described_by(settings: IndexSettings, manifest: Manifest, pipeline: Pipeline) -> Describing:
    """Return what a pipeline is to describe its photos by, with the engine of the settings."""
    return lambda hole: ray_describing(settings.engine, job_of(settings, manifest, pipeline))


@contextlib.contextmanager
def ray_describing(engine: str, job: Job) -> Iterator[Describe]:
    """Yield a function that describes batches of tasks by the workers of an engine, in order.

    The shards are the items of segments, so finished shards are written, and a stopped build goes on after them. A
    worker that dies is started again, and does the shard that it had once more.

    Raises
    ------
    ClusterError
        The cluster cannot be used, or one of its machines has no ceret, or another one.
    """
    ray = _ray()
    own = not ray.is_initialized()
    try:
        with _errors(engine):
            if own:
                _connect(ray, engine, job.settings.workers)
            workers = _workers(ray, job)
        yield lambda tasks: _described(ray, engine, job, workers, tasks)
    finally:
        if own:
            ray.shutdown()


def _ray() -> Any:
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # or it writes to stderr of what it mends itself
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "3")  # times that it tries to reach a cluster
    import ray
    import ray.data

    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return ray


@contextlib.contextmanager
def _errors(engine: str) -> Iterator[None]:
    """Turn the errors of Ray, which have many lines and classes, into one line."""
    from ray.exceptions import RayError

    try:
        yield
    except (RayError, ConnectionError, TimeoutError, ValueError, RuntimeError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        reason = cut(lines[-1] if isinstance(error, RayError) and lines else " ".join(lines), 200)
        raise ClusterError(
            f"engine {engine} cannot describe photos ({reason}): give the address and, where it asks for one, the token "
            "of the cluster (RAY_AUTH_TOKEN), or leave out the engine to work on this machine alone"
        ) from error


def _connect(ray: Any, engine: str, workers: int) -> None:
    address = address_of(engine)
    more: dict[str, Any] = {"address": address}
    if not address:
        more = {"address": "local", "num_cpus": workers, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    ray.init(log_to_driver=False, logging_level=logging.ERROR, **more)


def _workers(ray: Any, job: Job) -> int:
    """Return how many workers the machines of the cluster are to run, after a look at what each has installed."""
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    if not nodes:
        raise ClusterError(
            "no machine of the Ray cluster has a free core: start one with `ray start --address=HOST:PORT`"
        )
    probes = [_probe(ray, node["NodeID"], job.libraries) for node in nodes]
    for node, problem in zip(nodes, ray.get(probes, timeout=PROBE_SECONDS), strict=True):
        if problem:
            raise ClusterError(
                f"the Ray worker on {node['NodeManagerAddress']} {problem}: install the same ceret there as here, for the "
                "Python that runs Ray"
            )
    return sum(min(job.settings.workers, int(node["Resources"]["CPU"])) for node in nodes)


def _probe(ray: Any, node: str, libraries: Mapping[str, str]) -> Any:
    """Ask a machine what keeps it from describing photos as this one does."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def problem(expected: dict[str, str]) -> str:
        # Sent as it stands here, not by its name: the machine may lack this module.
        try:
            from ce_retrieval.photo_index.ray_worker import other_versions
        except ImportError as error:
            return f"cannot import ceret ({error})"
        others = other_versions(expected)
        return f"has {others}" if others else ""

    task = ray.remote(problem).options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))
    return task.remote(dict(libraries))


def _described(ray: Any, engine: str, job: Job, workers: int, tasks: Iterable[list[Task]]) -> Iterator[Described]:
    """Yield the described batches in order."""
    shards = batched(tasks, batches.SEGMENT_ITEMS // batches.BATCH_ITEMS)
    while window := list(itertools.islice(shards, WINDOW)):
        with _errors(engine):
            for described in _results(ray, job, min(workers, len(window)), window):
                yield from unpacked(described)


def _results(ray: Any, job: Job, workers: int, window: list[list[list[Task]]]) -> Iterator[bytes]:
    import pyarrow as pa

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    rows = [ray.put(pa.table({"shard": [pickle.dumps(shard, pickle.HIGHEST_PROTOCOL)]})) for shard in window]
    data = ray.data.from_arrow_refs(rows).map_batches(
        Worker,
        fn_constructor_args=(pickle.dumps(job),),
        batch_size=1,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=workers),
    )
    for row in data.iter_rows():
        yield row["described"]
