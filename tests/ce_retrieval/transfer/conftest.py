"""What the tests of detection and of segmentation share."""

import pytest
from transfer_networks import slim_alexnet
from voc_sets import write_objects

from ce_retrieval.transfer import runs


@pytest.fixture
def slim(monkeypatch):
    """A network of AlexNet's geometry and few channels in its place."""

    def initialised(init, *, side, units, classes, seed):
        return slim_alexnet(units=units, classes=classes, seed=seed)

    monkeypatch.setattr(runs, "initialised", initialised)


@pytest.fixture(scope="session")
def objects_folder(tmp_path_factory):
    """Photos of coloured boxes, with annotations, masks and proposals."""
    root = tmp_path_factory.mktemp("objects") / "VOC"
    write_objects(root)
    return root
