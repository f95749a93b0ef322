"""Which photos a run has read: a file that has changed makes another run of it."""

import shutil

import pytest
from voc_sets import write_voc

from ce_retrieval.transfer.sets.box_labels import ObjectPhotos
from ce_retrieval.transfer.sets.class_labels import open_task
from ce_retrieval.transfer.sets.pixel_labels import MaskedPhotos
from ce_retrieval.transfer.sets.proposals import Proposals
from ce_retrieval.transfer.sets.voc_photos import fingerprint


def of_objects(root):
    return fingerprint(ObjectPhotos(root, "trainval", Proposals([root / "proposals.npz"])))


def of_masks(root):
    return fingerprint(MaskedPhotos(root, "train"))


@pytest.mark.parametrize(
    ("read", "files"),
    [
        (of_objects, ("JPEGImages/*.jpg", "Annotations/*.xml")),
        (of_masks, ("JPEGImages/*.jpg", "SegmentationClass/*.png")),
    ],
)
def test_a_changed_file_is_of_another_run(objects_folder, tmp_path, read, files):
    first = read(objects_folder)
    for number, pattern in enumerate(files):
        root = tmp_path / str(number)
        shutil.copytree(objects_folder, root)
        assert read(root) == first
        for path in root.glob(pattern):  # a JPEG, an XML and a PNG may end with more
            path.write_bytes(path.read_bytes() + b"\n")
        assert read(root) != first


def test_a_changed_photo_of_voc_classes_is_of_another_run(tmp_path):
    write_voc(tmp_path)
    with open_task(tmp_path, None, []) as task:
        first = task.fingerprint
    path = tmp_path / "JPEGImages/000002.jpg"
    path.write_bytes(path.read_bytes() + b"\n")
    with open_task(tmp_path, None, []) as task:
        assert task.fingerprint != first
