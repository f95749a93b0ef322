"""Search by Milvus: pooled grids as float32 vectors of a collection, on a server or in a folder of milvus-lite.

Inner products, and all vectors are compared (FLAT): a graph (HNSW, DiskANN) is not built for inner products of vectors of any
length, and lists (IVF) lose neighbours at small holes (docs/decisions.md).
"""

import contextlib
import logging
import os
import re
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from indexes.base import EngineError, check_vectors

EMBEDDED = "milvus:"  # before the path of a folder of milvus-lite
SUFFIX = ".db"  # by which pymilvus tells such a folder from a server
CONNECTING, CALL = 10, 120  # s to wait for a server
NO_ANSWER = 2  # pymilvus's code for a server that cannot be reached
ROWS = 1000  # that are sent at a time
MOST = 16_384  # vectors that Milvus returns for a query
RANGES, LISTED = 500, 200_000  # of ids in a filter
TEXT = 65_535  # bytes of a text, at most
TEXTS = ("key", "label", "caption", "licence", "source", "sha256")
NUMBERS = ("width", "height")


def load_milvus() -> Any:
    """Return the module pymilvus; EngineError where it is not installed."""
    try:
        import pymilvus
    except ImportError as error:
        raise EngineError(
            "a search by Milvus needs pymilvus: run `pip install '.[milvus]'` in the folder of ceret"
        ) from error
    # They print what they also raise, with its traceback.
    for name in ("pymilvus", "milvus_lite"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return pymilvus


class Milvus:
    """A connection; whatever goes wrong is an EngineError of one line.

    Parameters
    ----------
    address : str
        "http://host:19530" or "https://..", with user:password@ before the host where the server asks for them; or
        "milvus:FOLDER.db", a folder of milvus-lite, which one process may use at a time.
    create : bool
        Make the folder where it is not there.

    Raises
    ------
    EngineError
        pymilvus is not installed, the address is invalid, the server does not answer, or the folder cannot be opened.
    """

    def __init__(self, address: str, create: bool = False) -> None:
        self.shown = re.sub(r"//[^/@]*@", "//", address)  # without a password
        place = address.removeprefix(EMBEDDED)
        self._embedded = place != address
        if self._embedded:
            self._check_folder(place, create)
        elif not re.match(r"https?://[^/]", address):
            raise EngineError(
                f"`store` is {self.shown!r}: expected http://HOST:PORT of a Milvus, or {EMBEDDED}FOLDER{SUFFIX} of milvus-lite"
            )
        self._module = load_milvus()
        with self._calls():
            # A connection of its own, down to gRPC's: those shared by address stay broken for a while after the server has been
            # started again.
            alone = {"dedicated": True, "grpc_options": {"grpc.use_local_subchannel_pool": 1}}
            self._client = self._module.MilvusClient(place, timeout=CONNECTING, **alone)
        self._ending = weakref.finalize(self, self._client.close)

    def _check_folder(self, place: str, create: bool) -> None:
        """Raise EngineError unless this is, or may become, a folder of milvus-lite."""
        if not place.endswith(SUFFIX) or place == SUFFIX:
            raise EngineError(f"`store` is {self.shown!r}: a folder of milvus-lite has a name that ends with {SUFFIX}")
        if not os.path.lexists(place):
            if not create:
                raise EngineError(f"there is no store {place}: make it with `ceret publish`")
            if not os.path.isdir(os.path.dirname(os.path.abspath(place))):
                raise EngineError(f"the store {place} cannot be made: its folder does not exist; make it first")
        elif not os.path.isdir(place) or (os.listdir(place) and not os.path.isdir(os.path.join(place, "collections"))):
            raise EngineError(f"{place} is not a folder of milvus-lite 3: give another path")

    @contextlib.contextmanager
    def _calls(self) -> Iterator[None]:
        import grpc

        try:
            yield
        except grpc.RpcError as error:  # pymilvus passes on that a server has not answered in time
            raise self._no_answer(error.details() if isinstance(error, grpc.Call) else str(error)) from error
        except self._module.MilvusException as error:
            reason = " ".join(str(error.message or "no reason given").split())
            if self._embedded and isinstance(error, self._module.exceptions.ConnectionConfigException):
                raise EngineError(
                    f"{self.shown} cannot be opened ({reason}): end other programs that use it; it needs milvus-lite 3.2.2 or "
                    "newer (`pip install '.[milvus]'` in the folder of ceret)"
                ) from error
            if error.code == NO_ANSWER:
                raise self._no_answer(reason) from error
            raise EngineError(f"the Milvus at {self.shown} refuses ({reason}): look at its log") from error

    def _no_answer(self, reason: str) -> EngineError:
        return EngineError(
            f"the Milvus at {self.shown} does not answer ({reason}): start it or correct the address, then run the command again"
        )

    def collections(self) -> list[str]:
        """Return the names of all collections."""
        with self._calls():
            return list(self._client.list_collections(timeout=CALL))

    def create(self, name: str, dimension: int) -> "MilvusVectors":
        """Return a new, empty collection in the place of one that may have this name."""
        kinds = self._module.DataType
        with self._calls():
            self._client.drop_collection(name, timeout=CALL)
            schema = self._client.create_schema(auto_id=False)
            schema.add_field("id", kinds.INT64, is_primary=True)
            schema.add_field("vector", kinds.FLOAT_VECTOR, dim=dimension)
            for column in TEXTS:
                schema.add_field(column, kinds.VARCHAR, max_length=TEXT)
            for column in NUMBERS:
                schema.add_field(column, kinds.INT64)
            index = self._client.prepare_index_params()
            index.add_index("vector", index_type="FLAT", metric_type="IP")
            self._client.create_collection(
                name, schema=schema, index_params=index, consistency_level="Strong", timeout=CALL
            )
        return MilvusVectors(self, name, dimension)

    def open(self, name: str, dimension: int) -> "MilvusVectors":
        """Return a collection that `create` made; EngineError for one of another schema."""
        with self._calls():
            about = self._client.describe_collection(name, timeout=CALL)
            index = self._client.describe_index(name, "vector", timeout=CALL) or {}
        kinds = self._module.DataType
        expected = {"id": kinds.INT64, "vector": kinds.FLOAT_VECTOR}
        expected |= dict.fromkeys(TEXTS, kinds.VARCHAR) | dict.fromkeys(NUMBERS, kinds.INT64)
        found = {field["name"]: field["type"] for field in about["fields"]}
        widths = [field["params"].get("dim") for field in about["fields"] if field["name"] == "vector"]
        if found != expected or list(map(int, widths)) != [dimension] or index.get("metric_type") != "IP":
            raise EngineError(
                f"the collection {name} at {self.shown} has another schema (fields {', '.join(found)}; vectors of {widths} "
                f"numbers by {index.get('metric_type')}), expected vectors of {dimension} by IP: drop it there, and publish again"
            )
        with self._calls():
            self._client.load_collection(name, timeout=CALL)
        return MilvusVectors(self, name, dimension)

    def rename(self, old: str, new: str) -> None:
        """Give a collection another name, in one step."""
        with self._calls():
            self._client.rename_collection(old, new, timeout=CALL)

    def insert(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append rows to a collection."""
        with self._calls():
            self._client.insert(name, list(rows), timeout=CALL)

    def flush(self, name: str) -> None:
        """Write to disk what was inserted."""
        with self._calls():
            self._client.flush(name, timeout=CALL)

    def count(self, name: str) -> int:
        """Return the number of rows of a collection that is loaded."""
        with self._calls():
            rows = self._client.query(
                name, filter="", output_fields=["count(*)"], consistency_level="Strong", timeout=CALL
            )
            return int(rows[0]["count(*)"])

    def search(self, name: str, queries: np.ndarray, limit: int, expression: str) -> list[list[int]]:
        """Return the ids of the largest inner products of each query, best first."""
        with self._calls():
            found = self._client.search(
                name,
                data=list(queries),
                anns_field="vector",
                limit=limit,
                filter=expression,
                output_fields=["id"],  # with none, milvus-lite returns all columns
                search_params={"metric_type": "IP"},
                timeout=CALL,
            )
            return [list(hits.ids) for hits in found]

    def close(self) -> None:
        """End the connection; it also ends with this object."""
        self._ending()


class MilvusVectors:
    """A collection of pooled grids; a `FirstPass`.

    Parameters
    ----------
    milvus : Milvus
    name : str
        Of a collection that `Milvus.create` or `Milvus.open` has returned.
    dimension : int
    """

    bytes_a_vector = 0  # of this process

    def __init__(self, milvus: Milvus, name: str, dimension: int) -> None:
        self.name, self._milvus, self._dimension = name, milvus, dimension
        self._count = milvus.count(name)

    def __len__(self) -> int:
        return self._count

    def add(self, vectors: np.ndarray, columns: Mapping[str, Sequence[Any]] | None = None) -> None:
        """Append float32 (N, D), with the photos' columns by name where they have any."""
        vectors = check_vectors(vectors, self._dimension)
        given = {
            name: list(map(cut_text, values)) if name in TEXTS else values for name, values in (columns or {}).items()
        }
        for start in range(0, len(vectors), ROWS):
            rows = []
            for number in range(start, min(start + ROWS, len(vectors))):
                texts = {name: given[name][number] if name in given else "" for name in TEXTS}
                numbers = {name: int(given[name][number]) if name in given else 0 for name in NUMBERS}
                rows.append({"id": self._count + number, "vector": vectors[number], **texts, **numbers})
            self._milvus.insert(self.name, rows)
        self._count += len(vectors)

    def best(self, queries: np.ndarray, needed: np.ndarray, allowed: np.ndarray | None) -> list[np.ndarray | None]:
        """Return the ids of the largest inner products of each query; see `FirstPass.best`."""
        most = int(needed.max())
        expression = "" if allowed is None else id_filter(allowed)
        if most > MOST or expression is None:
            return [None] * len(queries)
        found = self._milvus.search(self.name, queries, most, expression)
        return [
            np.sort(np.array(ids[:number], np.int64)) if len(ids) >= number else None
            for ids, number in zip(found, needed, strict=True)
        ]


def id_filter(allowed: np.ndarray) -> str | None:
    """Return Milvus's expression for the ids that a mask bool (N,) marks; None where it would be too long.

    Photos of a folder or label have ids one after the other, so ranges say most masks in few words.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], allowed, [False]]).astype(np.int8))).reshape(-1, 2)
    if len(edges) <= RANGES:
        return " or ".join(f"(id >= {start} and id < {stop})" for start, stop in edges.tolist())
    which, word = (allowed, "in") if np.count_nonzero(allowed) <= len(allowed) // 2 else (~allowed, "not in")
    ids = np.flatnonzero(which).tolist()
    return f"id {word} {ids}" if len(ids) <= LISTED else None


def cut_text(text: str) -> str:
    """Return the first TEXT bytes of a text, whole characters."""
    return text if len(text) <= TEXT // 4 else text.encode()[:TEXT].decode(errors="ignore")
