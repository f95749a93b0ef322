"""Columns made and read without pyarrow's conversions."""

import numpy as np
import pyarrow as pa
import pytest

from ce_retrieval.photo_index import columns
from ce_retrieval.photo_index.columns import integers, numbers_of, texts, values_at

TEXTS = ["", "a", "mäßig", "山", "a" * 300, ""]


def test_columns_are_those_of_pyarrow():
    assert texts(TEXTS).equals(pa.array(TEXTS, pa.string()))
    assert integers([3, -1, 2**40]).equals(pa.array([3, -1, 2**40], pa.int64()))
    assert texts([]).equals(pa.array([], pa.string())) and integers([]).equals(pa.array([], pa.int64()))
    for made in (texts(TEXTS), integers(range(5))):
        made.validate(full=True)


def test_long_texts_are_kept_in_pieces(monkeypatch):
    monkeypatch.setattr(columns, "MOST_TEXT", 10)
    made = texts(TEXTS)
    assert isinstance(made, pa.ChunkedArray) and made.num_chunks > 2 and made.to_pylist() == TEXTS


@pytest.mark.parametrize("cuts", [[], [2], [1, 1, 4]])
def test_values_are_read_from_any_piece_and_part(cuts):
    whole = np.split(np.arange(len(TEXTS)), cuts)
    strings = pa.chunked_array([texts([TEXTS[row] for row in part]) for part in whole])
    numbers = pa.chunked_array([integers(part * 7) for part in whole])
    for start in (0, 1, 3):
        rows = np.array([2, 0, 2, 1])
        assert values_at(strings.slice(start), rows) == [TEXTS[start + row] for row in rows]
        assert values_at(numbers.slice(start), rows) == [7 * (start + row) for row in rows.tolist()]
        np.testing.assert_array_equal(numbers_of(numbers.slice(start)), 7 * np.arange(start, len(TEXTS)))
    assert values_at(strings, np.empty(0, np.int64)) == [] and numbers_of(numbers.slice(len(TEXTS))).tolist() == []
    assert numbers_of(pa.array([1, 2], pa.int8())).dtype == np.int8
