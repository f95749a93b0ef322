"""From what was painted on a photo in the browser to its hole: exact, at the photo's own size, the same on every machine.

A painting is the JSON text {"size": [W, H], "actions": [...]}. Coordinates and radii are photo pixels: the origin is the
photo's top left corner, and pixel (0, 0) covers [0, 1) x [0, 1). The actions, in their order:

    {"kind": "brush" | "eraser", "radius": r, "points": [[x, y], ...]}   pixels whose centres are within r of the line
    {"kind": "ellipse" | "rectangle", "box": [x0, y0, x1, y1], "erase": false}   pixels whose centres are inside
    {"kind": "grow" | "shrink", "pixels": n}   by the distance of pixel centres; the photo's border shrinks nothing
    {"kind": "invert"}, {"kind": "clear"}
    {"kind": "mask"}   adds the uploaded mask, which is not part of the text
"""

from __future__ import annotations

import itertools
import json
import math
from typing import Any, NoReturn

import numpy as np

from ce_retrieval.errors import SettingsError, shown
from ce_retrieval.pixels import Bools

MAX_CHARACTERS = 8_000_000
MAX_ACTIONS = 5_000
MAX_POINTS = 400_000
FARTHEST = 1e6  # of coordinates and radii, in pixels: a stroke may leave the photo
MOST_GROWTH = 1_000  # px
MAX_WORK = 10**10  # about ten seconds, in nanoseconds of one core
SPAN_WORK = 80  # of the ends of a span in one row

_KEYS = {
    "brush": {"radius", "points"},
    "eraser": {"radius", "points"},
    "ellipse": {"box", "erase"},
    "rectangle": {"box", "erase"},
    "grow": {"pixels"},
    "shrink": {"pixels"},
    "invert": set(),
    "clear": set(),
    "mask": set(),
}
_OPTIONAL = {"erase"}


def rasterise(painting: str, shape: tuple[int, int], mask: Bools | None = None) -> Bools:
    """Draw a painting.

    Parameters
    ----------
    painting : str
        the JSON text that the painter gives.
    shape : (H, W)
        the photo's size, for which the painting must have been made.
    mask : bool (H, W) or None
        the uploaded mask, which the action `mask` adds.

    Returns
    -------
    bool (H, W), True = missing. It may be empty or full: `pixels.check_hole` tells.

    Raises
    ------
    SettingsError
        not a painting, one of another size, one that takes too much work, or one that needs a mask that is not there.
    """
    if mask is not None and (mask.dtype != np.bool_ or mask.shape != tuple(shape)):
        raise ValueError(f"mask {mask.dtype} {mask.shape}: expected bool {tuple(shape)}")
    actions = _parse(painting, shape)
    hole = np.zeros(shape, bool)
    work = 0
    for action in actions:
        work += _work(action, hole)
        if work > MAX_WORK:
            _refuse("takes too much work to draw: clear it, and paint with fewer or shorter strokes")
        hole = _draw(hole, action, mask)
    return hole


def _draw(hole: Bools, action: dict[str, Any], mask: Bools | None) -> Bools:
    """Return the hole (H, W) after one checked action; it may be the same array, changed."""
    kind = action["kind"]
    if kind in ("brush", "eraser"):
        from ce_retrieval.app.strokes_kernel import draw_stroke

        points = np.array(action["points"], np.float64)
        draw_stroke(hole, points if len(points) > 1 else points[[0, 0]], float(action["radius"]), kind == "brush")
    elif kind == "ellipse":
        from ce_retrieval.app.strokes_kernel import draw_ellipse

        draw_ellipse(hole, *map(float, action["box"]), not action.get("erase", False))
    elif kind == "rectangle":
        # Centres x + 0.5 in [x0, x1): x from ceil(x0 - 0.5).
        x0, y0, x1, y1 = (max(0, math.ceil(value - 0.5)) for value in action["box"])
        hole[y0:y1, x0:x1] = not action.get("erase", False)
    elif kind in ("grow", "shrink"):
        from ce_retrieval.app.strokes_kernel import grown

        hole = grown(hole, action["pixels"]) if kind == "grow" else ~grown(~hole, action["pixels"])
    elif kind == "invert":
        np.logical_not(hole, out=hole)
    elif kind == "clear":
        hole[:] = False
    elif mask is None:
        _refuse("uses an uploaded mask, which is not there: upload it again, or clear the painting")
    else:
        hole |= mask
    return hole


# -- the text ----------------------------------------------------------------------------------------------------------


