"""Reading files whole."""

import os

import pytest

from ce_retrieval import reading
from ce_retrieval.reading import LongFileError, NotAFileError, read_regular


@pytest.mark.parametrize("size", [0, 1, 4097, (1 << 20) + 3])
def test_the_content_is_all_of_the_file(tmp_path, size):
    path = tmp_path / "file"
    path.write_bytes(content := os.urandom(size))
    assert read_regular(path) == content
    assert read_regular(path, size) == content


def test_a_file_that_is_read_in_parts_or_has_no_true_size_is_read_to_its_end(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(content := os.urandom(3000))
    real = os.read
    monkeypatch.setattr(reading.os, "read", lambda descriptor, count: real(descriptor, min(count, 1000)))
    assert read_regular(path) == content
    monkeypatch.undo()
    with open("/proc/self/status", "rb") as file:  # its size is 0
        assert read_regular("/proc/self/status").splitlines()[0] == file.readline().strip()


def test_what_is_too_long_or_is_not_a_file_is_an_error_and_leaves_nothing_open(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(10))
    os.mkfifo(tmp_path / "pipe")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(LongFileError) as caught:
        read_regular(path, 9)
    assert caught.value.size == 10
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path)
    with pytest.raises(NotAFileError):
        read_regular(tmp_path / "pipe")
    assert len(os.listdir("/proc/self/fd")) == before
