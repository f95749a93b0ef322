"""The manifest: the file that says what an index is and which segments it has."""

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ce_retrieval.errors import CorruptIndexError, PhotoIndexError, reason_of
from ce_retrieval.photo_index.codes import StoredCodes
from ce_retrieval.photo_index.kept_out import NOTHING, KeptOut
from ce_retrieval.photo_index.kinds import StoredKind
from ce_retrieval.photo_index.manifest_checks import check_manifest, typed
from ce_retrieval.photo_index.manifest_parts import Segment, Skipped, Source, StoredFile, digest
from ce_retrieval.photo_index.places import StoredPlaces
from ce_retrieval.photo_index.repeats import Repeat
from ce_retrieval.photo_index.row_ranges import ranges_text, rows_of_text
from ce_retrieval.reading import read_regular
from ce_retrieval.storage import replace_file

FORMAT = "ceret-index"
# 2 where a reader of 1 would answer wrongly: with removed photos, or sources of the kind `files`; 3 with kind features; 4
# with local features; 5 where photos are kept out, and 6 where duplicates are, which an older ceret would take up again; 7 with
# codes; 8 where these are in lists.
VERSIONS = (1, 2, 3, 4, 5, 6, 7, 8)
MANIFEST = "manifest.json"
HOLE_PROTOCOLS = ("none", "center")
AUTO, EXACT, POOLED, LISTS = RECIPES = "auto", "exact", "pooled", "lists"


