"""The linear equations of a blend: one for each missing pixel, over its 4-neighbours in the photo (see `poisson`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def hole_equations(hole: NDArray[np.bool_]) -> tuple[Any, Any, NDArray[np.intp]]:
    """Return the equations of the N missing pixels of `hole` bool (h, w), in row-major order.

    Returns
    -------
    matrix : sparse (N, N)
        The Laplacian.
    coupling : sparse (N, M)
        Takes values at the M known pixels next to the hole to the right-hand side.
    known : int (M,)
        The flat places of these pixels.
    """
    from scipy import sparse

    flat = np.arange(hole.size, dtype=np.int32).reshape(hole.shape)
    one = np.concatenate([flat[:, :-1].ravel(), flat[:-1].ravel()])
    other = np.concatenate([flat[:, 1:].ravel(), flat[1:].ravel()])
    missing = hole.ravel()
    touched = missing[one] | missing[other]
    one, other = one[touched], other[touched]
    here, there = np.concatenate([one, other]), np.concatenate([other, one])
    from_hole = missing[here]
    here, there = here[from_hole], there[from_hole]

    count = int(missing.sum())
    number = np.zeros(hole.size, dtype=np.int32)
    number[missing] = np.arange(count, dtype=np.int32)
    to_hole = missing[there]
    known, column = np.unique(there[~to_hole], return_inverse=True)
    row = number[here]
    coupling = sparse.csr_matrix(
        (np.ones(len(column)), (row[~to_hole], column.astype(np.int32))), shape=(count, len(known))
    )
    diagonal = np.arange(count, dtype=np.int32)
    values = np.concatenate([np.bincount(row, minlength=count).astype(np.float64), np.full(to_hole.sum(), -1.0)])
    places = (np.concatenate([diagonal, row[to_hole]]), np.concatenate([diagonal, number[there[to_hole]]]))
    return sparse.csc_matrix((values, places), shape=(count, count)), coupling, known


def with_pull(matrix: Any, weights: NDArray[np.float64]) -> Any:
    """Return a matrix of `hole_equations` with weights (N,) added on its diagonal."""
    from scipy import sparse

    return (matrix + sparse.diags(weights)).tocsc()
