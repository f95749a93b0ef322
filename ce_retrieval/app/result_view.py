"""What the page shows of a result: before and after, the downloads, and the other candidates with their sources."""

from __future__ import annotations

import html
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from ce_retrieval.app import words
from ce_retrieval.app.filling import PICKED_BY, Filled
from ce_retrieval.app.messages import RESULT_GONE, PageError
from ce_retrieval.app.services import Services
from ce_retrieval.app.sessions import Session
from ce_retrieval.app.sources import caption, described, outlined
from ce_retrieval.app.uploads import TILE, save_preview
from ce_retrieval.completion.methods import METHODS
from ce_retrieval.errors import CeretError
from ce_retrieval.photos import load_photo
from ce_retrieval.pixels import Photo

SOURCE = 720  # px, the longer side of a source photo that is looked at
COLUMNS = 5
SOURCE_GONE = "<p class='note'>This photo is no longer where it was, so that it cannot be shown, nor fill the hole.</p>"
MORE_BY_SCENES = ("auto", "patchmatch", "network")


class ResultView:
    """The components of a result, and what they show.

    Attributes
    ----------
    gallery, origins : the candidates: the photo filled from each, and the photos that they come from.
    sources_tab : the tab of `origins`.
    whole : all of it.
    candidate : what is shown of the candidate that is looked at.
    take, number : the button that takes it, and its place in the gallery.
    """

    def __init__(self, gr: Any, services: Services) -> None:
        self._gr, self._services = gr, services
        with gr.Column(visible=False, elem_id="result") as self.whole:
            with gr.Row():
                with gr.Column(scale=3, min_width=300):
                    self._slider = self._image_slider("Before and after", "slider")
                    self._versus = self._image_slider("The two methods", "versus", visible=False)
                with gr.Column(scale=2, min_width=280):
                    self._about = gr.HTML("", elem_id="about-result")
                    self._picture = gr.DownloadButton("Download the photo", variant="primary", elem_id="get-photo")
                    with gr.Row(elem_classes="slim"):
                        self._record = gr.DownloadButton(
                            "Record (JSON)", size="sm", min_width=100, elem_id="get-record"
                        )
                        self._mask = gr.DownloadButton("Mask (PNG)", size="sm", min_width=100, elem_id="get-mask")
                    with gr.Accordion("The same by command", open=False):
                        self._command = gr.Code(label="In a terminal", language="shell", interactive=False, lines=2)
            with gr.Column(visible=False, elem_id="others") as self._others:
                gr.Markdown("### Choose among the fills", elem_classes="heading")
                with gr.Tabs():
                    with gr.Tab("Best first"):
                        self.gallery = self._tiles("Fills", "gallery")
                    with gr.Tab("Sources") as self.sources_tab:
                        self.origins = self._tiles("Source photos, with the part that is used", "origins")
                with gr.Row(visible=False, elem_id="candidate") as self._looked:
                    self._fill = gr.Image(
                        label="The fill",
                        interactive=False,
                        buttons=["fullscreen"],
                        height=340,
                        elem_id="small",
                    )
                    self._source = gr.Image(
                        label="Its source",
                        interactive=False,
                        buttons=["fullscreen"],
                        elem_id="source",
                        height=340,
                    )
                    with gr.Column(scale=1, min_width=260):
                        self._facts = gr.HTML("", elem_id="facts")
                        self.take = gr.Button("Take this fill", variant="primary", elem_id="take")
                self.number = gr.Number(value=0, precision=0, visible=False)
        self.candidate = [self._looked, self._fill, self._source, self._facts, self.take, self.number]

    @property
    def components(self) -> list[Any]:
        """What `shown` returns values for."""
        return [
            *(self.whole, self._slider, self._versus, self._about),
            *(self._picture, self._record, self._mask, self._command),
            *(self._others, self.gallery, self.origins, self._looked),
        ]

    def shown(self, session: Session) -> list[Any]:
        """Return what is shown of the last result."""
        gr, filled = self._gr, session.result()
        two = session.filled[1] if len(session.filled) > 1 else None
        names = [words.METHODS.get(one.order.method, (one.order.method, ""))[0] for one in session.filled]
        versus = gr.update(visible=False)
        if two is not None:
            pictures = str(filled.preview[1]), str(two.preview[1])
            versus = gr.update(value=pictures, visible=True, label=f"{names[0]} (left) and {names[1]}")
        return [
            gr.update(visible=True),
            (str(filled.preview[0]), str(filled.preview[1])),
            versus,
            "".join(self._about_result(session, one) for one in session.filled),
            gr.update(
                value=str(filled.picture), label="Download the photo" if two is None else f"Download “{names[0]}”"
            ),
            *(str(path) for path in (filled.record, filled.mask)),
            filled.command,
            gr.update(visible=bool(filled.candidates)),
            gr.update(value=self._fills(filled), selected_index=filled.pick),
            gr.update(value=[]),
            gr.update(visible=False),
        ]

    def shown_candidate(self, filled: Filled, number: int) -> list[Any]:
        """Return what is shown of a candidate that is looked at."""
        gr = self._gr
        if not 0 <= number < len(filled.candidates):
            raise PageError(RESULT_GONE)
        candidate = filled.candidates[number]
        source = self._source_of(filled, number, SOURCE)
        can = filled.order.method in PICKED_BY and filled.pick != number
        return [
            gr.update(visible=True),
            gr.update(value=str(filled.large[number]) if filled.large else None, visible=bool(filled.large)),
            gr.update(value=str(source) if source else None, visible=source is not None),
            described(candidate, hide=self._services.settings.no_sources) + ("" if source else SOURCE_GONE),
            gr.update(visible=can),
            number,
        ]

    def shown_sources(self, filled: Filled) -> list[tuple[str, str]]:
        """Return the photos that the candidates come from, with their captions."""
        shown = []
        for number, text in enumerate(self._captions(filled)):
            path = self._source_of(filled, number, TILE) or next(iter(filled.tiles[number : number + 1]), None)
            if path is not None:
                shown.append((str(path), text))
        return shown

    def _fills(self, filled: Filled) -> list[tuple[str, str]]:
        """Return the tiles of the gallery: fills, or the source photos where a method makes no fill of each."""
        if not filled.tiles:
            return self.shown_sources(filled)
        return [(str(path), text) for path, text in zip(filled.tiles, self._captions(filled), strict=True)]

    def _captions(self, filled: Filled) -> list[str]:
        hide = self._services.settings.no_sources
        pairs = zip_longest(filled.candidates, filled.neighbors)
        return [
            caption(one.rank, one.photo, neighbor.record if neighbor else None, hide=hide)
            + (f"  · {one.licence}" if one.licence else "")
            for one, neighbor in pairs
        ]

    def _source_of(self, filled: Filled, number: int, side: int) -> Path | None:
        """Return a picture of a candidate's photo with the part that is used; None where it cannot be read any more."""
        if number >= len(filled.neighbors):
            return None
        path = filled.picture.parent / f"source-{number:02d}-{side}.webp"
        if path.exists():
            return path
        try:
            scene = self._read(filled, number)
        except CeretError:
            return None
        height, width = filled.order.photo.height, filled.order.photo.width
        factor = np.array([height / filled.hole.shape[0], width / filled.hole.shape[1]])
        save_preview(path, outlined(scene, filled.candidates[number], filled.hole, factor, side), side)
        return path

    def _read(self, filled: Filled, number: int) -> Photo:
        """Return a candidate's photo, of the user's others or of the collection; CeretError where it cannot be read any more."""
        others, record = filled.order.others, filled.neighbors[number].record
        if others is not None and Path(filled.neighbors[number].name).is_relative_to(others):
            return load_photo(others / record.key).pixels
        if filled.order.collection is None:
            raise PageError(RESULT_GONE)
        return self._services.collections.get(filled.order.collection).index.read_photo(record).pixels

    def _about_result(self, session: Session, filled: Filled) -> str:
        """Return HTML that says how a photo was filled."""
        name = words.METHODS.get(filled.order.method, (filled.order.method, ""))[0]
        parts = "".join(f"<li>{html.escape(_part(*part))}</li>" for part in filled.parts)
        lines = self._services.lines(filled.notes)
        if self._services.collections.first and filled.order.method in MORE_BY_SCENES and not filled.candidates:
            lines.append("To choose among twenty fills from other photos, fill with “Scenes”.")
        if session.others.photos and not METHODS[filled.order.method].others:
            fit = " and ".join(f"“{words.METHODS[name][0]}”" for name, about in METHODS.items() if about.others)
            lines.append(f"The other photos of the place are used by {fit} only.")
        notes = "".join(f"<p class='note'>{html.escape(text)}</p>" for text in lines)
        return (
            f"<section class='about'><h3>{html.escape(name)}</h3>"
            f"<p class='faint'>{filled.order.photo.width} × {filled.order.photo.height} pixels, {filled.seconds:.1f} s</p>"
            f"{f'<ul>{parts}</ul>' if parts else ''}{notes}</section>"
        )

    def _image_slider(self, label: str, elem_id: str, **more: Any) -> Any:
        return self._gr.ImageSlider(
            label=label,
            interactive=False,
            type="filepath",
            buttons=["fullscreen"],
            max_height=620,
            elem_id=elem_id,
            **more,
        )

    def _tiles(self, label: str, elem_id: str) -> Any:
        return self._gr.Gallery(
            label=label,
            columns=COLUMNS,
            height="auto",
            object_fit="cover",
            allow_preview=False,
            show_label=False,
            elem_id=elem_id,
            buttons=[],
        )


def _part(method: str, confidence: float | None) -> str:
    """Return what a part of the hole was filled by, and how sure that is."""
    text = words.PARTS.get(method, method)
    text = f"Filled {text}"
    if confidence is None:
        return text
    what = "that it shows the same kind of place" if method.startswith("scenes") else "that no scene would look better"
    return f"{text}; {confidence:.0%} sure {what}"
