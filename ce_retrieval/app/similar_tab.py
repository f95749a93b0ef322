"""Photos that are alike: the nearest contexts of a hole (Pathak et al. 2016, Figure 8), or photos like a whole one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

from ce_retrieval.app import words
from ce_retrieval.app.collections import Collection
from ce_retrieval.app.events import prepared
from ce_retrieval.app.messages import PageError
from ce_retrieval.app.photo_panel import PhotoPanel
from ce_retrieval.app.services import Services
from ce_retrieval.app.sessions import Session
from ce_retrieval.app.sources import caption
from ce_retrieval.app.status import line, status
from ce_retrieval.app.uploads import TILE, GivenMask, GivenPhoto, save_preview
from ce_retrieval.app.work import State
from ce_retrieval.completion.stages import SEARCH, Progress
from ce_retrieval.errors import CeretError
from ce_retrieval.retrieval.neighbor import Neighbor, neighbor_photos
from ce_retrieval.retrieval.search import find_neighbors

HOLE, WHOLE = "hole", "whole"
MOST = 60  # photos that are found


class Question(NamedTuple):
    """What is looked for.

    Attributes
    ----------
    photo, mask, painting, collection : as in `filling.Order`.
    whole : look at the photo as a whole, whatever is painted.
    features, k, where : as for `find_neighbors`.
    """

    photo: GivenPhoto
    mask: GivenMask | None
    painting: str
    collection: str
    whole: bool
    features: str
    k: int
    where: str | None


def nearest(services: Services, question: Question, progress: Progress) -> tuple[Collection, list[Neighbor]]:
    """Return the photos that are alike, nearest first.

    Raises
    ------
    CeretError : the errors of `find_neighbors`.
    """
    progress(SEARCH, 0, 1)
    services.filler.check_filter(question.where)
    collection = services.collections.get(question.collection)
    hole = None if question.whole else services.filler.hole_of(question.photo, question.mask, question.painting)
    pixels = question.photo.read(services.settings.max_pixels).pixels
    k = max(1, min(question.k, MOST, len(collection.index)))
    where = question.where or None
    return collection, find_neighbors(collection.index, pixels, hole, k, features=question.features, where=where)


class SimilarTab:
    """The controls, and what they find."""

    def __init__(self, gr: Any, services: Services) -> None:
        self._gr, self._services = gr, services
        prepared(gr, self.find)
        self._around = gr.Radio(
            [("What surrounds the hole", HOLE), ("The whole photo", WHOLE)],
            value=HOLE,
            label="Compare",
            elem_id="around",
            info="With nothing painted, the whole photo is compared.",
        )
        self._features = gr.Dropdown(
            [(text[:1].upper() + text[1:], name) for name, text in words.FEATURES.items()],
            value="index",
            label="Alike in",
            elem_id="features",
        )
        self._k = gr.Slider(1, MOST, 20, step=1, label="How many", elem_id="k")
        self._where = gr.Textbox(
            label="Only photos for which", placeholder="label == 'mountain'", max_lines=1, elem_id="where-similar"
        )
        self._begin = gr.Button("Find similar photos", variant="primary", elem_id="find")

    def results(self) -> None:
        """Lay out what is found, elsewhere on the page."""
        gr = self._gr
        self._status = gr.HTML("", elem_id="status-similar")
        self._gallery = gr.Gallery(
            label="Similar photos, nearest first",
            columns=5,
            height="auto",
            object_fit="cover",
            visible=False,
            elem_id="similar",
            show_label=False,
            buttons=["fullscreen"],
        )

    def connect(self, panel: PhotoPanel) -> None:
        """Let the button find."""
        asked = [panel.canvas, panel.collection, self._around, self._features, self._k, self._where]
        shown = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}
        self._begin.click(self.find, asked, [self._status, self._gallery], **shown)

    async def find(
        self, painting: str, collection: str, around: str, features: str, k: Any, where: str, request: Any
    ) -> AsyncIterator[Any]:
        """Similar photos are asked for."""
        gr, services = self._gr, self._services
        session = services.sessions.of(request.session_hash)

        def work(progress: Progress) -> list[tuple[str, str]]:
            return self._pictures(session, *nearest(services, question, progress))

        found: Sequence[tuple[str, str]] = []
        try:
            question = Question(
                session.chosen(), session.mask, painting or "", collection, around == WHOLE, features, int(k), where
            )
            async for update in services.done(session, work):
                if isinstance(update, State):
                    yield status(update, [SEARCH], set()), gr.skip()
                else:
                    found = update
            if not found:
                raise PageError("No photo of the collection is alike in this.")
        except CeretError as error:
            yield line(services.say(error), bad=True), gr.update(visible=False)
            return
        yield "", gr.update(value=found, visible=True)

    def _pictures(
        self, session: Session, collection: Collection, neighbors: Sequence[Neighbor]
    ) -> list[tuple[str, str]]:
        """Return pictures of what was found, with captions; those that cannot be read any more are left out."""
        opened, _ = neighbor_photos(collection.index, neighbors, TILE)
        hide = self._services.settings.no_sources
        shown = []
        for neighbor, pixels in opened:
            path = session.served / f"similar-{session.number()}.webp"
            save_preview(path, pixels, TILE)
            licence = f"  · {neighbor.record.licence}" if neighbor.record.licence else ""
            shown.append((str(path), caption(neighbor.rank, neighbor.name, neighbor.record, hide=hide) + licence))
        return shown
