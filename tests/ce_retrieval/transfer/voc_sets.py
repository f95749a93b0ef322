"""A small set in the shape of PASCAL VOC, written by the tests."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ce_retrieval.transfer.voc_objects import CLASSES

BOX = (
    "<object><name>{name}</name><pose>Left</pose><truncated>{truncated}</truncated><difficult>{difficult}</difficult><bndbox>\
<xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox>{more}</object>"
)


def xml(*objects: str, width: int = 40, height: int = 30) -> str:
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><filename>000001.jpg</filename>{size}{''.join(objects)}</annotation>"


def boxed(name: str, box: tuple, *, truncated: int = 0, difficult: int = 0, more: str = "") -> str:
    return BOX.format(name=name, box=box, truncated=truncated, difficult=difficult, more=more)


def write_voc(root, count=6, *, classes=CLASSES, side=(40, 30), seed=0):
    """Write photos, sets `trainval` and `test` (each of `count`), and one annotation and mask; return their labels by part.

    Photo n shows the class n modulo the number of classes, by a colour of its own, and never as difficult but for the last.
    """
    rng = np.random.default_rng(seed)
    for folder in ("ImageSets/Main", "ImageSets/Segmentation", "JPEGImages", "Annotations", "SegmentationClass"):
        (root / folder).mkdir(parents=True)
    colours = rng.integers(30, 226, (len(classes), 3))
    labels = {}
    for part, first in (("trainval", 1), ("test", 1 + count)):
        names = [f"{number:06d}" for number in range(first, first + count)]
        shown = np.full((count, len(CLASSES)), -1)
        for row, name in enumerate(names):
            kind = row % len(classes)
            shown[row, CLASSES.index(classes[kind])] = 1
            noise = rng.integers(-20, 21, (side[1], side[0], 3))
            pixels = np.clip(colours[kind] + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / "JPEGImages" / f"{name}.jpg", quality=95)
        shown[-1, -1] = 0
        labels[part] = shown
        (root / "ImageSets/Main" / f"{part}.txt").write_text("\n".join(names) + "\n")
        for number, kind in enumerate(CLASSES):
            lines = [f"{name} {value:2d}" for name, value in zip(names, shown[:, number], strict=True)]
            (root / "ImageSets/Main" / f"{kind}_{part}.txt").write_text("\n".join(lines) + "\n")
    (root / "ImageSets/Segmentation/train.txt").write_text("000001\n")
    person = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></part>"
    objects = [boxed("cat", (1, 2, 40, 30), truncated=1), boxed("person", (5, 5, 9, 9.5), difficult=1, more=person)]
    (root / "Annotations/000001.xml").write_text(xml(*objects))
    mask = np.zeros((30, 40), np.uint8)
    mask[5:9, 5:9], mask[0, :] = 15, 255
    picture = Image.fromarray(mask, "L")
    picture.putpalette(rng.integers(0, 256, 768, dtype=np.uint8).tobytes())
    assert picture.mode == "P"
    picture.save(root / "SegmentationClass/000001.png")
    return labels
