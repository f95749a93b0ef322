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
from ce_retrieval.reading import first_bytes, open_regular, read_regular
from ce_retrieval.storage import check_is_file

SOFTWARE = "ceret"  # first entry of a record: a part of one, left by a loss of power, is known by it
CANDIDATES, INDEX = ".candidates", ".ceret"  # suffixes of folders
MOST_BYTES = 255  # of a file's name
CONTEXTS, EXPERIMENT = "contexts.json", "experiment.md"  # what the commands of these names write
RESULTS = "results.json"  # of an evaluation or a transfer: each has a key that the other lacks
EVALUATION, TRANSFER = "methods", "seeds"
_RECORD_KEYS = {"files", "hole", "method", "settings", "candidates"}
_RECORD_START = f'{{\n "software": "{SOFTWARE}"'.encode()
_MANIFEST_START = b'{\n "format": "ceret-index"'
_KEYWORD = b"Software\0ceret "  # the SHA-256 of the rest of the file follows, in hexadecimal
_HEADER = 33  # bytes of a PNG before its second chunk
_MARK = 12 + len(_KEYWORD) + 64  # bytes of the chunk
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
# How sealed texts end: with the SHA-256 of what is before, or of the JSON without this entry.
_JSON_SEAL = re.compile(rb',\n "sha256": "([0-9a-f]{64})"\n\}\n\Z')
_JSON_END = b"\n}\n"
_TEXT_SEAL = re.compile(rb"<!-- ceret: SHA-256 of the above ([0-9a-f]{64}) -->\n\Z")
_PDF_SEAL = re.compile(rb"% ceret: SHA-256 of the above ([0-9a-f]{64})\n\Z")
_TEXT_SEALS = {".md": _TEXT_SEAL, ".html": _TEXT_SEAL, ".pdf": _PDF_SEAL}


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
        with open_regular(path) as file:
            start = file.read(_HEADER + _MARK)
            if not start[_HEADER + 8 :].startswith(_KEYWORD):
                return False
            rest = file.read()
    except OSError:
        return False
    digest = hashlib.sha256(start[:_HEADER] + rest).hexdigest().encode()
    return start[_HEADER + 8 + len(_KEYWORD) : -4] == digest or _PNG_END not in rest


def sealed_json(text: str) -> bytes:
    """Return a JSON object, one line an entry, with the hash of its text as the last entry: a later change shows.

    A name that is not valid UTF-8 is written with JSON's own escapes.
    """
    data = text.encode(errors="backslashreplace")
    return data.removesuffix(b"\n}\n") + f',\n "sha256": "{hashlib.sha256(data).hexdigest()}"\n}}\n'.encode()


def sealed_text(text: str) -> bytes:
    """Return Markdown or HTML with a comment at its end that holds the hash of the rest: a later change shows."""
    data = text.encode(errors="backslashreplace")
    return data + f"<!-- ceret: SHA-256 of the above {hashlib.sha256(data).hexdigest()} -->\n".encode()


def sealed_pdf(data: bytes) -> bytes:
    """Return a PDF with a comment behind its end that holds the hash of the rest: a later change shows."""
    return data + f"% ceret: SHA-256 of the above {hashlib.sha256(data).hexdigest()}\n".encode()


def is_sealed(path: Path) -> bool:
    """Return whether a file is as the functions above made it, or a part of a record that a loss of power left."""
    try:
        data = read_regular(path)
    except OSError:
        return False
    if path.suffix in _TEXT_SEALS:
        return _is_whole(data, _TEXT_SEALS[path.suffix], b"")
    if _JSON_SEAL.search(data) is None:
        return data.startswith(_RECORD_START) and b"\n}" not in data
    return _is_whole(data, _JSON_SEAL, _JSON_END)


def _is_whole(data: bytes, seal: re.Pattern[bytes], end: bytes) -> bool:
    """Return whether data have a seal, and it is of what stands before it, and of what ended that."""
    found = seal.search(data)
    return found is not None and hashlib.sha256(data[: found.start()] + end).hexdigest().encode() == found[1]


