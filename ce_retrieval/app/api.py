"""The same calls for programs: `complete`, `neighbors` and `methods`, by HTTP and by `gradio_client` (docs/app.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ce_retrieval.app.messages import NO_PHOTO, PageError
from ce_retrieval.app.orders import Order
from ce_retrieval.app.others import MOST, TOO_MANY
from ce_retrieval.app.services import Services
from ce_retrieval.app.sessions import Session
from ce_retrieval.app.similar_tab import Question, nearest
from ce_retrieval.app.sources import hidden_neighbor
from ce_retrieval.app.uploads import GivenMask, GivenPhoto, take_mask, take_photo
from ce_retrieval.app.work import State
from ce_retrieval.completion.methods import DEFAULT_METHOD, METHODS, settings_of
from ce_retrieval.errors import CeretError
from ce_retrieval.settings import ranges

OFFERED = ("weights",)  # settings that are files of this machine: not for users


class Api:
    """The calls, and the hidden components that Gradio takes their arguments from."""

    def __init__(self, gr: Any, services: Services) -> None:
        self._gr, self._services = gr, services
        names, first = services.collections.names, services.collections.first
        with gr.Row(visible=False):
            photo = gr.UploadButton("photo")
            mask = gr.UploadButton("mask")
            painting = gr.Textbox(label="painting")
            collection = gr.Dropdown(names, value=first, label="collection")
            method = gr.Dropdown(list(METHODS), value=DEFAULT_METHOD, label="method")
            settings = gr.JSON(label="settings")
            others = gr.UploadButton("others", file_count="multiple")
            features = gr.Dropdown(["index", "kind", "places"], value="index", label="features")
            k = gr.Number(20, precision=0, label="k")
            where = gr.Textbox(label="where")
            picture, record, found = gr.File(label="picture"), gr.File(label="record"), gr.JSON(label="result")
            begin = [gr.Button("complete"), gr.Button("neighbors"), gr.Button("methods")]
        asked = [photo, mask, painting, collection, method, settings, others]
        begin[0].click(self.complete, asked, [picture, record], api_name="complete", concurrency_limit=None)
        asked = [photo, mask, painting, collection, features, k, where]
        begin[1].click(self.neighbors, asked, found, api_name="neighbors", concurrency_limit=None)
        begin[2].click(self.methods, None, found, api_name="methods")

    async def complete(
        self,
        photo: str | None,
        mask: str | None = None,
        painting: str | None = None,
        collection: str | None = None,
        method: str | None = DEFAULT_METHOD,
        settings: dict[str, Any] | None = None,
        others: list[str] | None = None,
    ) -> tuple[str, str]:
        """Fill the hole of a photo; return the PNG, and the JSON that says where every filled pixel came from."""
        services = self._services
        try:
            with services.sessions.passing() as session:
                given, hole = self._given(session, photo, mask)
                folder = self._folder(session, others or [])
                order = self._order(given, hole, painting, collection, method, settings, folder)
                folders, number = (session.served, session.kept), session.number()
                filled = await self._result(
                    session, lambda progress: services.filler.fill(order, number, folders, progress)
                )
                return str(filled.picture), str(filled.record)
        except CeretError as error:
            raise self._gr.Error(services.say(error), print_exception=False) from None

    async def neighbors(
        self,
        photo: str | None,
        mask: str | None = None,
        painting: str | None = None,
        collection: str | None = None,
        features: str | None = "index",
        k: float | None = 20,
        where: str | None = None,
    ) -> list[dict[str, Any]]:
        """Find the photos whose surroundings are nearest to a hole's; without a hole, those like the whole photo."""
        services = self._services
        try:
            with services.sessions.passing() as session:
                given, hole = self._given(session, photo, mask)
                name = collection or services.collections.first or ""
                question = Question(given, hole, painting or "", name, False, features or "index", int(k or 20), where)
                _, found = await self._result(session, lambda progress: nearest(services, question, progress))
                return [hidden_neighbor(one, hide=services.settings.no_sources) for one in found]
        except CeretError as error:
            raise self._gr.Error(services.say(error), print_exception=False) from None

    def methods(self) -> dict[str, Any]:
        """Return the collections, and the methods with their settings: default, and what each may be."""
        told = {}
        for name, about in METHODS.items():
            allowed = ranges(about.settings)
            entries = {entry.name: entry for entry in fields(about.settings)}
            told[name] = {
                setting: {"default": _plain(entries[setting].default), "expected": str(allowed[setting])}
                for setting in about.options()
                if setting not in OFFERED
            }
        return {"collections": self._services.collections.names, "methods": told}

    def _given(self, session: Session, photo: str | None, mask: str | None) -> tuple[GivenPhoto, GivenMask | None]:
        """Return the photo and the mask of a call."""
        services = self._services
        if not photo:
            raise PageError(NO_PHOTO)
        name, most = Path(photo).name, services.settings.max_pixels
        given = take_photo(services.upload(photo), name, session.served, session.kept, most)
        if not mask:
            return given, None
        return given, take_mask(services.upload(mask), Path(mask).name, session.kept, invert=False, alpha=False)

    def _folder(self, session: Session, others: list[str]) -> Path | None:
        """Return the folder of the other photos of a call, None where it has none."""
        if len(others) > MOST:
            raise PageError(TOO_MANY)
        for path in others:
            session.others.add(self._services.upload(path), Path(path).name, self._services.settings.max_pixels)
        return session.others.folder()

    def _order(
        self,
        photo: GivenPhoto,
        mask: GivenMask | None,
        painting: str | None,
        collection: str | None,
        method: str | None,
        settings: Mapping[str, Any] | None,
        others: Path | None,
    ) -> Order:
        """Return what is to be filled; an argument that the method does not read is an error here."""
        method = DEFAULT_METHOD if method is None else method
        if not isinstance(settings or {}, dict):
            raise PageError("`settings` is no JSON object: give the method's settings by name.")
        given = dict(settings or {})
        if refused := [name for name in OFFERED if name in given]:
            raise PageError(f"{refused[0]} cannot be set here: it would be a file of the server.")
        name = (
            None
            if method in METHODS and METHODS[method].index == "none"
            else collection or self._services.collections.first
        )
        settings_of(method, given, has_index=name is not None, has_others=others is not None)
        return Order(photo, mask, painting or "", method, name, given, others)

    async def _result(self, session: Session, work: Any) -> Any:
        result = None
        async for update in self._services.done(session, work):
            if not isinstance(update, State):
                result = update
        return result


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else None
