"""What a completion is, and how it is written: the filled photo, and where every filled pixel came from."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ce_retrieval.errors import CeretError
from ce_retrieval.figures import neighbour_sheet
from ce_retrieval.photos import save_photo
from ce_retrieval.retrieval.search import Neighbor
from ce_retrieval.storage import make_folder, replace_file, storage_errors

FROM_SCENE, SHIFTED = 255, 128  # values of a seam


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
class SceneCandidate:
    """A scene that was placed, cut and blended, with its place in the ranking.

    context_rank, context_distance: from the search; scores: each term of the ranking, a distance, before it is normalised;
    total: their normalised and weighted sum, by which candidates are ordered; share: 1 for the scene that fills, 0 for
    others; offset: (row, col), where the scene's upper left corner lies in the photo, px; scale: (row, col), px of the
    photo for one of the scene.
    """

    rank: int
    photo: str
    sha256: str
    label: str
    caption: str
    licence: str
    context_rank: int
    context_distance: float
    scores: dict[str, float]
    total: float
    share: float
    offset: tuple[float, float]
    scale: tuple[float, float]


@dataclass(frozen=True)
class Completion:
    """A completed photo.

    best: uint8 (H, W, 3), known pixels as they were, those of the seam aside; hole: bool (H, W); candidates: the k best,
    best first; fills: the photo filled from each candidate alone, uint8, one each, if asked for; dropped: scenes that could
    not be read, or placed; index, network: what the fill hangs on beside the photo: an index (None: none was used), weights
    (None: no network). method: as on the command line. seam: uint8 (H, W), FROM_SCENE where a scene's pixels are, SHIFTED
    where the photo's own were brought nearer to them by the blend, 0 where no pixel may differ; None: the hole alone was
    filled. thumbnails: uint8 (h, w, 3), small pictures of the fill by each candidate; reasons why a picture was not made
    are in `dropped`. grey: scenes were turned to grey, as all known pixels of the photo are. lost: those of `dropped` that
    could not be read any more. expected: what told scenes that are as expected under the hole from others, "network",
    "scenes" (what the best of them agree on), or None for nothing.
    """

    best: np.ndarray
    hole: np.ndarray
    candidates: Sequence[Candidate | SceneCandidate]
    neighbors: Sequence[Neighbor]
    settings: Any
    index: dict[str, Any] | None
    network: dict[str, Any] | None = None
    fills: Sequence[np.ndarray] = ()
    dropped: tuple[str, ...] = ()
    method: str = "retrieval"
    seam: np.ndarray | None = None
    thumbnails: Sequence[np.ndarray] = ()
    grey: bool = False
    lost: tuple[str, ...] = ()
    expected: str | None = None

    @property
    def loss(self) -> str:
        """What to say of scenes that vanished or changed since they were indexed: "" without any."""
        count = len(self.lost)
        return f"{count} scene{'s' if count > 1 else ''} could not be read, the first: {self.lost[0]}" if count else ""

    def provenance(self) -> dict[str, Any]:
        """Return where every filled pixel came from, as plain JSON types.

        `hole.runs` are run lengths in row-major order, known pixels first; each hole pixel comes from the candidates
        with a positive `share`, at the same place in the scene brought to the photo's size by `scale` and moved by `offset`.
        `scenes_in_grey`: all that is known of the photo is grey, so scenes were brought to their luma (ITU-R BT.601).
        `changed_outside_hole`: known pixels that the seam and its blend were allowed to change; the file `seam.png` among
        those of `files` says which (255: from the scene; 128: the photo's, shifted).
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
            "changed_outside_hole": 0 if self.seam is None else int(((self.seam > 0) & ~self.hole).sum()),
            "method": self.method,
            "scenes_in_grey": self.grey,
            "expected": self.expected,
            "index": self.index,
            "network": self.network,
            "settings": asdict(self.settings),
            "candidates": [asdict(candidate) for candidate in self.candidates],
            "dropped": list(self.dropped),
        }

    def save(self, path: str | Path, stem: str | None = None, about: dict[str, Any] | None = None) -> Path:
        """Write STEM.png; in the folder STEM.candidates a sheet of the thumbnails, `seam.png` and NN.png for each fill, where
        there are any; and last STEM.json: it says that all is there.

        path: the picture FOLDER/STEM.png, or with `stem` the folder. about: further entries of the JSON (the names and
        hashes of the inputs). `files` in the JSON are the pictures' names and hashes, so that a picture of another run is
        never taken for one of this. StorageError where it cannot be written.
        """
        folder = Path(path) if stem is not None else Path(path).parent
        stem = Path(path).stem if stem is None else stem
        pictures = {f"{stem}.png": self.best}
        if self.seam is not None:
            pictures[f"{stem}.candidates/seam.png"] = np.repeat(self.seam[..., None], 3, axis=2)
        if self.thumbnails:
            pictures[f"{stem}.candidates/sheet.png"] = self.sheet()
        for candidate, fill in zip(self.candidates, self.fills, strict=bool(self.fills)):
            pictures[f"{stem}.candidates/{candidate.rank:02d}.png"] = fill
        make_folder(folder / f"{stem}.candidates" if len(pictures) > 1 else folder)
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

    def sheet(self) -> np.ndarray:
        """Return the thumbnails as one picture uint8 (h, w, 3), beside the photo with its hole; ValueError without any."""
        captions = [f"{c.rank}  {Path(c.photo.rpartition(':')[2]).name}" for c in self.candidates]
        return neighbour_sheet(self.best, self.hole, self.thumbnails, captions, title="photo")


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


def only(results: Sequence[Completion | CeretError]) -> Completion:
    """Return the one result of a batch of one, or raise the error that took its place."""
    (result,) = results
    if isinstance(result, CeretError):
        raise result
    return result
