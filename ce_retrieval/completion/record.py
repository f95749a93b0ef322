"""The record STEM.json of a completion: its text, its hashes, and how it is read back."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from ce_retrieval.own_files import read_record
from ce_retrieval.reading import read_regular


def read_saved(folder: str | Path, stem: str) -> dict[str, Any] | None:
    """Return the JSON that `Completion.save` wrote, or None where it is missing or a picture is not the one it names."""
    folder = Path(folder)
    record = read_record(folder / f"{stem}.json")
    try:
        whole = record is not None and all(
            sha256_of(folder / name) == sha256 for name, sha256 in record["files"].items()
        )
    except (OSError, TypeError):
        return None
    return record if whole else None


def json_lines(value: dict[str, Any]) -> str:
    """Return JSON with one line an entry, and one line an item in lists of objects: short, and readable."""
    lines = []
    for name, entry in value.items():
        text = json.dumps(entry, ensure_ascii=False)
        if isinstance(entry, list) and entry and isinstance(entry[0], dict):
            text = "[\n" + ",\n".join(f"  {json.dumps(item, ensure_ascii=False)}" for item in entry) + "\n ]"
        lines.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    return hashlib.sha256(read_regular(path)).hexdigest()


def run_lengths(hole: np.ndarray) -> list[int]:
    """Return the run lengths of a boolean array in row-major order; the first run is of False and may be 0."""
    flat = hole.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    bounds = np.concatenate([[0], edges, [flat.size]])
    runs = np.diff(bounds).tolist()
    return [0, *runs] if flat[0] else runs
