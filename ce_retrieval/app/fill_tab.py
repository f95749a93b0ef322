"""Filling: the button, what is shown while it works, the result, and the other candidates."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from ce_retrieval.app import words
from ce_retrieval.app.events import prepared
from ce_retrieval.app.fill_controls import NONE, FillControls
from ce_retrieval.app.filling import Filled
from ce_retrieval.app.messages import STOPPED, PageError
from ce_retrieval.app.orders import Order, differing
from ce_retrieval.app.photo_panel import PhotoPanel
from ce_retrieval.app.result_view import ResultView
from ce_retrieval.app.services import Services
from ce_retrieval.app.sessions import Session
from ce_retrieval.app.status import line, status
from ce_retrieval.app.work import State
from ce_retrieval.completion.methods import METHODS
from ce_retrieval.completion.stages import Progress
from ce_retrieval.errors import CeretError

# On a narrow screen the candidate lies far below what was clicked.
SHOW_CANDIDATE = """() => setTimeout(() => {
  document.querySelector('#candidate')?.scrollIntoView({behavior: 'smooth', block: 'nearest'});
}, 200)"""


# What is under way, and what came of it, are far from the button that takes a candidate.
SHOW_WORK = "() => document.querySelector('#fill')?.scrollIntoView({behavior: 'smooth', block: 'nearest'})"
SHOW_RESULT = """() => setTimeout(() => {
  if (!document.querySelector('#status .bad')) {
    document.querySelector('#slider')?.scrollIntoView({behavior: 'smooth', block: 'nearest'});
  }
}, 200)"""


class FillEvents:
    """What happens when a fill, or another candidate, is asked for."""

    def __init__(self, gr: Any, services: Services, controls: FillControls, view: ResultView) -> None:
        self._gr, self._services, self._controls, self._view = gr, services, controls, view
        prepared(gr, self.fill, self.stop, self.kept, self.look, self.take_fill, self.sources)

    def connect(self, panel: PhotoPanel) -> None:
        """Let the components call what happens."""
        controls, view = self._controls, self._view
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        long = quiet | {"concurrency_limit": None}
        outputs = [controls.begin, controls.stop, controls.status, *view.components]
        asked = [panel.canvas, panel.collection, controls.method, controls.other, *controls.values]
        filled = controls.begin.click(self.fill, asked, outputs, **long)
        # Results of a photo go with it.
        panel.about.change(self.kept, None, view.whole, **quiet)
        controls.stop.click(self.stop, None, controls.status, queue=False, **quiet)
        for gallery in (view.gallery, view.origins):
            looked = gallery.select(self.look, None, view.candidate, **quiet)
            looked.then(None, js=SHOW_CANDIDATE, api_visibility="private")
        view.take.click(None, js=SHOW_WORK, api_visibility="private")
        taken = view.take.click(self.take_fill, view.number, outputs, **long)
        for done in (filled, taken):
            done.then(None, js=SHOW_RESULT, api_visibility="private")
        view.sources_tab.select(self.sources, None, view.origins, **quiet | {"concurrency_limit": 4})

    async def fill(
        self, request: Any, painting: str, collection: str, method: str, other: str, *values: Any
    ) -> AsyncIterator[Any]:
        """The hole is to be filled."""
        session = self._services.sessions.of(request.session_hash)
        try:
            settings = self._controls.given(values)
            methods = [method, *([other] if other not in (NONE, method) else [])]
            orders = [self._order(session, painting or "", collection, one, settings) for one in methods]
        except CeretError as error:
            yield self._refused(error)
            return
        async for update in self._filled(session, orders, methods):
            yield update

    async def take_fill(self, number: int | None, request: Any) -> AsyncIterator[Any]:
        """Another candidate is to be the result."""
        session = self._services.sessions.of(request.session_hash)
        try:
            before = session.result()
            orders = [self._services.filler.picking(before, int(number or 0))]
        except CeretError as error:
            yield self._refused(error)
            return
        async for update in self._filled(session, orders, [orders[0].method], before=before, number=int(number or 0)):
            yield update

    def stop(self, request: Any) -> str:
        """The work is to be stopped."""
        session = self._services.sessions.of(request.session_hash)
        session.stop()
        return line("Stopping…")

    def kept(self, request: Any) -> Any:
        """Another photo may have been chosen."""
        return self._gr.update(visible=bool(self._services.sessions.of(request.session_hash).filled))

    def look(self, event: Any, request: Any) -> Any:
        """A candidate is looked at."""
        session = self._services.sessions.of(request.session_hash)
        try:
            return self._view.shown_candidate(session.result(), int(event.index))
        except CeretError as error:
            raise self._gr.Error(self._services.say(error), print_exception=False) from None

    def sources(self, request: Any) -> Any:
        """The photos are to be shown from which the candidates come."""
        session = self._services.sessions.of(request.session_hash)
        try:
            return self._view.shown_sources(session.result())
        except CeretError as error:
            raise self._gr.Error(self._services.say(error), print_exception=False) from None

    def _order(
        self, session: Session, painting: str, collection: str, method: str, settings: Mapping[str, Any]
    ) -> Order:
        if not isinstance(method, str) or method not in METHODS:
            raise PageError("Choose a method of the list.")
        name = None if METHODS[method].index == "none" else collection or self._services.collections.first
        if name is not None:
            self._services.collections.get(name)  # says what is wrong with it before anybody waits
        others = session.others.folder() if METHODS[method].others else None
        chosen = differing(method, settings, has_index=name is not None, has_others=others is not None)
        return Order(session.chosen(), session.mask, painting, method, name, chosen, others)

    async def _filled(
        self,
        session: Session,
        orders: list[Order],
        methods: list[str],
        *,
        before: Filled | None = None,
        number: int = 0,
    ) -> AsyncIterator[Any]:
        """Fill, and yield what is shown; before, number: the result of which another candidate is taken."""
        filler, folders = self._services.filler, (session.served, session.kept)

        def work(progress: Progress) -> list[Filled]:
            if before is not None:
                return [filler.picked(orders[0], before, number, session.number(), folders, progress)]
            return [filler.fill(order, session.number(), folders, progress) for order in orders]

        steps = list(dict.fromkeys(step for method in methods for step in words.STEPS_OF.get(method, ())))
        seen: set[str] = set()
        try:
            async for update in self._services.done(session, work):
                if isinstance(update, State):
                    yield self._running(status(update, steps, seen))
                else:
                    session.filled = update
        except CeretError as error:
            yield self._refused(error)
            return
        yield [*self._idle(), "", *self._view.shown(session)]

    def _running(self, text: str) -> list[Any]:
        gr = self._gr
        return [
            gr.update(interactive=False),
            gr.update(interactive=True),
            text,
            *[gr.skip()] * len(self._view.components),
        ]

    def _idle(self) -> list[Any]:
        gr = self._gr
        return [gr.update(interactive=True), gr.update(interactive=False)]

    def _refused(self, error: CeretError) -> list[Any]:
        text = self._services.say(error)
        shown = line(text, bad=text != STOPPED)
        return [*self._idle(), shown, *[self._gr.skip()] * len(self._view.components)]
