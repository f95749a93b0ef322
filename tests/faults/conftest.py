"""What the tests of faults share: one index that has every kind of file."""

from pathlib import Path

import pytest
import whole_index

from ce_retrieval.descriptors.registry import DESCRIPTORS
from ce_retrieval.photo_index import batches, builder


@pytest.fixture(autouse=True, scope="module")
def small_parts():
    """Small segments, and a descriptor of kinds that takes no network."""
    from fake_kind import FakeKind

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "SEGMENT_ITEMS", whole_index.SEGMENT)
        patch.setattr(batches, "BATCH_ITEMS", whole_index.BATCH)
        patch.setitem(DESCRIPTORS, "kind", lambda argument, size: FakeKind(size))
        patch.setattr(builder, "missing_packages", list)
        yield


@pytest.fixture(scope="module")
def collection(tmp_path_factory) -> Path:
    """A folder of `whole_index.make_collection`; what it made is not to be changed."""
    folder = tmp_path_factory.mktemp("faults")
    whole_index.make_collection(folder)
    return folder


@pytest.fixture(scope="module")
def whole(collection) -> Path:
    return collection / "whole.ceret"
