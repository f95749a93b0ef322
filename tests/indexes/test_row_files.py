"""Rows read from files by their numbers."""

import os

import numpy as np
import pytest

from indexes import row_files
from indexes.base import EngineError
from indexes.row_files import RowFile, RowFiles, row_checks


@pytest.fixture
def grids():
    return np.random.default_rng(0).standard_normal((50, 6, 3)).astype(np.float16)


@pytest.fixture
def files(tmp_path, grids):
    found = []
    for number, (start, stop, before) in enumerate([(0, 20, 0), (20, 20, 7), (20, 50, 33)]):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(b"x" * before + grids[start:stop].tobytes() + b"after")
        found.append(RowFile(path, before, stop - start, row_checks(grids[start:stop])))
    return found


@pytest.mark.parametrize("rows", [[], [0], [49], [19, 20], [0, 3, 19, 20, 21, 49], [30, 2, 2, 40]])
def test_rows_are_those_of_the_files(files, grids, rows):
    read = RowFiles(files, 6, 3)
    assert len(read) == 50
    found = read(np.array(rows, np.int64))
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, grids[rows])
    read.close()


def test_more_files_than_are_kept_open_are_read(files, grids, monkeypatch):
    monkeypatch.setattr(row_files, "MOST_OPEN", 1)
    read = RowFiles(files, 6, 3)
    for _ in range(2):
        np.testing.assert_array_equal(read(np.arange(50)), grids)
    assert len(read._open) == 1
    read.close()


def test_rows_that_do_not_count_are_passed_over(files, grids):
    files[0] = RowFile(files[0].path, 0, 20, files[0].checks, np.array([0, 7, 19]))
    read = RowFiles(files, 6, 3)
    assert len(read) == 33
    np.testing.assert_array_equal(read(np.array([0, 1, 2, 3, 32])), grids[[0, 7, 19, 20, 49]])
    read.close()


@pytest.mark.parametrize("bit", [0, 77, 287])
def test_a_flipped_bit_of_a_row_that_is_read_is_an_error(files, grids, bit):
    data = bytearray(files[2].path.read_bytes())
    data[33 + 5 * 36 + bit // 8] ^= 1 << bit % 8
    files[2].path.write_bytes(data)
    read = RowFiles(files, 6, 3)
    np.testing.assert_array_equal(read(np.array([24, 26])), grids[[24, 26]])
    with pytest.raises(EngineError, match=f"{files[2].path} is altered: bytes 213 to 249"):
        read(np.array([25]))
    read.close()


def test_rows_out_of_range_are_refused(files):
    read = RowFiles(files, 6, 3)
    for row in (-1, 50):
        with pytest.raises(EngineError, match="expected 0 to 49"):
            read(np.array([row]))
    read.close()


def test_a_file_that_is_missing_or_short_is_named(files):
    files[2].path.write_bytes(files[2].path.read_bytes()[:-10])
    with pytest.raises(EngineError, match=f"{files[2].path} has .* bytes, expected at least 1113"):
        RowFiles(files, 6, 3)
    files[2].path.unlink()
    with pytest.raises(EngineError, match=f"{files[2].path} cannot be opened \\(No such file"):
        RowFiles(files, 6, 3)


def test_a_file_that_was_cut_since_is_an_error(files):
    read = RowFiles(files, 6, 3)
    with open(files[2].path, "r+b") as file:
        file.truncate(40)
    with pytest.raises(EngineError, match="has become shorter"):
        read(np.array([45]))
    read.close()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the system does not list open files")
def test_no_file_stays_open(files, monkeypatch):
    """Neither after it is closed or forgotten, nor where a later file cannot be opened or is too short."""

    def opened():
        return [one for one in map(os.path.realpath, os.scandir("/proc/self/fd")) if one.endswith(".bin")]

    read = RowFiles(files, 6, 3)
    assert len(opened()) == 3
    read.close()
    assert not opened()
    read = RowFiles(files, 6, 3)
    del read
    assert not opened()
    monkeypatch.setattr(row_files, "MOST_OPEN", 1)
    read = RowFiles(files, 6, 3)
    read(np.arange(50))
    assert len(opened()) == 1
    read.close()
    files[2].path.write_bytes(b"short")
    with pytest.raises(EngineError, match="expected at least") as told:
        RowFiles(files, 6, 3)
    assert told.tb and not opened(), "even while the error still holds what it was to make"
