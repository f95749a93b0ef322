"""Records are read once, segment by segment, and those that were asked for last stay in memory."""

import pytest

from ce_retrieval.photo_index import PhotoIndex, records


@pytest.fixture
def read(monkeypatch):
    """Return the segments that were read, in order."""
    found, whole = [], records.read_table

    def spied(path, segment, *more):
        found.append(segment.name)
        return whole(path, segment, *more)

    monkeypatch.setattr(records, "read_table", spied)
    return found


def test_the_segments_asked_for_last_stay_in_memory(index, read, monkeypatch):
    monkeypatch.setattr(records, "HELD", 2)
    opened = PhotoIndex.open(index)
    names = [segment.name for segment in opened.manifest.segments]
    starts = [sum(segment.count for segment in opened.manifest.segments[:number]) for number in range(3)]
    for segment, expected in ((0, [0]), (1, [1]), (0, []), (1, []), (0, []), (2, [2]), (0, []), (1, [1]), (2, [2])):
        opened.records([starts[segment], starts[segment] + 1])
        assert read == [names[one] for one in expected]
        read.clear()


def test_columns_are_read_once(index, read):
    opened = PhotoIndex.open(index)
    first = opened.columns("key", "width")
    assert len(read) == len(opened.manifest.segments)
    read.clear()
    assert opened.columns("width").column("width") == first.column("width") and not read
    assert opened.column("sha256").to_pylist() == [one.sha256 for one in opened.records(range(len(opened)))]
