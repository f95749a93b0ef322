"""What a completion is, and how it is written: the filled photo, and where every filled pixel came from."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ce_retrieval.photos import save_photo
from ce_retrieval.retrieval import Neighbor
from ce_retrieval.storage import make_folder, replace_file

RERANKS = ("none", "rim")
FILLS = ("paste", "blend", "mean")


@dataclass(frozen=True)
class CompletionSettings:
    """How a photo is completed. The defaults of the command line are these; they did best on held-out photos.

    k: candidates that are kept, and blends that `fill="mean"` averages; rerank: "none" (order of the context distance)
    or "rim" (order of the squared difference in the rim); fill: "paste", "blend" (Poisson) or "mean" (of k blends);
    focus: px, None for no focus, "auto" for the descriptor's best; candidates: how many nearest contexts are re-ranked;
    rim: width in pixels at the index's size.
    """

    k: int = 20
    rerank: str = "rim"
    fill: str = "blend"
    focus: float | str | None = "auto"
    candidates: int = 200
    rim: int = 8


@dataclass(frozen=True)
class Candidate:
    """A scene that can fill the hole, with its place after re-ranking.

    context_rank, context_distance: from the search; rim_distance: mean squared difference in the rim, [0, 1] image, None
    when not re-ranked; share: of every filled pixel's value that is this scene's; offset: (row, col) px by which the
    scene is moved; scale: (row, col) by which it is resized to the photo.
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
    share: float
    offset: tuple[int, int]
    scale: tuple[float, float]


@dataclass(frozen=True)
class Completion:
    """A completed photo.

    best: uint8 (H, W, 3), known pixels as they were; hole: bool (H, W); candidates: the k best, best first; fills: the
    photo filled from each candidate alone, uint8, one each, if asked for; dropped: scenes that could not be read.
    """

    best: np.ndarray
    hole: np.ndarray
    candidates: Sequence[Candidate]
    neighbors: Sequence[Neighbor]
    settings: CompletionSettings
    index: dict[str, Any]
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
            "index": self.index,
            "settings": asdict(self.settings),
            "candidates": [asdict(candidate) for candidate in self.candidates],
            "dropped": list(self.dropped),
        }

    def save(self, folder: str | Path, stem: str, about: dict[str, Any] | None = None) -> Path:
        """Write STEM.png, STEM.candidates/NN.png for each fill, and last STEM.json: the JSON says that all is there.

        about: further entries of the JSON (the names and hashes of the inputs). StorageError where it cannot be written.
        """
        folder = Path(folder)
        make_folder(folder)
        save_photo(folder / f"{stem}.png", self.best)
        if self.fills:
            place = folder / f"{stem}.candidates"
            make_folder(place)
            for candidate, fill in zip(self.candidates, self.fills, strict=True):
                save_photo(place / f"{candidate.rank:02d}.png", fill)
        text = json.dumps({**(about or {}), **self.provenance()}, indent=1, ensure_ascii=False)
        replace_file(folder / f"{stem}.json", (text + "\n").encode())
        return folder / f"{stem}.png"


def run_lengths(hole: np.ndarray) -> list[int]:
    """Return the run lengths of a boolean array in row-major order; the first run is of False and may be 0."""
    flat = hole.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    bounds = np.concatenate([[0], edges, [flat.size]])
    runs = np.diff(bounds).tolist()
    return [0, *runs] if flat[0] else runs
