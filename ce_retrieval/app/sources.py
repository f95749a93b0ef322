"""Where a fill came from: the part of a source photo that is used, what is said of it, and what is hidden if that is asked."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from ce_retrieval.app.messages import last_part
from ce_retrieval.completion.candidate import Candidate
from ce_retrieval.photo_index import PhotoRecord
from ce_retrieval.pixels import Bools, Photo, resize_area
from ce_retrieval.retrieval.neighbor import Neighbor

OUTLINE, HALO = (255, 196, 0), (20, 20, 20)
LARGEST = 4.0  # times that a small photo is enlarged, so that the outline is a fine one
HIDDEN = "a photo of the collection"

#: Ranking terms -> what they measure, for people. Lower is better.
TERMS = {
    "scene": "surroundings, as the search sees them",
    "context": "fit of the colours around the hole",
    "texture": "fit of the texture around the hole",
    "seam": "visibility of the seam",
    "gist": "difference in layout",
    "rim": "difference right next to the hole",
    "content": "difference from what is expected",
    "detail": "lack of detail",
    "kind": "difference in the kind of place",
    "structure": "broken edges at the border",
    "agreement": "agreement with the photo (higher is better)",
    "inliers": "shared details (higher is better)",
}


def outlined(scene: Photo, candidate: Candidate, hole: Bools, factor: np.ndarray, side: int) -> Photo:
    """Return a source photo with the part drawn on it that lies over the hole.

    Parameters
    ----------
    scene : uint8 (h, w, 3), at its own size.
    candidate : how it lies over the photo.
    hole : bool (h, w), in small.
    factor : (rows, cols) px of the photo for one of `hole`.
    side : px, the longer side of the picture.
    """
    import cv2

    share = min(LARGEST, side / max(scene.shape))
    size = max(1, round(scene.shape[0] * share)), max(1, round(scene.shape[1] * share))
    shown = np.ascontiguousarray(resize_area(scene, size)).copy()
    contours, _ = cv2.findContours(hole.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    width = max(1, round(max(size) / 220))
    lines = []
    for contour in contours:
        at = (contour[:, 0, :].astype(np.float64) + 0.5) * factor[::-1]  # (x, y) px of the photo
        lines.append(np.rint(_in_scene(at, candidate) * share * 16).astype(np.int32))
    for colour, thick in ((HALO, width + 2), (OUTLINE, width)):
        cv2.polylines(shown, lines, True, colour, thick, cv2.LINE_AA, shift=4)
    return shown


def _in_scene(points: np.ndarray, candidate: Candidate) -> np.ndarray:
    """Return where points (n, 2), as (x, y) px of the photo, lie in a scene."""
    if candidate.homography is not None:
        mapped = np.column_stack([points, np.ones(len(points))]) @ np.array(candidate.homography).T
        return mapped[:, :2] / mapped[:, 2:]
    assert candidate.offset is not None and candidate.scale is not None, "one of both is known"
    (top, left), (rows, cols) = candidate.offset, candidate.scale
    return (points - (left, top)) / (cols, rows)


def caption(rank: int, name: str, record: PhotoRecord | None, *, hide: bool) -> str:
    """Return the line under a small picture."""
    parts = [str(rank)]
    if not hide:
        parts.append(last_part(name))
    elif record is not None and record.label:
        parts.append(record.label)
    return "  ".join(parts)


def described(candidate: Candidate, *, hide: bool) -> str:
    """Return HTML that says what a candidate is: its source, licence, and scores."""
    rows = [("Photo", HIDDEN if hide else last_part(candidate.photo))]
    rows += [
        (name.capitalize(), value) for name in ("label", "caption", "licence") if (value := getattr(candidate, name))
    ]
    if not candidate.licence:
        rows.append(("Licence", "not recorded in the collection"))
    if candidate.total is not None:
        rows.append(("Overall score", f"{candidate.total:.2f} (lower is better)"))
    if candidate.context_rank is not None:
        rows.append(("Rank in the search", str(candidate.context_rank)))
    facts = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in rows)
    scores = "".join(
        f"<tr><td>{html.escape(TERMS.get(name, name))}</td><td>{value:.3g}</td></tr>"
        for name, value in candidate.scores.items()
    )
    table = f"<details><summary>Scores</summary><table>{scores}</table></details>" if scores else ""
    return f"<dl class='facts'>{facts}</dl>{table}"


def hidden_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a result without anything that tells where the photos of a collection lie."""
    shown = dict(record)
    for name in ("index", "others"):
        if isinstance(shown.get(name), dict):
            shown[name] = {key: value for key, value in shown[name].items() if key != "path"}
    network = shown.get("network")
    if isinstance(network, dict):
        shown["network"] = {key: value for key, value in network.items() if key not in ("path", "weights")}
    shown["candidates"] = [_hidden(one) for one in record["candidates"]]
    shown["dropped"] = [f"{len(record['dropped'])} scenes"] if record["dropped"] else []
    if "parts" in record:
        shown["parts"] = [_hidden_part(part) for part in record["parts"]]
    return shown


def renamed(value: Any, folder: str, name: str) -> Any:
    """Return JSON values with the path of a folder under another name, wherever it stands."""
    if isinstance(value, str):
        return value.replace(folder, name)
    if isinstance(value, dict):
        return {key: renamed(one, folder, name) for key, one in value.items()}
    return [renamed(one, folder, name) for one in value] if isinstance(value, list) else value


def _hidden(candidate: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in candidate.items() if name not in ("photo", "sha256")}


def _hidden_part(part: Mapping[str, Any]) -> dict[str, Any]:
    shown = dict(part)
    if part["scene"] is not None:
        shown["scene"] = _hidden(part["scene"])
    if "more" in part:
        shown["more"] = [_hidden(one) for one in part["more"]]
    return shown


def hidden_neighbor(neighbor: Neighbor, *, hide: bool) -> dict[str, Any]:
    """Return a photo that a search found as JSON types; hide: without what tells where it lies."""
    record = asdict(neighbor.record)
    shown = {"rank": neighbor.rank, "distance": neighbor.distance, "kind": neighbor.kind}
    about = {name: record[name] for name in ("label", "caption", "licence", "width", "height")}
    return shown | about | ({} if hide else {"name": neighbor.name, "sha256": record["sha256"]})