@dataclass(frozen=True)
class Manifest:
    """What an index is.

    Attributes
    ----------
    descriptor : str
        Canonical spec.
    size : int
        Side in px to which photos were resized.
    cells, channels : int
        Shape of a grid.
    hole : str
        The protocol, one of HOLE_PROTOCOLS: "none", whole photos; "center", each described without its centre.
    sources : tuple of Source
        Numbered from 0; `PhotoRecord.source` is that number.
    weights_sha256 : str or None
        Hash of a learned descriptor's weights.
    kind : StoredKind or None
        What made the kind features; None where there are none.
    places : StoredPlaces or None
        What made the local features; None where there are none.
    kept_out : KeptOut
        Photos that were removed on purpose.
    skip_duplicates : bool
        Whether photos whose bytes the index has already are left out.
    recipe : str
        How the grids are to be searched, one of RECIPES: "auto" leaves it to their number.
    codes : StoredCodes or None
        What made the codes by which the grids are searched; None: they are searched exactly.
    segments : tuple of Segment
    complete : bool
        False until the first build has ended.
    libraries : name -> version
    """

    descriptor: str
    size: int
    cells: int
    channels: int
    hole: str
    sources: tuple[Source, ...]
    weights_sha256: str | None = None
    kind: StoredKind | None = None
    places: StoredPlaces | None = None
    kept_out: KeptOut = NOTHING
    skip_duplicates: bool = False
    recipe: str = AUTO
    codes: StoredCodes | None = None
    segments: tuple[Segment, ...] = ()
    complete: bool = False
    libraries: Mapping[str, str] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """The hash of the content: two indexes with the same hash hold the same vectors and records."""
        return digest(to_json(self)).sha256

    @property
    def grid(self) -> tuple[int, int]:
        """The shape of a grid: cells and channels."""
        return self.cells, self.channels

    @property
    def kind_file(self) -> str | None:
        """The file of each segment that holds kind features; None where there are none, or `kind_is_own`."""
        return self.kind.file if self.kind and not self.kind_is_own else None

    @property
    def kind_is_own(self) -> bool:
        """Whether the index's own features are its kind features too."""
        own = self.descriptor, self.size, self.channels
        return self.cells == 1 and self.kind is not None and dataclasses.astuple(self.kind)[:3] == own

    @functools.cached_property
    def count(self) -> int:
        """The number of photos: those in all segments but the removed ones."""
        return sum(segment.count - len(segment.removed) for segment in self.segments)

    @functools.cached_property
    def removed(self) -> int:
        """The number of removed photos, which segments still hold."""
        return sum(len(segment.removed) for segment in self.segments)

    @property
    def passed_over(self) -> tuple[Skipped, ...]:
        """What the sources hold and the index does not, of all segments."""
        return tuple(skipped for segment in self.segments for skipped in segment.skipped)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Of `passed_over`, the photos and folders that could not be read."""
        return tuple(skipped for skipped in self.passed_over if not skipped.is_pattern)

    def name_of(self, source: int, key: str) -> str:
        """Return the full name of a photo: the path of a file, or `container::key`."""
        place = self.sources[source]
        if place.is_folder:
            return os.path.join(place.root, key)
        return place.root if place.kind == "file" else f"{place.root}::{key}"


def library_versions(more: Sequence[str] = ()) -> dict[str, str]:
    """Return the versions of the libraries that shape the bytes of an index; `more` names those of its descriptor."""
    from importlib import metadata

    names = ("ceret", "numpy", "pillow", "numba", "h5py", "pyarrow", *more)
    return {name: metadata.version(name) for name in names}


def to_json(manifest: Manifest) -> bytes:
    """Return the content of a manifest file; its last entry is the SHA-256 of the others."""
    content = {"format": FORMAT, "version": VERSIONS[0], **dataclasses.asdict(manifest)}
    for segment in content["segments"]:
        if rows := segment.pop("removed"):
            segment["removed"] = ranges_text(rows)
        if not segment["repeats"]:
            del segment["repeats"]
    if manifest.removed or any(source.kind == "files" for source in manifest.sources):
        content["version"] = VERSIONS[1]
    if manifest.kind is None:
        del content["kind"]
    else:
        content["version"] = VERSIONS[2]
    if manifest.places is None:
        del content["places"]
    else:
        content["version"] = VERSIONS[3]
    del content["kept_out"]
    if manifest.kept_out:
        content |= {"version": VERSIONS[4], "kept_out": manifest.kept_out.content()}
    if content.pop("skip_duplicates"):
        content |= {"version": VERSIONS[5], "skip_duplicates": True}
    if manifest.codes is None:
        del content["codes"]
    else:
        content["version"] = VERSIONS[7 if manifest.codes.heads else 6]
        if not manifest.codes.heads:
            del content["codes"]["heads"]
    return _encoded({**content, "sha256": _checksum(content)})


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(_encoded(content)).hexdigest()


def _encoded(content: Mapping[str, Any]) -> bytes:
    # Path bytes that are not UTF-8 are lone surrogates in Python. Written as JSON escapes, they are read back unchanged.
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode(errors="backslashreplace")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest atomically."""
    replace_file(folder / MANIFEST, to_json(manifest))


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest of an index.

    Raises
    ------
    PhotoIndexError
        There is none, it has another format version, or it cannot be read.
    CorruptIndexError
        It is damaged.
    """
    path = folder / MANIFEST
    try:
        data = read_regular(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise _no_index(folder) from error
    except OSError as error:
        reason = reason_of(error)
        raise PhotoIndexError(f"{path} cannot be read: {reason}; make it readable, or give another index") from error
    try:
        content = json.loads(data)
        if content["format"] != FORMAT:
            raise PhotoIndexError(f"{path} is of format {content['format']!r}, expected {FORMAT!r}")
        if content["version"] not in VERSIONS:
            raise PhotoIndexError(
                f"{folder} has format version {content['version']}, this ceret reads versions 1 to {VERSIONS[-1]}: use the "
                "ceret that wrote it, or delete the folder and build it again with `ceret index`"
            )
        if content.pop("sha256") != _checksum(content):
            raise ValueError("its checksum does not match")
        return _parse(content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptIndexError(
            f"{path} is damaged ({type(error).__name__}: {error}): restore it from a copy, or delete {folder} and build it "
            "again with `ceret index`"
        ) from error


def _no_index(folder: Path) -> PhotoIndexError:
    if not folder.exists():
        return PhotoIndexError(f"no index at {folder}: make one with `ceret index`")
    return PhotoIndexError(
        f"{folder} is not a ceret index (it has no {MANIFEST}): give the folder that `ceret index` wrote"
    )


def _parse(content: dict[str, Any]) -> Manifest:
    """Build the dataclasses; unknown and missing keys raise TypeError, what cannot be ValueError."""
    fields = {key: value for key, value in content.items() if key not in ("format", "version")}
    segments = []
    for segment in fields.pop("segments"):
        files = {name: typed(StoredFile, **stored) for name, stored in segment.pop("files").items()}
        skipped = tuple(typed(Skipped, **item) for item in segment.pop("skipped"))
        removed = rows_of_text(segment.pop("removed", ""), segment["count"])
        repeats = tuple(typed(Repeat, **one) for one in segment.pop("repeats", ()))
        segments.append(typed(Segment, files=files, skipped=skipped, removed=removed, repeats=repeats, **segment))
    sources = tuple(typed(Source, **source) for source in fields.pop("sources"))
    kind = typed(StoredKind, **fields.pop("kind")) if "kind" in fields else None
    places = typed(StoredPlaces, **fields.pop("places")) if "places" in fields else None
    codes = typed(StoredCodes, **fields.pop("codes")) if "codes" in fields else None
    out = KeptOut.of_content(fields.pop("kept_out"), len(sources)) if "kept_out" in fields else NOTHING
    manifest = typed(
        Manifest,
        segments=tuple(segments),
        sources=sources,
        kind=kind,
        places=places,
        kept_out=out,
        codes=codes,
        **fields,
    )
    check_manifest(manifest, HOLE_PROTOCOLS, RECIPES)
    return manifest
