"""Pooled vectors: sums and means of groups, against the distance of pooled photos by its definition."""

import numpy as np
import pytest

from indexes.pooling import Pooling


def group_of(side, pool):
    rows = np.arange(side) // pool
    return (rows[:, None] * (rows[-1] + 1) + rows).reshape(-1)


# Cells a side, cells a side of a group, groups, codes of a group
SIDES = [(2, 1, 4), (4, 1, 16), (8, 1, 64), (9, 2, 25), (15, 2, 64), (16, 2, 64), (32, 4, 64), (33, 5, 49)]


@pytest.mark.parametrize(("side", "pool", "groups"), SIDES)
@pytest.mark.parametrize(("channels", "parts"), [(4, 2), (3, 2), (1, 1), (5, 3)])
def test_products_rank_as_distances_to_the_pooled_photos(side, pool, groups, channels, parts):
    rng = np.random.default_rng(0)
    cells, origin = side * side, rng.standard_normal((side * side, channels))
    photos, queries = (rng.standard_normal((n, cells, channels)).astype(np.float16) for n in (7, 3))
    weights = rng.random((3, cells)).astype(np.float32) * (rng.random((3, cells)) < 0.7)
    pooling = Pooling(cells, channels, parts)
    assert pooling.groups == groups
    stored, asked = pooling.photos(photos, origin), pooling.queries(queries, weights, origin)
    assert stored.shape == (7, pooling.dimension) and stored.dtype == asked.dtype == np.float32

    member = group_of(side, pool)[:, None] == np.arange(groups)
    mean = member / member.sum(axis=0)
    x, q, w = photos.astype(np.float64) - origin, queries.astype(np.float64) - origin, weights.astype(np.float64)
    centres = np.einsum("gp,ngc->npc", mean, x)[:, member.argmax(axis=1)]  # of each cell's group
    norms = (centres**2).sum(axis=2)
    expected = 2 * np.einsum("bg,bgc,ngc->bn", w, q, centres) - np.einsum("bg,ng->bn", w, norms)
    np.testing.assert_allclose(asked.astype(np.float64) @ stored.T, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(pooling.weights(weights), w @ member, rtol=1e-5, atol=1e-6)


def test_without_detail_in_a_group_nothing_is_lost():
    rng = np.random.default_rng(1)
    coarse = rng.standard_normal((9, 8, 8, 4)).astype(np.float32)
    photos = coarse.repeat(2, axis=1).repeat(2, axis=2).reshape(9, 256, 4)
    query, weights = rng.standard_normal((1, 256, 4)).astype(np.float32), rng.random((1, 256)).astype(np.float32)
    pooling, origin = Pooling(256, 4, 2), np.zeros((256, 4), np.float32)
    products = pooling.queries(query, weights, origin) @ pooling.photos(photos, origin).T
    constant = (weights * (query**2).sum(axis=2)).sum()
    distances = ((photos - query) ** 2).sum(axis=2) @ weights[0]
    np.testing.assert_allclose(constant - products[0], distances, rtol=1e-4)
