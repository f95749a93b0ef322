"""What an index holds, for the tests of its changes."""

import hashlib

import numpy as np

from ce_retrieval.photo_index import PhotoIndex

ONES = np.ones((1, 64), np.float32)


def described(index):
    """Name -> hash of every photo that a reader finds, by searching for all of them."""
    opened = PhotoIndex.open(index)
    grids = np.concatenate(list(opened.grids())).astype(np.float32)
    assert len(grids) == len(opened) == opened.table.num_rows == len(opened.labels)
    ids = sorted(opened.search(grids[:1], ONES, len(opened)).ids[0].tolist())
    return {opened.name_of(record): record.sha256 for record in opened.records(ids)}


def hashes_of(paths):
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
