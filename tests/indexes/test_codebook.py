"""Codebooks: what they are trained on, what they make, and what they refuse."""

import numpy as np
import pytest

from indexes.base import EngineError
from indexes.codebook import Codebook, training_ids

GRIDS = np.random.default_rng(0).standard_normal((300, 36, 4)).astype(np.float16)


def test_training_rows_are_a_fixed_random_sample():
    assert training_ids(5).tolist() == [0, 1, 2, 3, 4]
    ids = training_ids(100_000)
    np.testing.assert_array_equal(ids, training_ids(100_000))
    assert len(set(ids.tolist())) == 3000 and (np.diff(ids) > 0).all()
    assert ids.min() < 1000 and ids.max() > 99_000, "from the whole collection"


def test_a_scan_ranks_by_the_distance_of_pooled_grids_to_their_codewords():
    book = Codebook.train(GRIDS, 2)
    codes = book.encode(GRIDS)
    assert codes.shape == (300, 36) and codes.dtype == np.uint8
    query, weights = GRIDS[:1].astype(np.float32), np.ones((1, 36), np.float32)
    scores, ids = book.scanner(codes).search(book.pooling.queries(query, weights, book.origin), 300)
    halves = np.stack([codes & 15, codes >> 4], axis=2).reshape(300, 72)
    words = book.centroids[np.arange(72), halves].reshape(300, -1)
    expected = (words @ book.pooling.queries(query, weights, book.origin)[0])[ids[0]]
    np.testing.assert_allclose(scores[0], expected, atol=0.02 * np.ptp(expected))  # the scan adds up bytes
    assert np.corrcoef(scores[0], expected)[0, 1] > 0.999


def test_a_codebook_is_made_anew_from_its_arrays():
    book = Codebook.train(GRIDS, 4)
    again = Codebook(book.origin, book.centroids)
    assert (again.cells, again.channels, again.parts, again.bytes_a_photo) == (36, 4, 4, 72)
    np.testing.assert_array_equal(again.encode(GRIDS[:50]), book.encode(GRIDS[:50]))


@pytest.mark.parametrize("cells", [1, 2, 12, 35])
def test_grids_that_are_not_square_are_refused(cells):
    with pytest.raises(EngineError, match=f"a grid of {cells} cells cannot be pooled.*search it exactly"):
        Codebook.train(np.zeros((20, cells, 4), np.float16), 2)


@pytest.mark.parametrize("parts", [0, 5])
def test_parts_that_channels_cannot_be_cut_into_are_refused(parts):
    with pytest.raises(EngineError, match=f"4 channels cannot be cut into {parts} parts: expected 1 to 4"):
        Codebook.train(GRIDS, parts)


def test_arrays_that_do_not_fit_are_refused():
    book = Codebook.train(GRIDS, 2)
    with pytest.raises(EngineError, match="no grids to train"):
        Codebook.train(GRIDS[:0], 2)
    with pytest.raises(EngineError, match=r"centroids of shape \(71, 16, 3\): expected"):
        Codebook(book.origin, book.centroids[1:])
    with pytest.raises(EngineError, match="grids of shape"):
        book.encode(GRIDS[:, :5])
