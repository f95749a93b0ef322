"""What a manifest must fulfil besides its checksum: a program that makes a mistake gets its checksum right too."""

import functools
import math
import os
import re
from collections.abc import Mapping
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ce_retrieval.errors import shown
from ce_retrieval.photo_index.kept_out import are_hashes
from ce_retrieval.photo_index.manifest_parts import PHOTOS, VECTORS, Segment

if TYPE_CHECKING:
    from ce_retrieval.photo_index.manifest import Manifest

T = TypeVar("T")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_SEGMENT_NAME = re.compile(r"\d{6,18}")
_FILE_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
_SOURCE_KINDS = ("file", "files", "folder", "parquet", "tar")
_WHOLE_NUMBERS = range(-(1 << 63), 1 << 63)  # as numpy and parquet hold them


def typed(cls: type[T], **values: Any) -> T:
    """Return a dataclass of values that were read; ValueError for one of another type, TypeError for an unknown name."""
    hints: Mapping[str, Any] = _hints(cls)  # type: ignore[arg-type]
    for name, value in values.items():
        if name in hints and not _fits(value, hints[name]):
            raise ValueError(f"{cls.__name__.lower()} has {name} {shown(value)}")
    return cls(**values)


@functools.cache
def _hints(cls: Any) -> Mapping[str, Any]:
    return get_type_hints(cls)


def _fits(value: Any, hint: Any) -> bool:
    if hint is int:
        return type(value) is int and value in _WHOLE_NUMBERS
    if hint is float:
        return type(value) in (int, float) and math.isfinite(value)
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    if hint is type(None):
        return value is None
    if get_origin(hint) is Mapping:
        return isinstance(value, Mapping) and all(
            _fits(one, kind) for pair in value.items() for one, kind in zip(pair, get_args(hint), strict=True)
        )
    return isinstance(value, get_origin(hint) or hint)  # tuples: `_parse` has made them of what it checked


def check_manifest(manifest: "Manifest", holes: tuple[str, ...], recipes: tuple[str, ...]) -> None:
    """Raise ValueError where parts of a manifest do not fit each other, or name what cannot be."""
    for name, value, low, high in (
        ("size", manifest.size, 1, 4096),
        ("cells", manifest.cells, 1, 1 << 24),
        ("channels", manifest.channels, 1, 1 << 24),
    ):
        _expect(low <= value <= high, f"{name} is {value}")
    _expect(manifest.hole in holes, f"hole is {shown(manifest.hole)}")
    _expect(manifest.recipe in recipes, f"recipe is {shown(manifest.recipe)}")
    for source in manifest.sources:
        _expect(source.kind in _SOURCE_KINDS, f"a source is of the kind {shown(source.kind)}")
        _expect(os.path.isabs(source.root) and "\0" not in source.root, f"a source is at {shown(source.root)}")
    names = [segment.name for segment in manifest.segments]
    _expect(len(set(names)) == len(names), "two segments have one name")
    for segment in manifest.segments:
        _check_segment(manifest, segment)
    kind, places, codes = manifest.kind, manifest.places, manifest.codes
    _expect(kind is None or (kind.channels >= 1 and kind.size >= 1), "its kind features have no size")
    _expect(places is None or (places.side >= 1 and places.most >= 1), "its local features have no size")
    if codes:
        _expect(codes.grid == manifest.grid, f"its codes are of grids {codes.grid}, not {manifest.grid}")
        _expect(codes.effort > 0 and codes.width > 1, f"its codes have effort {codes.effort}, width {codes.width}")
        _expect(codes.codebook.isascii() and _BASE64.fullmatch(codes.heads) is not None, "its codebook is not Base64")


def _check_segment(manifest: "Manifest", segment: Segment) -> None:
    name, count = f"segment {shown(segment.name)}", segment.count
    # A name is joined to the index's folder, and must not lead out of it.
    _expect(_SEGMENT_NAME.fullmatch(segment.name) is not None, f"{name} has no name of digits")
    wanted = {VECTORS, PHOTOS, manifest.kind_file, manifest.places and manifest.places.file} - {None}
    for file, stored in segment.files.items():
        _expect(_FILE_NAME.fullmatch(file) is not None, f"{name} has a file {shown(file)}")
        _expect(stored.bytes >= 0 and are_hashes([stored.sha256]), f"{name} has no size and SHA-256 of {file}")
    missing = sorted(str(one) for one in wanted - set(segment.files))
    _expect(not missing, f"{name} has no {', '.join(missing)}")
    room = segment.files[VECTORS].bytes
    # Before anything is allocated for this number of photos.
    _expect(count >= 0 and 2 * count * math.prod(manifest.grid) <= room, f"{name} has {count} photos in {room} bytes")
    for number in {one.source for one in segment.skipped} | {one.source for one in segment.repeats}:
        _expect(0 <= number < len(manifest.sources), f"{name} names source {number} of {len(manifest.sources)}")
    _expect(are_hashes([one.sha256 for one in segment.repeats]), f"{name} has a duplicate without SHA-256")


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
