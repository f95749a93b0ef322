"""What a photo was made from, if ceret wrote it: the records beside results name the photos that were filled, and where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ce_retrieval.own_files import CANDIDATES, is_marked, read_record
from ce_retrieval.photo_index import Origin
from ce_retrieval.pixels import Bools, distance_from

MOST = 50  # results of results that are followed
PAPER_SIDE = 1024  # px of the long side for which the setting `seam` is given


def own_sources(origin: Origin | None, shape: tuple[int, int]) -> tuple[frozenset[str], Bools | None]:
    """Return the hashes of a photo and of those that it was made from, and which of its pixels were filled.

    Parameters
    ----------
    origin : the photo's file, None if it has none.
    shape : (H, W) of the photo.

    Returns
    -------
    SHA-256 in hexadecimal, and bool (H, W) or None where nothing was filled. Of a result without its record all is filled.
    """
    hashes: list[str] = []
    filled: Bools | None = None
    path, sha256 = (origin.path, origin.sha256) if origin else (None, "")
    while path is not None and sha256 not in hashes and len(hashes) < MOST:
        hashes.append(sha256)
        record = _record(path, sha256)
        if record is None:
            if _is_file(path) and is_marked(path):
                filled = np.ones(shape, bool)
            break
        part = _filled(record, shape)
        filled = part if filled is None else filled | part
        photo = record.get("photo")
        if not isinstance(photo, dict):  # of a result from Python, which had no file
            break
        path, sha256 = Path(str(photo.get("path"))), str(photo.get("sha256"))
    if path is not None and sha256 not in hashes:
        hashes.append(sha256)
    return frozenset(hashes), filled


def _record(path: Path, sha256: str) -> dict[str, Any] | None:
    """Return the record of a picture with this hash, which lies beside it or beside its folder of candidates."""
    folder, name = path.parent, path.name
    places = [folder / f"{path.stem}.json"]
    if folder.name.endswith(CANDIDATES):
        name = f"{folder.name}/{name}"
        places = [folder.parent / f"{folder.name.removesuffix(CANDIDATES)}.json"]
    for place in places:
        record = read_record(place) if _is_file(place) else None
        files = record.get("files") if record else None
        if isinstance(files, dict) and files.get(name) == sha256:
            return record
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is too long for a record beside it
        return False


def _filled(record: dict[str, Any], shape: tuple[int, int]) -> Bools:
    """Return the pixels that a record says were filled, with those that its seam may have taken; all if it does not say."""
    try:
        runs = np.array(record["hole"]["runs"], np.int64)
        hole = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(shape)
        reach = float(record["settings"].get("seam", 0)) * max(shape) / PAPER_SIDE
    except (KeyError, TypeError, ValueError, AttributeError):
        return np.ones(shape, bool)
    return distance_from(hole) <= reach + 1
