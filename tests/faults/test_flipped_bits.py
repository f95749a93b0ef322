"""A flipped bit in every file of an index is found by `ceret verify` and by the commands that read it."""

import random

import pytest
import whole_index
from flips import Flips

# Who reads a file, whole; the others read none of it, or some rows that are compared one by one.
READERS = {
    "manifest": {"info", "verify", "query", "duplicates", "add", "remove", "compact", "tune", "relocate", "merge", "export"},
    "vectors": {"verify", "add", "tune", "merge", "export"},
    "photos": {"verify", "where", "duplicates", "add", "remove", "relocate", "merge", "export"},
    "kind": {"verify", "kinds", "add", "merge", "export"},
    "places": {"verify", "places", "add", "merge"},
    "codes": {"verify", "query", "where", "add"},
}  # fmt: skip


@pytest.fixture(scope="module")
def flips(collection):
    return Flips(collection)


@pytest.mark.parametrize("kind", READERS)
def test_a_flipped_bit_is_found_by_whoever_reads_the_file(kind, flips, whole):
    files = [file for file in whole_index.files_of(whole) if file.name.startswith(kind)]
    assert files
    file = files[-1]
    wrong, found = flips.faults(file, random.Random(7))
    assert not wrong, "\n".join(wrong)
    assert found >= READERS[kind]