def sealed_values(path: Path) -> dict[str, Any] | None:
    """Return the JSON object of a file of `sealed_json`; None where there is none, or a part of one."""
    try:
        data = read_regular(path)
        values = json.loads(data) if _is_whole(data, _JSON_SEAL, _JSON_END) else None
    except (OSError, ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def read_record(path: Path) -> dict[str, Any] | None:
    """Return the record STEM.json of a completion, None where there is none that ceret wrote."""
    try:
        with open_regular(path) as file:
            start = file.read(3)
            if start != b"{\n ":  # as ceret writes JSON: another file is not read any further
                return None
            found = json.loads(start + file.read())
    except (OSError, ValueError, RecursionError):
        return None
    if not (isinstance(found, dict) and found.keys() >= _RECORD_KEYS):
        return None
    return found if isinstance(found["files"], dict) else None


def is_own(path: Path) -> bool:
    """Return whether ceret wrote a file and nobody has changed it since, as far as that can be told.

    A file that holds nothing has nothing to lose, and counts too: an empty one, or what a loss of power left of a result.
    """
    try:
        if path.is_file() and _holds_nothing(path):
            return True
    except OSError:
        return False
    return is_sealed(path) if path.suffix in (".json", *_TEXT_SEALS) else is_marked(path) or _is_recorded(path)


def _holds_nothing(path: Path) -> bool:
    """Return whether a file is empty, all zeros, or the first bytes of a record or of a PNG."""
    start = first_bytes(path, _HEADER)
    if start[:1] == b"\0":
        return not read_regular(path).strip(b"\0")
    begun = _RECORD_START if path.suffix == ".json" else _PNG_START
    return len(start) < _HEADER and (begun.startswith(start) or (path.suffix == ".png" and start.startswith(begun)))


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
    check_is_file(path)
    if not is_own(path):
        raise foreign(path)


def check_picture(path: Path, inputs: Mapping[str, Path] | None = None) -> None:
    """Raise StorageError as `check_free`, or where the picture is a completion's, as the record beside it says."""
    check_free(path, inputs)
    if _is_recorded(path):
        raise _of_another_command(path)


def check_first_fill(path: Path, record: Path) -> None:
    """Raise StorageError where a completion that has no record yet would replace what another command wrote.

    path, record : STEM.png and STEM.json, of which the latter is no record of a completion.
    """
    if sealed_values(record) is not None:
        raise _of_another_command(record)
    others = (path.parent / name for name in (RESULTS, CONTEXTS, EXPERIMENT))
    if os.path.lexists(path) and not record.exists() and any(map(is_sealed, others)):
        raise _of_another_command(path)


def check_results(folder: Path, key: str) -> None:
    """Raise StorageError where RESULTS of a folder is no file of ceret, or of the other sort: without `key`."""
    path = folder / RESULTS
    check_free(path)
    values = sealed_values(path)
    if values is not None and key not in values:
        raise _of_another_command(path)


def _of_another_command(path: Path) -> StorageError:
    return StorageError(f"{path} is of another command than this one: choose another `out`")


def foreign(path: Path) -> StorageError:
    """Return the error for a file that stands where a result should go."""
    return StorageError(
        f"{path} is there already, and ceret did not write it or it has changed since: move it away, or choose another "
        "place for the result"
    )


def own_names(folder: str, names: Collection[str]) -> set[str]:
    """Return which entries of a folder are results of ceret: by their names, the records beside them, and their marks.

    Parameters
    ----------
    folder : path
    names : of its entries, those of folders with a "/" at their end.
    """
    own = {name for name in names if name.endswith((CANDIDATES + "/", INDEX + "/")) and _is_own_folder(folder, name)}
    pictures = [name for name in names if name.lower().endswith(".png")]
    own |= {name for name in pictures if _is_named_by_record(folder, name, names) or _has_mark(folder, name)}
    if "segments/" in names and _starts_with(os.path.join(folder, "manifest.json"), _MANIFEST_START):
        own.add("segments/")
    if "samples/" in names and {"best.safetensors", "metrics.csv"} <= set(names):  # of a training run
        own.add("samples/")
    return own


def _is_own_folder(folder: str, name: str) -> bool:
    """Return whether a folder is an index, or holds the pictures of the result whose record lies beside it.

    A folder of somebody's photos may have either name. Pictures of ceret in other folders have its mark.
    """
    if name.endswith(INDEX + "/"):
        return _starts_with(os.path.join(folder, name, "manifest.json"), _MANIFEST_START)
    return read_record(Path(folder, f"{name.removesuffix(CANDIDATES + '/')}.json")) is not None


def _is_named_by_record(folder: str, name: str, names: Collection[str]) -> bool:
    record = f"{name.removesuffix('.png')}.json"
    if record not in names:
        return False
    found = read_record(Path(folder, record))
    return found is not None and name in found["files"]


def _has_mark(folder: str, name: str) -> bool:
    """Return whether a PNG has the mark of ceret, whatever has become of the rest."""
    return _starts_with(os.path.join(folder, name), _KEYWORD, at=_HEADER + 8)


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
        return hashlib.sha256(read_regular(path)).hexdigest() == record["files"][name]
    except OSError:
        return False


def _starts_with(path: str, start: bytes, at: int = 0) -> bool:
    try:
        return first_bytes(path, at + len(start))[at:] == start
    except OSError:
        return False
