"""Which files ceret wrote: it replaces these alone, and passes them over where it reads photos from folders."""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ce_retrieval.errors import StorageError

SOFTWARE = "ceret"  # first entry of a record: a part of one, left by a loss of power, is known by it
CANDIDATES, INDEX = ".candidates", ".ceret"  # suffixes of folders
MOST_BYTES = 255  # of a file's name
RESULTS = "results.json"  # of an evaluation
SHEET = re.compile(r"sheet-\d\d\.png")
TABLE_START = "| method | L1 % |"
_RECORD_KEYS = {"files", "hole", "method", "settings", "candidates"}
_EVALUATION_KEYS = {"about", "settings", "methods", "photos", "leaks"}
_RECORD_START = f'{{\n "software": "{SOFTWARE}"'.encode()
_MANIFEST_START = b'{\n "format": "ceret-index"'
_KEYWORD = b"Software\0ceret "  # the SHA-256 of the rest of the file follows, in hexadecimal
_HEADER = 33  # bytes of a PNG before its second chunk
_MARK = 12 + len(_KEYWORD) + 64  # bytes of the chunk
_PNG_END = b"IEND\xaeB`\x82"


def beside_name(stem: str) -> str:
    """Return the name of the folder of pictures beside a result, cut where a file system would refuse it."""
    name = f"{stem}{CANDIDATES}"
    if len(os.fsencode(name)) <= MOST_BYTES:
        return name
    end = f"~{hashlib.sha256(os.fsencode(stem)).hexdigest()[:8]}{CANDIDATES}"
    return os.fsencode(stem)[: MOST_BYTES - len(end)].decode(errors="ignore") + end


def marked(png: bytes | memoryview) -> bytes:
    """Return a PNG with a text chunk that names ceret and holds the hash of the rest: a later change shows."""
    png = bytes(png)
    content = b"tEXt" + _KEYWORD + hashlib.sha256(png).hexdigest().encode()
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return png[:_HEADER] + chunk + png[_HEADER:]


def is_marked(path: Path) -> bool:
    """Return whether a file is a PNG as `marked` returned it, or a part of one that a loss of power left."""
    try:
        with open(path, "rb") as file:
            start = file.read(_HEADER + _MARK)
            if not start[_HEADER + 8 :].startswith(_KEYWORD):
                return False
            rest = file.read()
    except OSError:
        return False
    digest = hashlib.sha256(start[:_HEADER] + rest).hexdigest().encode()
    return start[_HEADER + 8 + len(_KEYWORD) : -4] == digest or not rest.endswith(_PNG_END)


def read_record(path: Path) -> dict[str, Any] | None:
    """Return the record STEM.json of a completion, None where there is none that ceret wrote."""
    return _read_json(path, _RECORD_KEYS)


def is_own(path: Path) -> bool:
    """Return whether ceret wrote a file and nobody has changed it since, as far as that can be told.

    An empty file has nothing to lose, and counts too.
    """
    try:
        if path.is_file() and path.stat().st_size == 0:
            return True
    except OSError:
        return False
    if path.suffix == ".json":
        return _starts_with(path, _RECORD_START) or bool(_read_json(path, _RECORD_KEYS, _EVALUATION_KEYS))
    if path.suffix == ".md":
        return _starts_with(path, TABLE_START.encode())
    return (
        is_marked(path) or _is_recorded(path) or (bool(SHEET.fullmatch(path.name)) and _holds_evaluation(path.parent))
    )


def check_free(path: Path, inputs: Mapping[str, Path] | None = None) -> None:
    """Raise StorageError where a result at `path` would replace an input, or a file that ceret did not write.

    Parameters
    ----------
    path : Path
        Where the result goes.
    inputs : mapping or None
        What the run reads, by what it is: "photo", "mask".
    """
    if not os.path.lexists(path):
        return
    for kind, given in (inputs or {}).items():
        if path.exists() and given.exists() and path.samefile(given):
            raise StorageError(f"the result would overwrite the {kind} {given}: choose another place for the result")
    if not is_own(path):
        raise foreign(path)


def foreign(path: Path) -> StorageError:
    """Return the error for a file that stands where a result should go."""
    return StorageError(
        f"{path} is there already, and ceret did not write it or it has changed since: move it away, or choose another "
        "place for the result"
    )


def own_names(folder: str, names: Collection[str]) -> set[str]:
    """Return which entries of a folder are results of ceret, by their names and the records beside them.

    Parameters
    ----------
    folder : path
    names : of its entries, those of folders with a "/" at their end.
    """
    own = {name for name in names if name.endswith((CANDIDATES + "/", INDEX + "/"))}
    own |= {name for name in names if name.endswith(".png") and _is_named_by_record(folder, name, names)}
    sheets = {name for name in names if SHEET.fullmatch(name)}
    if sheets and RESULTS in names and _holds_evaluation(Path(folder)):
        own |= sheets
    if "segments/" in names and _starts_with(Path(folder, "manifest.json"), _MANIFEST_START):
        own.add("segments/")
    if "samples/" in names and {"best.safetensors", "metrics.csv"} <= set(names):  # of a training run
        own.add("samples/")
    return own


def _is_named_by_record(folder: str, name: str, names: Collection[str]) -> bool:
    record = f"{name.removesuffix('.png')}.json"
    if record not in names:
        return False
    found = read_record(Path(folder, record))
    return found is not None and name in found["files"]


def _holds_evaluation(folder: Path) -> bool:
    return _read_json(folder / RESULTS, _EVALUATION_KEYS) is not None


def _is_recorded(path: Path) -> bool:
    """Return whether a picture is as the record beside it says: FOLDER/STEM.png, or FOLDER/STEM.candidates/NAME."""
    folder, name = path.parent, path.name
    if folder.name.endswith(CANDIDATES):
        folder, name = folder.parent, f"{folder.name}/{name}"
        stem = path.parent.name.removesuffix(CANDIDATES)
    else:
        stem = path.stem
    record = read_record(folder / f"{stem}.json")
    if record is None or not isinstance(record["files"].get(name), str):
        return False
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == record["files"][name]
    except OSError:
        return False


def _read_json(path: Path, *kinds: set[str]) -> dict[str, Any] | None:
    """Return a JSON object that has all the keys of one of the kinds, else None."""
    try:
        with open(path, "rb") as file:
            start = file.read(3)
            if start != b"{\n ":  # as ceret writes JSON: another file is not read any further
                return None
            found = json.loads(start + file.read())
    except (OSError, ValueError, RecursionError):
        return None
    if not (isinstance(found, dict) and any(keys <= found.keys() for keys in kinds)):
        return None
    return found if isinstance(found.get("files", {}), dict) else None


def _starts_with(path: Path, start: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(start)) == start
    except OSError:
        return False