def _parse(painting: str, shape: tuple[int, int]) -> list[dict[str, Any]]:
    """Return the actions of a painting of a photo (H, W), each of them checked; SettingsError."""
    if not isinstance(painting, str):
        _refuse(f"is not a text but {type(painting).__name__}")
    if len(painting) > MAX_CHARACTERS:
        _refuse(f"has {len(painting)} characters, over {MAX_CHARACTERS}: clear it, and paint with fewer strokes")
    try:
        value = json.loads(painting, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:  # ValueError: also a whole number of thousands of digits
        raise SettingsError(f"the painting is not JSON ({shown(str(error))}): paint again") from error
    if not isinstance(value, dict) or value.keys() != {"size", "actions"}:
        _refuse('is not a JSON object with "size" and "actions" alone')
    height, width = shape
    if not _numbers(value["size"], 2) or value["size"] != [width, height]:
        _refuse(f"is for a photo of size {shown(value['size'])}, this one is [{width}, {height}]: paint on this photo")
    actions = value["actions"]
    if not isinstance(actions, list) or len(actions) > MAX_ACTIONS:
        _refuse(f'has as "actions" no list of at most {MAX_ACTIONS}: clear it, and paint with fewer strokes')
    lists = [action.get("points") for action in actions if isinstance(action, dict)]
    points = sum(len(values) for values in lists if isinstance(values, list))
    if points > MAX_POINTS:
        _refuse(f"has {points} points, over {MAX_POINTS}: clear it, and paint with fewer strokes")
    for number, action in enumerate(actions, 1):
        _check(action, number)
    return actions


def _check(action: Any, number: int) -> None:
    """Raise SettingsError unless a value of the JSON text is an action."""
    kind = action.get("kind") if isinstance(action, dict) else None
    if not isinstance(kind, str) or kind not in _KEYS:
        _refuse(f"has an unknown action {number}, {shown(action)}: expected a kind of {', '.join(_KEYS)}")
    wrong = (action.keys() - {"kind"}) ^ _KEYS[kind]
    if wrong - (_OPTIONAL - action.keys()):
        _refuse(f"has in action {number} ({kind}) the keys {shown(sorted(action))}: expected {_expected(kind)}")
    if "radius" in action and not (_numbers([action["radius"]], 1) and 0 < action["radius"] <= FARTHEST):
        _refuse(f"has in action {number} ({kind}) the radius {shown(action['radius'])}: expected one above 0")
    if "points" in action:
        points = action["points"]
        if not isinstance(points, list) or not points or not all(_numbers(point, 2) for point in points):
            _refuse(f"has in action {number} ({kind}) points that are not pairs [x, y] of numbers up to {FARTHEST:.0f}")
    if "box" in action:
        box = action["box"]
        if not _numbers(box, 4) or not (box[0] < box[2] and box[1] < box[3]):
            _refuse(
                f"has in action {number} ({kind}) the box {shown(box)}: expected [x0, y0, x1, y1], x0 < x1, y0 < y1"
            )
    if not isinstance(action.get("erase", False), bool):
        _refuse(f'has in action {number} ({kind}) "erase": {shown(action["erase"])}, expected true or false')
    if "pixels" in action and not (type(action["pixels"]) is int and 1 <= action["pixels"] <= MOST_GROWTH):
        found = shown(action["pixels"])
        _refuse(f"has in action {number} ({kind}) the pixels {found}: expected a whole number from 1 to {MOST_GROWTH}")


def _work(action: dict[str, Any], hole: Bools) -> int:
    """Return about how many nanoseconds a checked action takes on the hole (H, W) so far."""
    height, width = hole.shape
    if action["kind"] in ("grow", "shrink"):
        runs = np.count_nonzero(hole[:, 1:] != hole[:, :-1]) // 2 + height
        return 4 * hole.size + 2 * runs * (2 * action["pixels"] + 1)
    if "points" not in action:
        return hole.size
    xs, ys = zip(*action["points"], strict=True)
    across = 2 * action["radius"] + 1
    rows = min(height, max(ys) - min(ys) + across)
    spans = sum(min(height, abs(end - start) + across) for start, end in itertools.pairwise(ys))
    return int(rows * (min(width, max(xs) - min(xs) + across) + 2 * len(ys)) + SPAN_WORK * spans)


def _numbers(values: Any, count: int) -> bool:
    """Return whether a value of the JSON text is a list of so many finite numbers of at most FARTHEST."""
    return (
        isinstance(values, list)
        and len(values) == count
        and all(type(value) in (int, float) and -FARTHEST <= value <= FARTHEST for value in values)
    )


def _expected(kind: str) -> str:
    return ", ".join(sorted(_KEYS[kind])) or "none but kind"


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _refuse(reason: str) -> NoReturn:
    raise SettingsError(f"the painting {reason}")
