"""Small grids, the indexes over them, and how their answers are compared."""

import numpy as np

from indexes.codebook import Codebook, training_ids
from indexes.faiss_index import FaissIndex
from indexes.masked import MaskedIndex
from indexes.pooled import PooledIndex

SIDE, CHANNELS, COUNT = 6, 4, 6000
CELLS = SIDE * SIDE


MASKS = {
    "one": np.arange(COUNT) == 4321,
    "few": np.arange(COUNT) % 600 == 7,
    "half": np.arange(COUNT) % 2 == 0,
    "nearly all": np.arange(COUNT) % 100 != 0,
    "all": np.ones(COUNT, bool),
}


def collection(count=COUNT, seed=0, offset=0.0):
    """Smooth grids in clusters, as photos are: float16 (count, CELLS, CHANNELS)."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(100).standard_normal((40, 3, 3, CHANNELS)).repeat(2, axis=1).repeat(2, axis=2)
    grids = centres[rng.integers(40, size=count)].reshape(count, CELLS, CHANNELS)
    coarse = rng.standard_normal((count, 3, 3, CHANNELS)).repeat(2, axis=1).repeat(2, axis=2)
    fine = rng.standard_normal((count, CELLS, CHANNELS))
    return (offset + grids + 0.5 * coarse.reshape(count, CELLS, CHANNELS) + 0.1 * fine).astype(np.float16)


def random_weights(rows, seed=3):
    rng = np.random.default_rng(seed)
    weights = rng.random((rows, CELLS)).astype(np.float32)
    weights[rng.random((rows, CELLS)) < 0.3] = 0
    weights[:, :10] = 1
    return weights


def one_group(rows):
    """Weights of cells of the first group of 1 x 1 cells."""
    weights = np.zeros((rows, CELLS), np.float32)
    weights[:, 0] = 1
    return weights


def exact_index(grids):
    index = MaskedIndex(FaissIndex(CELLS * CHANNELS + CELLS), CELLS, CHANNELS)
    index.add(grids)
    return index


def pooled_index(grids, rows=None, parts=2, effort=1.0):
    codebook = Codebook.train(grids[training_ids(len(grids))], parts)
    index = PooledIndex.by_codes(codebook, rows or grids.__getitem__, effort)
    for block in np.array_split(grids, 3):
        index.add(block)
    return index


def check_equal(found, expected):
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-4, atol=1e-6)


def check_distances(found, grids, queries, weights, allowed=None):
    """The distances found are those of the definition, ascending, of different and allowed grids."""
    for row in range(len(queries)):
        ids, grid = found.ids[row], queries[row].astype(np.float64)
        squares = ((grids[ids].astype(np.float64) - grid) ** 2).sum(axis=2) @ weights[row].astype(np.float64)
        np.testing.assert_allclose(found.scores[row], squares / weights[row].sum(dtype=np.float64), rtol=1e-5)
        assert (np.diff(found.scores[row]) >= 0).all() and len(set(ids.tolist())) == len(ids)
        assert allowed is None or allowed[ids].all()


def recall(found, expected):
    return np.mean(
        [len(set(a) & set(b)) / len(b) for a, b in zip(found.ids.tolist(), expected.ids.tolist(), strict=True)]
    )
