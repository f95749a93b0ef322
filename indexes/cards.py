"""Exact search by FAISS on the GPUs of a machine, which is called a card here.

FAISS's flat index on a card ignores a selector without a word, returns 2,048 vectors at most, and may be used by one thread
at a time. So filters, larger k and the lock are seen to here.
"""

import contextlib
import threading
from collections.abc import Iterator

import numpy as np

from indexes.base import EngineError, SearchResult, check_k, check_vectors
from indexes.faiss_door import cards_of, load_faiss
from indexes.threads import Threads

PARTS = 4  # flat indexes a card: together they return 8,192 vectors
MOST = 2048  # vectors that one of them returns
FEW = 2048  # where a filter lets no more through, these are read back and measured
BLOCK = 16_384  # vectors read back at a time


class CardIndex:
    """Exact maximum inner product search on one card or several; a `VectorIndex`.

    Vector i is row i // P of part i % P of P flat indexes, PARTS a card, so that the nearest vectors are spread evenly. Each
    part returns its best. Of these, all that score no less than the worst of every part that may hold more are certainly the
    best of all. If, after the filter, fewer than k are certain, then the vectors that may be found are read back from the
    cards and measured by the CPU: slow, exact, and rare, unless k is above 8,192 or a filter passes only what is far away.

    Parameters
    ----------
    dimension : int
    device : str
        "cuda", "cuda:N", or "auto" where there is a card; see `faiss_door.cards_of`.
    half : bool
        Keep float16 vectors: half the memory; scores are then those of the rounded vectors.

    Raises
    ------
    EngineError
        FAISS is not installed or has no GPU support, or the device is not there.

    Notes
    -----
    J. Johnson, M. Douze, H. Jégou, "Billion-scale similarity search with GPUs" (2019).
    """

    def __init__(self, dimension: int, device: str = "cuda", half: bool = False) -> None:
        cards = cards_of(device)
        if not cards:
            raise EngineError(f"`device` {device} is the CPU here: use `FaissIndex`")
        self.dimension = dimension
        self._cards = [_Card(number, dimension, half) for number in cards]
        self._pool = Threads(len(cards))
        self._parts = PARTS * len(cards)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, vectors: np.ndarray) -> None:
        """Append float32 (N, D); EngineError where the cards have no room for them."""
        vectors = check_vectors(vectors, self.dimension)
        for part in range(self._parts):
            mine = vectors[(part - self._count) % self._parts :: self._parts]
            self._card(part).add(part // len(self._cards), np.ascontiguousarray(mine))
        self._count += len(vectors)

    def search(self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> SearchResult:
        """Find the k largest inner products of each query; see `VectorIndex.search`."""
        queries = check_vectors(queries, self.dimension)
        count = check_k(k, self._count, allowed)
        if count == self._count:
            allowed = None
        if allowed is not None and count <= FEW:
            return self._measured(queries, np.flatnonzero(allowed), k)
        # With a filter, twice as many are looked at as would do if it let each vector through by chance.
        wanted = k if allowed is None else min(2 * k * self._count // count, self._count)
        scores, ids, certain = self._best(queries, wanted)
        best = SearchResult(np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64))
        missed = []
        for row in range(len(queries)):
            found = np.flatnonzero(certain[row] if allowed is None else certain[row] & allowed[ids[row]])[:k]
            if len(found) < k:
                missed.append(row)
            else:
                best.scores[row], best.ids[row] = scores[row, found], ids[row, found]
        if missed:
            rows = np.arange(self._count) if allowed is None else np.flatnonzero(allowed)
            best.scores[missed], best.ids[missed] = self._measured(queries[missed], rows, k)
        return best

    def reconstruct(self, ids: np.ndarray) -> np.ndarray:
        """Return the stored vectors float32 (n, D) of int64 ids (n,)."""
        ids = np.asarray(ids, np.int64)
        vectors = np.empty((len(ids), self.dimension), np.float32)
        for part in range(self._parts):
            mine = np.flatnonzero(ids % self._parts == part)
            if len(mine):
                vectors[mine] = self._card(part).reconstruct(part // len(self._cards), ids[mine] // self._parts)
        return vectors

    def _card(self, part: int) -> "_Card":
        return self._cards[part % len(self._cards)]

    def _best(self, queries: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return scores and ids (B, n) of what all parts return, best first, and which are certainly the best (B, n)."""

        def search(card: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
            found = []
            for place, (scores, rows, more) in enumerate(self._cards[card].search(queries, wanted)):
                least = scores[:, -1] if more else np.full(len(queries), -np.inf, np.float32)
                found.append((scores, rows * self._parts + place * len(self._cards) + card, least))
            return found

        parts = [part for card in self._pool.map(search, range(len(self._cards))) for part in card]
        scores, ids = (np.concatenate([part[i] for part in parts], axis=1) for i in (0, 1))
        order = np.lexsort((ids, -scores))
        scores, ids = np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)
        # What a part has not returned scores no more than the last that it has.
        return scores, ids, scores >= np.max([least for _, _, least in parts], axis=0)[:, None]

    def _measured(self, queries: np.ndarray, ids: np.ndarray, k: int) -> SearchResult:
        """Return the k best of each query among ascending ids, measured by the CPU."""
        scores, found = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        for start in range(0, len(ids), BLOCK):
            block = ids[start : start + BLOCK]
            scores = np.concatenate([scores, queries @ self.reconstruct(block).T], axis=1)
            found = np.concatenate([found, np.broadcast_to(block, (len(queries), len(block)))], axis=1)
            order = np.argsort(-scores, axis=1, kind="stable")[:, :k]  # ascending ids, so ties keep their order
            scores, found = np.take_along_axis(scores, order, 1), np.take_along_axis(found, order, 1)
        return SearchResult(scores, found)


class _Card:
    """PARTS flat indexes on one card, for one thread at a time.

    They share one `StandardGpuResources`: each of these takes over a gigabyte for temporary data.
    """

    def __init__(self, number: int, dimension: int, half: bool) -> None:
        faiss = load_faiss()
        self._name, self._lock = f"cuda:{number}", threading.Lock()
        with self._alone():
            self._resources = faiss.StandardGpuResources()
            config = faiss.GpuIndexFlatConfig()
            config.device, config.useFloat16 = number, half
            self._parts = [faiss.GpuIndexFlatIP(self._resources, dimension, config) for _ in range(PARTS)]

    def add(self, part: int, vectors: np.ndarray) -> None:
        """Append vectors to a part."""
        with self._alone():
            if len(vectors):
                self._parts[part].add(vectors)

    def search(self, queries: np.ndarray, wanted: int) -> list[tuple[np.ndarray, np.ndarray, bool]]:
        """Return of each part scores and rows (B, n) of its `wanted` best, or as many as it can, and whether it holds more."""
        found = []
        with self._alone():
            for part in self._parts:
                count = min(wanted, MOST, part.ntotal)
                if count:
                    found.append((*part.search(queries, count), count < part.ntotal))
                else:
                    found.append(
                        (np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64), False)
                    )
        return found

    def reconstruct(self, part: int, rows: np.ndarray) -> np.ndarray:
        """Return vectors float32 (n, D) of a part."""
        with self._alone():
            vectors: np.ndarray = self._parts[part].reconstruct_batch(rows)
        return vectors

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except RuntimeError as error:  # of FAISS, on several lines, with the place in its sources first
                reason = " ".join(str(error).split()).rpartition("Error: ")[2].partition(" Outstanding")[0]
                full = "out of memory" in str(error)
                remedy = (
                    "spread the vectors over more GPUs by `device` cuda" if full else "look at it with `nvidia-smi`"
                )
                raise EngineError(f"FAISS fails on {self._name} ({reason}): {remedy}, or use `device` cpu") from error
