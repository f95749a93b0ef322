"""Other photos of the place, below the photo: they are added and taken off."""

from __future__ import annotations

import json
from typing import Any

from ce_retrieval.app.drop_place import drop_place
from ce_retrieval.app.events import prepared
from ce_retrieval.app.messages import NOT_UPLOADED, PageError
from ce_retrieval.app.others import MOST, TOO_MANY
from ce_retrieval.app.services import Services
from ce_retrieval.app.sessions import Session
from ce_retrieval.app.status import line
from ce_retrieval.app.uploads import served_url
from ce_retrieval.errors import CeretError


def others_panel(gr: Any, services: Services) -> None:
    """Lay out the panel, and let it react."""
    panel = drop_place(gr, services, "others", "others-of-place", tiles=[])
    about = gr.HTML("", elem_id="about-others")
    events = _Events(gr, services)
    quiet = {"concurrency_id": "photo", "api_visibility": "private", "show_progress": "hidden"}
    panel.upload(events.change, panel, [panel, about], api_name="change_others", **quiet)


class _Events:
    """What happens when photos are added or taken off."""

    def __init__(self, gr: Any, services: Services) -> None:
        self._gr, self._services = gr, services
        prepared(gr, self.change)

    def change(self, value: str, request: Any) -> tuple[Any, str]:
        """Photos were sent, or one is to be removed."""
        session = self._services.sessions.of(request.session_hash)
        faults: list[CeretError] = []
        added: list[tuple[str, str]] = []
        try:
            added, removed = _asked(value)
            if removed is not None:
                session.others.remove(removed)
            session.others.folder()  # says what has been deleted
        except CeretError as error:
            faults.append(error)
        for path, name in added:  # one that is refused spares the others
            try:
                session.others.add(self._services.upload(path), name, self._services.settings.max_pixels)
            except CeretError as error:
                faults.append(error)
        said = "".join(line(text, bad=True) for text in dict.fromkeys(map(self._services.say, faults)))
        return self._gr.update(tiles=_tiles(session)), said


def _asked(value: str) -> tuple[list[tuple[str, str]], str | None]:
    """Return paths and names of photos to add, and the id of one to remove or None; PageError for a value of another form."""
    try:
        given = json.loads(value)
        added = [(str(one["path"]), str(one["name"])) for one in given.get("add", [])]
        removed = given.get("remove")
    except (ValueError, TypeError, KeyError, AttributeError):
        raise PageError(NOT_UPLOADED) from None
    if len(added) > MOST:
        raise PageError(TOO_MANY)
    return added, None if removed is None else str(removed)


def _tiles(session: Session) -> list[dict[str, str]]:
    return [{"url": served_url(one.tile), "name": one.name, "id": one.sha256} for one in session.others.photos]
