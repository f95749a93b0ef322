"""Filling a hole for a user: from a photo and what was painted to the files that `ceret complete` writes."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ce_retrieval.app.collections import Collections
from ce_retrieval.app.messages import ALL_PAINTED, CONTROLS, NOTHING_PAINTED, RESULT_GONE, PageError
from ce_retrieval.app.orders import Order, command_of
from ce_retrieval.app.others import FOLDER
from ce_retrieval.app.shelf import Made, Place, Shelf
from ce_retrieval.app.sources import hidden_record, renamed
from ce_retrieval.app.strokes import rasterise
from ce_retrieval.app.uploads import PREVIEW, TILE, GivenMask, GivenPhoto, save_mask, save_preview
from ce_retrieval.completion.auto.choice import SAME_KIND, UNLIKE
from ce_retrieval.completion.candidate import Candidate
from ce_retrieval.completion.methods import METHODS
from ce_retrieval.completion.record import json_lines
from ce_retrieval.completion.rerank.own_photo import evidence
from ce_retrieval.completion.stages import Progress
from ce_retrieval.own_files import sealed_json
from ce_retrieval.photo_index import Origin
from ce_retrieval.pixels import Bools, hole_box, resize_area
from ce_retrieval.retrieval.neighbor import Neighbor
from ce_retrieval.storage import make_folder, replace_file

READ, SAVE = "read", "save"  # stages before and after those of `completion.stages`
EACH_FILLED = 1_500_000  # px of a photo up to which method `retrieval` fills it from each candidate, for the gallery
SHOWN_AROUND, LEAST_SHOWN = 2.0, 0.5  # of the hole, and of the photo, is shown in a tile
PICKED_BY = ("auto", "scenes")  # methods whose candidates can fill one by one
MOST = {"aligned": 1000, "top": 100, "k": 200}  # of what one user may ask
REVEALING = ("key", "source", "sha256")  # columns by which a filter could find out where photos lie


class Filled(NamedTuple):
    """A photo that was filled.

    Attributes
    ----------
    order : what was asked for.
    candidates, neighbors : the scenes that can fill the hole.
    large, tiles : small pictures of the photo filled from each, whole, and of what lies around the hole; none where a method
        makes no such fill.
    picture, record, mask : files to download: STEM.png, STEM.json, STEM_mask.png.
    preview : small pictures of the photo, and of the result.
    hole : where the hole lies, bool (h, w), in small.
    notes : lines for the user.
    parts : what each separate part of the hole was filled by, and how sure that is in [0, 1] or None.
    command : that makes the same.
    seconds : that it took.
    place : where the result lies in memory.
    """

    order: Order
    candidates: Sequence[Candidate]
    neighbors: Sequence[Neighbor]
    large: Sequence[Path]
    tiles: Sequence[Path]
    picture: Path
    record: Path
    mask: Path
    preview: tuple[Path, Path]
    hole: Bools
    notes: Sequence[str]
    parts: Sequence[tuple[str, float | None]]
    command: str
    seconds: float
    place: Place

    @property
    def pick(self) -> int | None:
        """Which of the candidates fills, from 0; None where no one does alone."""
        whole = [number for number, one in enumerate(self.candidates) if one.share == 1.0]
        return whole[0] if whole else None


class Filler:
    """Fills holes for all users.

    Parameters
    ----------
    collections : the indexes.
    max_pixels : most pixels of a photo that is read.
    no_sources : say nothing of where photos lie.
    """

    def __init__(self, collections: Collections, *, max_pixels: int, no_sources: bool) -> None:
        self._collections, self._max_pixels, self._no_sources = collections, max_pixels, no_sources
        self._shelf = Shelf()

    def hole_of(self, photo: GivenPhoto, mask: GivenMask | None, painting: str) -> Bools | None:
        """Return what is painted or masked, bool (H, W) of the photo; None for nothing.

        Raises
        ------
        SettingsError, MaskError : the strokes are malformed, or the mask is none for this photo.
        """
        shape = photo.height, photo.width
        loaded = mask.read(shape) if mask is not None else None
        hole = rasterise(painting, shape, loaded) if painting else loaded
        return hole if hole is not None and hole.any() else None

    def fill(self, order: Order, number: int, folders: tuple[Path, Path], progress: Progress) -> Filled:
        """Fill the hole of a photo.

        Parameters
        ----------
        number : that no other result of this user has.
        folders : of the user (`Home.rooms`).
        progress : as in `Completer.complete_many`, with two further stages.

        Raises
        ------
        PageError : nothing or everything is painted, or the photo has been deleted.
        SettingsError : the settings do not fit the method.
        CeretError : the errors of the method.
        """
        began = time.monotonic()
        progress(READ, 0, 1)
        self.check_filter(order.settings.get("where"))
        for name, most in MOST.items():
            if (order.settings.get(name) or 0) > most:
                raise PageError(f"More than {most} is not allowed for {CONTROLS[name]} here: others wait, too.")
        hole = self.hole_of(order.photo, order.mask, order.painting)
        if hole is None:
            raise PageError(NOTHING_PAINTED)
        if hole.all():
            raise PageError(ALL_PAINTED)
        photo = order.photo.read(self._max_pixels)
        completer = self._collections.completer(order.method, order.collection, order.settings, order.others)
        each = METHODS[order.method].has_candidates and order.method == "retrieval" and hole.size <= EACH_FILLED
        result = completer.complete(
            evidence(photo, hole),
            hole,
            candidate_fills=each,
            origin=Origin(order.photo.file, order.photo.sha256),
            progress=progress,
        )
        progress(SAVE, 0, 1)
        notes = [f"the collection {line}" if line.startswith("has ") else line for _, line in completer.notes]
        return self._filled(order, number, folders, Made(result, photo, notes), began)

    def picking(self, before: Filled, number: int) -> Order:
        """Return what fills a photo from another of a result's candidates: the method `scenes`, which can be told one.

        PageError where a candidate cannot fill by itself.
        """
        if not 0 <= number < len(before.candidates):
            raise PageError(RESULT_GONE)
        order, chosen = before.order, before.candidates[number]
        if order.method not in PICKED_BY or (order.method == "auto" and chosen.homography is not None):
            raise PageError(
                "This photo cannot fill the hole by itself. Choose “Scenes” under “Fill with” to choose among scenes."
            )
        known = METHODS["scenes"].options()
        settings = {name: value for name, value in order.settings.items() if name in known and name != "pick"}
        # In `auto`, photos of the same place stand before the scenes.
        places = sum(one.homography is not None for one in before.candidates) if order.method == "auto" else 0
        return order._replace(method="scenes", others=None, settings={**settings, "pick": chosen.rank - places})

    def picked(
        self, order: Order, before: Filled, chosen: int, number: int, folders: tuple[Path, Path], progress: Progress
    ) -> Filled:
        """Fill a photo from another of a result's candidates; chosen: its place in them, the rest as for `fill`.

        PageError where the candidate is none for the hole as a whole: `auto` ranks them for its widest part.
        """
        made = self._made(order, before)
        if made is not None:
            began = time.monotonic()
            taken = made.result.take(order.settings["pick"], progress=progress)
            progress(SAVE, 0, 1)
            return self._filled(order, number, folders, made._replace(result=taken), began)
        wanted = before.candidates[chosen].sha256
        done = self.fill(order, number, folders, progress)
        if done.candidates[order.settings["pick"] - 1].sha256 == wanted:
            return done
        ranks = [one.rank for one in done.candidates if one.sha256 == wanted]
        if not ranks:
            raise PageError(
                "This scene suits a part of the hole, but not all of it. Choose “Scenes” under “Fill with”."
            )
        return self.fill(order._replace(settings={**order.settings, "pick": ranks[0]}), number + 1, folders, progress)

    def _made(self, order: Order, before: Filled) -> Made | None:
        """Return a result in memory, if it differs from an order in its `pick` alone, and its collection is as it was."""
        made = before.place.made
        if (
            made is None
            or made.result.taking is None
            or order.method != before.order.method
            or order.collection is None
        ):
            return None
        now = self._collections.get(order.collection).index.manifest.sha256
        return made if made.result.index is not None and made.result.index["manifest_sha256"] == now else None

    def _filled(self, order: Order, number: int, folders: tuple[Path, Path], made: Made, began: float) -> Filled:
        """Write the files and pictures of a result."""
        result, photo = made.result, made.photo
        served, kept = folders[0] / f"{number}", folders[1] / f"{number}"
        make_folder(served)
        make_folder(kept)
        stem = order.photo.stem
        mask = served / f"{stem}_mask.png"
        about = {
            "photo": {"path": order.photo.name, "sha256": order.photo.sha256},
            "mask": {"path": mask.name, "sha256": save_mask(mask, result.hole), "invert": False, "alpha": False},
        }
        written = result.save(kept, stem, about, like=photo)
        picture, record = served / written.name, served / f"{stem}.json"
        written.rename(picture)
        replace_file(record, self._record(written.with_suffix(".json"), order), synced=False)
        after = served / "after.jpg"
        save_preview(after, result.best, PREVIEW)
        large, tiles = [], []
        for place, small in enumerate(result.thumbnails or result.fills, start=1):
            large.append(served / f"candidate-{place:02d}.webp")
            tiles.append(served / f"tile-{place:02d}.webp")
            save_preview(large[-1], small, PREVIEW)
            save_preview(tiles[-1], small[_around(result.hole, small.shape)], TILE)
        return Filled(
            order=order,
            candidates=result.candidates,
            neighbors=result.neighbors,
            large=large,
            tiles=tiles,
            picture=picture,
            record=record,
            mask=mask,
            preview=(order.photo.preview, after),
            hole=resize_area(result.hole.astype(np.uint8), _fitted(result.hole.shape, PREVIEW)) > 0,
            notes=_notes(made),
            parts=[(part.method, part.confidence) for part in result.parts],
            command=command_of(order, self._index_path(order)),
            seconds=time.monotonic() - began,
            place=self._shelf.put(made),
        )

    def _record(self, path: Path, order: Order) -> bytes:
        """Return the record of a result as users may have it."""
        if not self._no_sources and order.others is None:
            return path.read_bytes()
        record = json.loads(path.read_bytes())
        del record["sha256"]  # of the text with the sources
        if order.others is not None:
            record = renamed(record, str(order.others), FOLDER)
        return sealed_json(json_lines(hidden_record(record) if self._no_sources else record))

    def _index_path(self, order: Order) -> str | None:
        """Return the path of an order's index as users may have it."""
        if order.collection is None:
            return None
        if self._no_sources:
            return f"{order.collection.rpartition('/')[2]}.ceret"
        return str(self._collections.get(order.collection).index.path)

    def check_filter(self, where: str | None) -> None:
        """Raise PageError for a filter that would tell what is hidden."""
        if self._no_sources and where and (named := [name for name in REVEALING if name in where]):
            raise PageError(f"A filter cannot ask for {' or '.join(named)} here: it would tell where photos lie.")


