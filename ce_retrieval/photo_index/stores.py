"""An index in a Milvus: its pooled grids and its photos' columns as a collection, which finds what is then measured exactly.

The collection's name says what it holds: the version of this layout and the hash of the index. It is filled under another
name and gets this one when it is whole, so a build that was stopped is never searched.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ce_retrieval.errors import PhotoIndexError, counted
from ce_retrieval.photo_index.engines import check_store
from ce_retrieval.photo_index.vectors import origin_of, row_files
from ce_retrieval.photo_index.where import source_texts
from ce_retrieval.photo_index.writing import check_outside

if TYPE_CHECKING:
    from ce_retrieval.photo_index.reader import PhotoIndex
    from indexes.milvus import Milvus
    from indexes.pooled import PooledIndex
    from indexes.pooling import Pooling

VERSION = 1  # of the layout


@dataclass(frozen=True)
class Published:
    """What `publish_index` did.

    Attributes
    ----------
    collection : str
        Its name in the store.
    photos : int
    present : bool
        Whether it was there already.
    others : int
        Further collections of ceret in the store: of other indexes, or of earlier states of this one.
    """

    collection: str
    photos: int
    present: bool
    others: int


def publish_index(index: "PhotoIndex", store: str, progress: Callable[[int, int], None] | None = None) -> Published:
    """Write the vectors of an index, and its photos' columns, as a collection of a Milvus.

    Parameters
    ----------
    index : PhotoIndex
        Of features with a square grid of cells.
    store : str
        "http://host:19530", or "milvus:FOLDER.db", a folder of milvus-lite.
    progress : callable or None
        Called with the photos written and the photos in total.

    Raises
    ------
    EngineError
        pymilvus is not installed, the features have no square grid, or the Milvus does not answer, or refuses. What was written
        is not searched then; the next call starts anew.
    PhotoIndexError
        Another program was writing the same collection, or the folder lies inside an index.
    SettingsError
        `store` is not a text.
    """
    from indexes.milvus import EMBEDDED, Milvus

    check_store(store)
    if store.startswith(EMBEDDED):
        check_outside(store.removeprefix(EMBEDDED))
    pooling = _pooling(index)
    milvus = Milvus(store, create=True)
    try:
        name = collection_name(index)
        there = _ours(milvus)
        present = name in there
        if present:
            _open(index, milvus, pooling)
        else:
            _write(index, milvus, pooling, progress)
        return Published(name, len(index), present, len({*there, name}) - 1)
    finally:
        milvus.close()


def open_store(index: "PhotoIndex", store: str) -> "PooledIndex":
    """Return the search of an index through the collection that `publish_index` wrote.

    Raises
    ------
    PhotoIndexError
        The store has no collection of this index as it is now, or not all of its photos.
    EngineError
        As `publish_index`, and for a collection of another schema.
    """
    from indexes.milvus import Milvus
    from indexes.pooled import PooledIndex

    pooling = _pooling(index)
    vectors = _open(index, Milvus(store), pooling)
    effort = index.manifest.codes.effort if index.manifest.codes else 1.0
    return PooledIndex(
        vectors, pooling, origin_of(index.path, index.manifest), row_files(index.path, index.manifest), effort
    )


def collection_name(index: "PhotoIndex") -> str:
    """Return the name of the collection of an index as it is now."""
    return f"ceret_v{VERSION}_{index.manifest.sha256[:32]}"


def _ours(milvus: "Milvus") -> list[str]:
    """Return the collections that ceret has completed, of any version."""
    return [name for name in milvus.collections() if name.startswith("ceret_v") and not name.endswith("_building")]


def _pooling(index: "PhotoIndex") -> "Pooling":
    from indexes.pooling import Pooling

    # Float vectors need no parts: these are for what is quantised.
    return Pooling(index.manifest.cells, index.manifest.channels, 1)


def _open(index: "PhotoIndex", milvus: "Milvus", pooling: "Pooling") -> Any:
    """Return the collection of an index, checked."""
    name, there, again = collection_name(index), _ours(milvus), f"run `ceret publish {index.path}` with this store"
    if name not in there:
        hash_of = name.rpartition("_")[2]
        if other := [one for one in there if one.endswith(hash_of)]:
            raise PhotoIndexError(
                f"{milvus.shown} holds {index.path} as {other[0]}, this ceret reads version {VERSION}: {again}, or use the "
                "ceret that wrote it"
            )
        holds = f"it holds {counted(len(there), 'other one')}" if there else "it holds none"
        raise PhotoIndexError(f"{milvus.shown} holds no collection of {index.path} as it is now ({holds}): {again}")
    vectors = milvus.open(name, pooling.dimension)
    if len(vectors) != len(index):
        raise PhotoIndexError(
            f"the collection {name} of {milvus.shown} holds {len(vectors)} of {counted(len(index), 'photo')}: drop it "
            f"there, then {again}"
        )
    return vectors


def _write(
    index: "PhotoIndex", milvus: "Milvus", pooling: "Pooling", progress: Callable[[int, int], None] | None
) -> None:
    name = collection_name(index)
    vectors = milvus.create(f"{name}_building", pooling.dimension)
    origin = origin_of(index.path, index.manifest)
    for grids, columns in _photos(index):
        vectors.add(pooling.photos(grids, origin), columns)
        if progress:
            progress(len(vectors), len(index))
    milvus.flush(vectors.name)
    if (written := milvus.count(vectors.name)) != len(index):
        raise PhotoIndexError(
            f"the collection {vectors.name} of {milvus.shown} holds {written} of {counted(len(index), 'photo')}: another program "
            "writes it too; wait until it ends, and publish again"
        )
    milvus.rename(vectors.name, name)
    milvus.open(name, pooling.dimension)


def _photos(index: "PhotoIndex") -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """Yield grids float16 (n, G, C) and columns of the photos, in the order of the ids."""
    from indexes.milvus import NUMBERS, TEXTS

    sources = source_texts(index.column("source"), [source.root for source in index.manifest.sources])
    start = 0
    for grids in index.grids():
        rows = index.table.slice(start, len(grids))
        columns = {name: rows.column(name).to_pylist() for name in (*TEXTS, *NUMBERS) if name != "source"} | {
            "source": sources.slice(start, len(grids)).to_pylist()
        }
        yield grids, columns
        start += len(grids)
