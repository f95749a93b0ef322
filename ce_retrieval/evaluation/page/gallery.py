"""The photos of the report: which are embedded, and in which orders the page shows them."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from ce_retrieval.errors import one_line
from ce_retrieval.evaluation.comparison import Measure, measures_of
from ce_retrieval.evaluation.run import Evaluation
from ce_retrieval.pixels import Photo

MOST_BYTES = 15_000_000  # of all pictures of a page, as text
CASES = 6  # worst and best photos of each method and measure
QUALITY = 85
WORST, BEST = "worst", "best"
# The measures by which photos are ordered, and how bad a value is; the first one is embedded before the others.
BADNESS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "l2": lambda values: values,
    "perceptual": lambda values: values,
    "ssim": lambda values: -values,
    "sharpness": lambda values: np.abs(values - 1),
}


@dataclass
class Album:
    """Pictures as data addresses, each once: the truth of a photo serves all kinds of holes.

    Attributes
    ----------
    addresses : of the pictures, by their number.
    size : of all addresses, bytes.
    """

    addresses: list[str] = field(default_factory=list)
    size: int = 0
    _numbers: dict[str, int] = field(default_factory=dict)

    def add(self, pictures: list[Photo], most: int) -> list[int] | None:
        """Return the numbers of pictures uint8 (S, S, 3); None, and none is added, where all would be larger than `most`."""
        made = [_address(picture) for picture in pictures]
        new = list(dict.fromkeys(one for one in made if one not in self._numbers))
        if self.size + sum(map(len, new)) > most:
            return None
        for address in new:
            self._numbers[address] = len(self.addresses)
            self.addresses.append(address)
            self.size += len(address)
        return [self._numbers[address] for address in made]


def gallery(evaluation: Evaluation, name: str, album: Album, most: int) -> dict[str, Any]:
    """Put the photos to show into the album, and return what the page's script needs to show them, as JSON types.

    Embedded are the photos drawn by the seed, then the worst and the best CASES of each method by L2, then those by other
    measures: as many as fit.

    Parameters
    ----------
    name : of the kind of holes.
    most : size of the album up to which photos are added, bytes.
    """
    embedded: dict[int, list[int]] = {}
    orders = _orders(evaluation)
    for row in _wanted(evaluation, orders):
        if row not in embedded:
            numbers = album.add(evaluation.pictures(row), most)
            if numbers is None:
                break
            embedded[row] = numbers
    rows = sorted(embedded)
    position = {row: number for number, row in enumerate(rows)}
    cases = []
    for (method, measure), order in orders.items():
        for which, ordered in ((WORST, order[::-1]), (BEST, order)):
            first = _embedded_start(ordered[:CASES], embedded)
            if first:
                cases.append({"of": method, "by": measure, "which": which, "rows": [position[row] for row in first]})
    measures = [one for one in measures_of(evaluation.results) if one.name != "kid"]
    return {
        "name": one_line(name),
        "size": evaluation.queries.photos.shape[1],
        "methods": [one_line(result.method.name) for result in evaluation.results],
        "measures": [{"name": one.name, "head": one_line(one.head), "digits": one.digits} for one in measures],
        "photos": [_photo(evaluation, row, embedded[row], measures) for row in rows],
        "drawn": [position[row] for row in evaluation.drawn if row in position],
        "cases": cases,
        "all": len(evaluation.names),
    }


def _photo(evaluation: Evaluation, row: int, pictures: list[int], measures: list[Measure]) -> dict[str, Any]:
    """Return a photo's name, the numbers of its pictures, and for each method its figures."""
    figures = [[_figure(result.photos.get(one.name), row) for one in measures] for result in evaluation.results]
    return {"name": one_line(evaluation.names[row]), "pictures": pictures, "figures": figures}


def _orders(evaluation: Evaluation) -> dict[tuple[int, str], list[int]]:
    """Return the rows of the photos from best to worst, by (method's number, measure); undefined values are left out."""
    found = {}
    for measure, badness_of in BADNESS.items():
        for number, result in enumerate(evaluation.results):
            if measure in result.photos:
                badness = badness_of(np.asarray(result.photos[measure], float))
                order = np.argsort(badness, kind="stable")
                found[number, measure] = [int(row) for row in order if math.isfinite(badness[row])]
    return found


def _wanted(evaluation: Evaluation, orders: dict[tuple[int, str], list[int]]) -> Iterator[int]:
    """Yield rows by how much they are wanted; a row may come again."""
    yield from evaluation.drawn
    for measure in BADNESS:
        of_it = [order for (_, name), order in orders.items() if name == measure]
        for rank in range(CASES):
            for order in of_it:
                if rank < len(order):
                    yield order[-1 - rank]
                    yield order[rank]


def _embedded_start(rows: list[int], embedded: dict[int, list[int]]) -> list[int]:
    """Return the first rows up to one that is not embedded: a later one would not be the next worst."""
    missing = next((number for number, row in enumerate(rows) if row not in embedded), len(rows))
    return rows[:missing]


def _figure(values: np.ndarray | None, row: int) -> float | None:
    value = math.nan if values is None else float(values[row])
    return round(value, 5) if math.isfinite(value) else None


def _address(picture: Photo) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", quality=QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