def _around(hole: Bools, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the part of a picture of the photo, of the shape (h, w, 3), that shows the hole and what surrounds it."""
    box = hole_box(hole)
    parts = []
    for axis in (0, 1):
        first, last, whole = box[axis], box[axis + 2], hole.shape[axis]
        side = min(whole, max(SHOWN_AROUND * (last - first), LEAST_SHOWN * whole))
        start = min(max(0.0, (first + last - side) / 2), whole - side)
        parts.append(slice(int(start / whole * shape[axis]), max(1, round((start + side) / whole * shape[axis]))))
    return parts[0], parts[1]


def _fitted(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Return (h, w) of a picture of this shape with a longer side of at most `side` px."""
    share = min(1.0, side / max(shape))
    return max(1, round(shape[0] * share)), max(1, round(shape[1] * share))


def _notes(made: Made) -> list[str]:
    """Return what the user should know of a result."""
    result = made.result
    kinds = [1 - one.scores["kind"] for one in result.candidates if "kind" in one.scores]
    unlike = result.method == "scenes" and kinds and max(kinds) < min(UNLIKE, SAME_KIND)
    alike = f"the collection holds nothing alike (similarity in kind {max(kinds):.2f} at best)" if unlike else ""
    lines = [alike, *result.notes, result.loss, result.refusal, *made.photo.encoding.notes]
    return list(dict.fromkeys(filter(None, [*lines, *made.notes])))
