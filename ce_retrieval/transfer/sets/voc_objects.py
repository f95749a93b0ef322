"""The objects of a photo of PASCAL VOC: classes, boxes, and the XML that holds them."""

from __future__ import annotations

import math
from typing import NamedTuple
from xml.etree import ElementTree

from ce_retrieval.errors import SourceError, shown

#: In the order of the development kit: a mask holds 1 for the first; 0 is the background.
CLASSES = (
    *(
        "aeroplane",
        "bicycle",
        "bird",
        "boat",
        "bottle",
        "bus",
        "car",
        "cat",
        "chair",
        "cow",
        "diningtable",
        "dog",
        "horse",
    ),
    *("motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
_ENDS = ("xmin", "ymin", "xmax", "ymax")


class VocObject(NamedTuple):
    """An object of a photo.

    Attributes
    ----------
    name : str
        One of CLASSES.
    box : (xmin, ymin, xmax, ymax)
        px as in the file: the first pixel of a photo is 1, and both ends belong to the box.
    difficult : bool
        Hard to recognise: measures leave it out.
    """

    name: str
    box: tuple[float, float, float, float]
    difficult: bool


class Annotation(NamedTuple):
    """The size of a photo in px, and its objects in the order of the file."""

    width: int
    height: int
    objects: tuple[VocObject, ...]


class _DoctypeError(Exception):
    """The XML declares a document type, which could define entities."""


class _PlainTree(ElementTree.TreeBuilder):
    """Builds a tree of elements, and refuses a document type before any of its entities is read."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Refuse."""
        raise _DoctypeError


def parse_annotation(data: bytes, *, path: str) -> Annotation:
    """Return the objects of a file of `Annotations`.

    Parameters
    ----------
    data : the file.
    path : its path, for messages.

    Raises
    ------
    SourceError : the XML is broken or declares a document type, an element is missing, a class is unknown, or a box is
        malformed or lies outside the photo. Entities are never resolved.
    """
    try:
        root = ElementTree.fromstring(data, ElementTree.XMLParser(target=_PlainTree()))
    except _DoctypeError:
        raise SourceError(f"{path}: declares a document type, which VOC does not; use the file of VOC itself") from None
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # LookupError: of an unknown encoding
        raise SourceError(f"{path}: is not whole XML ({error}); copy the file again") from None
    width, height = (_side(root, f"size/{name}", path) for name in ("width", "height"))
    objects = root.findall("object")
    return Annotation(width, height, tuple(_object(one, width, height, path) for one in objects))


def _object(element: ElementTree.Element, width: int, height: int, path: str) -> VocObject:
    name = _text(element, "name", path)
    if name not in CLASSES:
        raise SourceError(f"{path}: {shown(name)} is not a class of VOC; use one of {', '.join(CLASSES)}")
    xmin, ymin, xmax, ymax = (_number(element, f"bndbox/{end}", path) for end in _ENDS)
    if not (1 <= xmin <= xmax <= width and 1 <= ymin <= ymax <= height):
        box = ", ".join(f"{value:g}" for value in (xmin, ymin, xmax, ymax))
        raise SourceError(
            f"{path}: the box {box} of a {name} is not within 1 to {width} and 1 to {height} px; correct it in the file"
        )
    return VocObject(name, (xmin, ymin, xmax, ymax), _is_difficult(element, path))


def _text(element: ElementTree.Element, place: str, path: str) -> str:
    text = (element.findtext(place) or "").strip()
    if not text:
        raise SourceError(f"{path}: <{element.tag}> has no {place}; use a file in the form of VOC")
    return text


def _number(element: ElementTree.Element, place: str, path: str) -> float:
    text = _text(element, place, path)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SourceError(f"{path}: {place} is {shown(text)}, expected a number; correct it in the file")
    return value


def _side(root: ElementTree.Element, place: str, path: str) -> int:
    value = _number(root, place, path)
    if value < 1 or value != int(value):
        raise SourceError(f"{path}: {place} is {value:g}, expected a whole number from 1; correct it in the file")
    return int(value)


def _is_difficult(element: ElementTree.Element, path: str) -> bool:
    """Return whether an object is marked as difficult; without the mark it is not, as in the development kit."""
    text = (element.findtext("difficult") or "0").strip()
    if text not in ("0", "1"):
        raise SourceError(f"{path}: difficult is {shown(text)}, expected 0 or 1; correct it in the file")
    return text == "1"
