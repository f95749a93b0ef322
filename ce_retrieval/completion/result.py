"""What a completion is, and how it is written: the filled photo, and where every filled pixel came from."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ce_retrieval.completion.settings import CompletionSettings, DecoderSettings
from ce_retrieval.photos import save_photo
from ce_retrieval.retrieval import Neighbor
from ce_retrieval.storage import make_folder, replace_file, storage_errors


@dataclass(frozen=True)
class Candidate:
    """A scene that can fill the hole, with its place after re-ranking.

    context_rank, context_distance: from the search; rim_distance: mean squared difference in the rim, [0, 1] image, None
    when not re-ranked; content_distance: mean squared difference from the network's fill after the low-pass, None unless
    guided; share: of every filled pixel's value that is this scene's; offset: (row, col) px by which the scene is moved;
    scale: (row, col) by which it is resized to the photo.
    """

    rank: int
    photo: str
    sha256: str
    label: str
    caption: str
    licence: str
    context_rank: int
    context_distance: float
    rim_distance: float | None
    content_distance: float | None
    share: float
    offset: tuple[int, int]
    scale: tuple[float, float]


@dataclass(frozen=True)
class Completion:
    """A completed photo.

    best: uint8 (H, W, 3), known pixels as they were; hole: bool (H, W); candidates: the k best, best first; fills: the
    photo filled from each candidate alone, uint8, one each, if asked for; dropped: scenes that could not be read; index,
    network: what the fill hangs on beside the photo: an index (None: the network alone), weights (None: no network).
    """

    best: np.ndarray
    hole: np.ndarray
    candidates: Sequence[Candidate]
    neighbors: Sequence[Neighbor]
    settings: CompletionSettings | DecoderSettings
    index: dict[str, Any] | None
    network: dict[str, Any] | None = None
    fills: Sequence[np.ndarray] = ()
    dropped: tuple[str, ...] = ()

    def provenance(self) -> dict[str, Any]:
        """Return where every filled pixel came from, as plain JSON types.

        `hole.runs` are run lengths in row-major order, known pixels first; each hole pixel comes from the candidates
        with a positive `share`, at the same place in the scene brought to the photo's size by `scale`.
        """
        rows, cols = np.flatnonzero(self.hole.any(axis=1)), np.flatnonzero(self.hole.any(axis=0))
        return {
            "hole": {
                "height": self.hole.shape[0],
                "width": self.hole.shape[1],
                "pixels": int(self.hole.sum()),
                "box": [int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1],
                "runs": run_lengths(self.hole),
            },
            "changed_outside_hole": 0,
            "method": "encoder" if self.index is None else "retrieval",
            "index": self.index,
            "network": self.network,
            "settings": asdict(self.settings),
            "candidates": [asdict(candidate) for candidate in self.candidates],
            "dropped": list(self.dropped),
        }

    def save(self, folder: str | Path, stem: str, about: dict[str, Any] | None = None) -> Path:
        """Write STEM.png, STEM.candidates/NN.png for each fill, and last STEM.json: the JSON says that all is there.

        about: further entries of the JSON (the names and hashes of the inputs). `files` in the JSON are the pictures'
        names and hashes, so that a picture of another run is never taken for one of this. StorageError where it cannot
        be written.
        """
        folder = Path(folder)
        pictures = {f"{stem}.png": self.best}
        for candidate, fill in zip(self.candidates, self.fills, strict=bool(self.fills)):
            pictures[f"{stem}.candidates/{candidate.rank:02d}.png"] = fill
        make_folder(folder / f"{stem}.candidates" if self.fills else folder)
        files = {}
        for name, pixels in pictures.items():
            save_photo(folder / name, pixels)
            with storage_errors(folder / name):
                files[name] = _sha256(folder / name)
        for old in (folder / f"{stem}.candidates").glob("[0-9]*.png") if self.fills else ():
            if f"{stem}.candidates/{old.name}" not in files:
                old.unlink()
        text = json_lines({**(about or {}), "files": files, **self.provenance()})
        # A name that is not valid UTF-8 is written with JSON's own escapes. Nothing waits for the disk: what a loss of
        # power leaves half written has another hash, and is made again.
        replace_file(folder / f"{stem}.json", text.encode(errors="backslashreplace"), synced=False)
        return folder / f"{stem}.png"


def read_saved(folder: str | Path, stem: str) -> dict[str, Any] | None:
    """Return the JSON that `Completion.save` wrote, or None where it is missing or a picture is not the one it names."""
    folder = Path(folder)
    try:
        record = json.loads((folder / f"{stem}.json").read_bytes())
        whole = all(_sha256(folder / name) == sha256 for name, sha256 in record["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
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


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run_lengths(hole: np.ndarray) -> list[int]:
    """Return the run lengths of a boolean array in row-major order; the first run is of False and may be 0."""
    flat = hole.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    bounds = np.concatenate([[0], edges, [flat.size]])
    runs = np.diff(bounds).tolist()
    return [0, *runs] if flat[0] else runs
