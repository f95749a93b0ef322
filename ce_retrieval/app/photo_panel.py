"""The left half of the page: a photo is chosen, and its hole painted or loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ce_retrieval.app.collections import Collection
from ce_retrieval.app.drop_place import drop_place
from ce_retrieval.app.events import prepared
from ce_retrieval.app.messages import NO_PHOTO, NOT_UPLOADED, PageError, last_part
from ce_retrieval.app.others_panel import others_panel
from ce_retrieval.app.painter import painter, show
from ce_retrieval.app.services import Services
from ce_retrieval.app.sessions import Session
from ce_retrieval.app.sources import caption
from ce_retrieval.app.status import line
from ce_retrieval.app.uploads import PREVIEW, TILE, GivenPhoto, save_preview, served_url, take_mask, take_photo
from ce_retrieval.errors import CeretError
from ce_retrieval.photo_index import PhotoRecord
from ce_retrieval.retrieval.neighbor import neighbor_photos, neighbors_of

OFFERED = 18  # photos of a collection, at a time


class PhotoPanel(NamedTuple):
    """The components of the panel that others read.

    Attributes
    ----------
    chooser : where a photo is dropped.
    about : a line on the photo, or what is wrong with it.
    canvas : the painter; its value is the painting.
    collection : the name of the index.
    """

    chooser: Any
    about: Any
    canvas: Any
    collection: Any


def photo_panel(gr: Any, services: Services) -> PhotoPanel:
    """Lay out the panel, and let it react."""
    names, first = services.collections.names, services.collections.first
    chooser = drop_place(gr, services, "chooser", "chooser")
    about = gr.HTML(line("Your photo stays on this server, and is deleted after an hour."), elem_id="about-photo")
    canvas = painter(elem_id="canvas")
    with gr.Row(elem_classes="slim"):
        loaded = gr.UploadButton(
            "Load a mask from a file", file_types=["image"], size="sm", variant="secondary", elem_id="mask-file"
        )
        unloaded = gr.Button("Remove the mask", size="sm", visible=False, elem_id="mask-off")
    with gr.Accordion("About masks", open=False):
        gr.Markdown(
            "A mask is a black and white picture of the photo's size: white marks the hole. Painting adds to it or takes away."
        )
        inverted = gr.Checkbox(label="Dark marks the hole, not white")
        transparent = gr.Checkbox(label="Transparent marks the hole")
    others_panel(gr, services)
    collection = gr.Dropdown(
        names,
        value=first,
        label="Collection",
        info="The photos to fill from.",
        visible=len(names) > 1,
        elem_id="collection",
    )
    with gr.Accordion(
        "Take a photo from the collection", open=False, elem_id="offer", visible=bool(names)
    ) as accordion:
        offered = gr.Gallery(
            label="Photos of the collection",
            columns=6,
            height=300,
            object_fit="cover",
            allow_preview=False,
            elem_id="offered",
            show_label=False,
        )
        more = gr.Button("Show other photos", size="sm")

    events = _Events(gr, services)
    outputs = [about, canvas, unloaded]
    one = {"concurrency_id": "photo", "concurrency_limit": 2, "api_visibility": "private", "show_progress": "minimal"}
    chooser.upload(events.choose, chooser, outputs, **one)
    loaded.upload(events.load_mask, [loaded, inverted, transparent], outputs, **one)
    unloaded.click(events.remove_mask, None, outputs, **one)
    accordion.expand(events.offer, collection, offered, **one)
    more.click(events.offer, collection, offered, **one)
    offered.select(events.take, collection, outputs, **one)
    return PhotoPanel(chooser, about, canvas, collection)


class _Events:
    """What happens when something is chosen."""

    def __init__(self, gr: Any, services: Services) -> None:
        self._gr, self._services = gr, services
        prepared(gr, self.choose, self.load_mask, self.remove_mask, self.offer, self.take)

    def choose(self, value: str, request: Any) -> tuple[Any, ...]:
        """A photo was sent."""
        session = self._services.sessions.of(request.session_hash)
        try:
            try:
                given = json.loads(value)
                path, name = str(given["path"]), str(given["name"])
            except (ValueError, TypeError, KeyError):
                raise PageError(NOT_UPLOADED) from None
            return self._shown(session, self._services.upload(path), name)
        except CeretError as error:
            return self._refused(error)

    def load_mask(self, path: str | None, invert: bool, alpha: bool, request: Any) -> tuple[Any, ...]:
        """A mask was sent."""
        session, gr = self._services.sessions.of(request.session_hash), self._gr
        try:
            photo = session.photo
            if photo is None:
                raise PageError(NO_PHOTO)
            data = self._services.upload(str(path))
            mask = take_mask(data, Path(str(path)).name, session.kept, invert=bool(invert), alpha=bool(alpha))
            hole = mask.read((photo.height, photo.width))
            picture = session.served / f"mask-{session.number()}.webp"
            save_preview(picture, np.repeat(hole[..., None].astype(np.uint8) * np.uint8(255), 3, axis=2), PREVIEW)
        except CeretError as error:
            return self._refused(error)
        session.mask = mask
        return (
            line(f"The mask “{mask.name}” marks {hole.mean():.0%} of the photo."),
            show(served_url(photo.preview), (photo.height, photo.width), served_url(picture)),
            gr.update(visible=True),
        )

    def remove_mask(self, request: Any) -> tuple[Any, ...]:
        """The mask is taken off."""
        session = self._services.sessions.of(request.session_hash)
        session.mask = None
        if session.photo is None:
            return line(NO_PHOTO), show(None), self._gr.update(visible=False)
        return self._with(session.photo)

    def offer(self, name: str, request: Any) -> Any:
        """Other photos of the collection are asked for."""
        session = self._services.sessions.of(request.session_hash)
        try:
            collection = self._services.collections.get(name)
            index = collection.index
            ids = np.sort(np.random.default_rng().permutation(len(index))[:OFFERED])
            opened, _ = neighbor_photos(index, neighbors_of(index, ids, np.zeros(len(ids))), TILE)
        except CeretError as error:
            raise self._gr.Error(self._services.say(error), print_exception=False) from None
        hide = self._services.settings.no_sources
        session.offered = name, [neighbor.record for neighbor, _ in opened]
        shown = []
        for number, (neighbor, pixels) in enumerate(opened, start=1):
            path = session.served / f"offer-{session.number()}.webp"
            save_preview(path, pixels, TILE)
            shown.append((str(path), caption(number, neighbor.name, neighbor.record, hide=hide)))
        return shown

    def take(self, name: str, event: Any, request: Any) -> tuple[Any, ...]:
        """One of the photos of the collection was clicked."""
        session = self._services.sessions.of(request.session_hash)
        try:
            known, records = session.offered
            collection = self._services.collections.get(known or name)
            record = _numbered(records, event.index)
            return self._shown(session, collection.index.read_bytes(record), self._name_of(collection, record))
        except CeretError as error:
            return self._refused(error)

    def _name_of(self, collection: Collection, record: PhotoRecord) -> str:
        if not self._services.settings.no_sources:
            return last_part(collection.index.name_of(record))
        suffix = Path(record.key).suffix if "." in record.key else ".jpg"
        return f"photo{suffix}"

    def _shown(self, session: Session, data: bytes, name: str) -> tuple[Any, ...]:
        """Let a photo take the place of the one before."""
        photo = take_photo(data, name, session.served, session.kept, self._services.settings.max_pixels)
        session.stop()
        session.photo, session.mask, session.filled = photo, None, []
        return self._with(photo)

    def _with(self, photo: GivenPhoto) -> tuple[Any, ...]:
        size = f"{photo.width} × {photo.height} pixels"
        return (
            line(f"{photo.name}, {size}. Paint over what should go."),
            show(served_url(photo.preview), (photo.height, photo.width)),
            self._gr.update(visible=False),
        )

    def _refused(self, error: CeretError) -> tuple[Any, ...]:
        skipped = self._gr.skip()
        return line(self._services.say(error), bad=True), skipped, skipped


def _numbered(records: list[PhotoRecord], number: Any) -> PhotoRecord:
    if not isinstance(number, int) or not 0 <= number < len(records):
        raise PageError("These photos are no longer offered: press “Show other photos”.")
    return records[number]
