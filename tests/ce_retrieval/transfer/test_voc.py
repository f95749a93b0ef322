"""Reading PASCAL VOC: what is in a file comes back, and what is not VOC is refused by a line that names the file."""

import numpy as np
import pytest
from PIL import Image
from voc_sets import boxed, write_voc, xml

from ce_retrieval.errors import PhotoError, SourceError
from ce_retrieval.transfer.sets.voc import VOID, VocFolder
from ce_retrieval.transfer.sets.voc_objects import CLASSES, VocObject


@pytest.fixture
def root(tmp_path):
    write_voc(tmp_path / "VOC2007", 2)
    return tmp_path / "VOC2007"


def refused(call, *words, error=SourceError):
    with pytest.raises(error) as told:
        call()
    text = str(told.value)
    assert "\n" not in text and all(word in text for word in words), text


def test_sets_and_labels(tmp_path):
    labels = write_voc(tmp_path / "set")
    folder = VocFolder(tmp_path / "set")
    names, found = folder.labels("test")
    assert names == folder.names("test") == tuple(f"{n:06d}" for n in range(7, 13))
    assert found.dtype == np.int8 and np.array_equal(found, labels["test"]) and found[-1, -1] == 0
    assert np.array_equal(folder.labels("trainval")[1], labels["trainval"])
    assert folder.names("train", "Segmentation") == ("000001",)


def test_objects_photos_and_masks(root):
    folder = VocFolder(root)
    about = folder.annotation("000001")
    assert (about.width, about.height) == (40, 30)
    assert about.objects == (
        VocObject("cat", (1, 2, 40, 30), False),
        VocObject("person", (5, 5, 9, 9.5), True),
    )
    assert folder.photo("000001").shape == (30, 40, 3) and folder.photo("000001", 16).shape == (16, 16, 3)
    mask = folder.mask("000001")
    assert mask.shape == (30, 40) and mask[6, 6] == 1 + CLASSES.index("person") and (mask[0] == VOID).all()
    assert set(np.unique(mask)) == {0, 15, VOID}


def test_folders_that_are_not_voc(root, tmp_path):
    refused(lambda: VocFolder(tmp_path), "ImageSets", f"give {root}")
    refused(lambda: VocFolder(tmp_path / "none"), str(tmp_path / "none"), "VOCdevkit/VOC2007")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        ("000001\n", "1 words"),
        ("000001 2\n", "'2'"),
        ("../secret 1\n", "'../secret'"),
        ("000001 1\n000001 1\n", "twice (000001)"),
        ("".join(f"{number:06d} 1\n" for number in [*range(20_000), 7]), "twice (000007)"),  # as many as VOC 2012 has
        ("000001 1\n", "other photos than aeroplane_test.txt"),
        ("é 1\n", "not a text"),
    ],
)
def test_broken_sets(root, text, word):
    file = root / "ImageSets/Main/bird_test.txt"
    if "twice" in word:
        file = root / "ImageSets/Main/aeroplane_test.txt"
    file.write_text(text)
    refused(lambda: VocFolder(root).labels("test"), str(file), word, "copy")


def test_missing_files(root):
    folder = VocFolder(root)
    refused(lambda: folder.names("none"), "none.txt", "no such file", "again")
    refused(lambda: folder.annotation("000002"), "000002.xml", "no such file")
    refused(lambda: folder.photo("999999"), "999999.jpg", "no such file")
    refused(lambda: folder.mask("000002"), "000002.png", "no such file")
    (root / "JPEGImages/000001.jpg").write_bytes(b"nothing")
    refused(lambda: folder.photo("000001"), "000001.jpg", error=PhotoError)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("<annotation><object>", "whole XML"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "whole XML"),
        ("<annotation/>", "size/width"),
        (xml(width=0), "size/width is 0"),
        (xml(boxed("zebra", (1, 1, 2, 2))), "'zebra' is not a class"),
        (xml(boxed("cat", (0, 1, 2, 2))), "the box 0, 1, 2, 2 of a cat"),
        (xml(boxed("cat", (1, 1, 41, 2))), "within 1 to 40"),
        (xml(boxed("cat", (3, 1, 2, 2))), "the box"),
        (xml(boxed("cat", ("nan", 1, 2, 2))), "'nan'"),
        (xml(boxed("cat", (1, 1, 2, 2), difficult=3)), "difficult is '3'"),
        (xml("<object><name>cat</name></object>"), "bndbox/xmin"),
        ('<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><annotation>&e;</annotation>', "document type"),
    ],
)
def test_broken_annotations(root, text, word):
    (root / "Annotations/000001.xml").write_text(text)
    refused(lambda: VocFolder(root).annotation("000001"), "000001.xml", word)


def test_a_document_type_in_another_encoding_is_refused_too(root):
    text = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY e "cat">]><annotation/>'
    (root / "Annotations/000001.xml").write_bytes(text.encode("utf-16"))
    refused(lambda: VocFolder(root).annotation("000001"), "document type")


def test_broken_masks(root):
    path, folder = root / "SegmentationClass/000001.png", VocFolder(root)
    Image.fromarray(np.full((4, 4), 21, np.uint8)).save(path)
    refused(lambda: folder.mask("000001"), str(path), "value 21", "SegmentationClass")
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)
    refused(lambda: folder.mask("000001"), "RGB")
    path.write_bytes(path.read_bytes()[:40])
    refused(lambda: folder.mask("000001"), "not a PNG")
