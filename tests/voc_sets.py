"""A small set in the shape of PASCAL VOC, written by the tests."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ce_retrieval.transfer.sets.voc_objects import CLASSES

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


def write_objects(root, counts=(("trainval", 8), ("test", 4), ("train", 8), ("val", 4)), *, side=(96, 80), seed=0):
    """Write photos of one or two coloured boxes on grey noise, with annotations, masks, and proposals.npz beside them.

    The boxes of the classes car and dog are red and blue; each is among its photo's proposals, moved a little.
    """
    rng = np.random.default_rng(seed)
    for folder in ("ImageSets/Main", "ImageSets/Segmentation", "JPEGImages", "Annotations", "SegmentationClass"):
        (root / folder).mkdir(parents=True)
    proposals, number = {}, 0
    for part, count in counts:
        names = []
        for _ in range(count):
            number += 1
            name = f"{number:06d}"
            names.append(name)
            pixels = rng.integers(100, 156, (side[1], side[0], 3))
            mask, objects, near = np.zeros((side[1], side[0]), np.uint8), [], []
            for place in range(1 + number % 2):
                kind = ("car", "dog")[(number // 2 + place) % 2]
                width, height = rng.integers(28, 44, 2)
                left, top = rng.integers(1, (side[0] // 2 - width // 2, side[1] - height))
                left = min(left + place * (side[0] // 2 - 12), side[0] - width)
                part_of = np.s_[top : top + height, left : left + width]
                pixels[part_of] = {"car": (220, 60, 50), "dog": (40, 70, 230)}[kind] + rng.integers(
                    -20, 21, (height, width, 3)
                )
                mask[part_of] = 1 + CLASSES.index(kind)
                box = np.array([left + 1, top + 1, left + width, top + height])
                objects.append(boxed(kind, tuple(box)))
                near.append(np.clip(box + rng.integers(-3, 4, 4), 1, [side[0], side[1], side[0], side[1]]))
            ends = np.sort(rng.integers(1, (side[0], side[1]), (20, 2, 2)), axis=1).reshape(20, 4)
            proposals[name] = np.concatenate([near, ends]).astype(np.float32)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / "JPEGImages" / f"{name}.jpg", quality=95)
            Image.fromarray(mask).save(root / "SegmentationClass" / f"{name}.png")
            (root / "Annotations" / f"{name}.xml").write_text(xml(*objects, width=side[0], height=side[1]))
        task = "Segmentation" if part in ("train", "val") else "Main"
        (root / "ImageSets" / task / f"{part}.txt").write_text("\n".join(names) + "\n")
    np.savez(root / "proposals.npz", **proposals)
