"""The page: its parts in their places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ce_retrieval.app.api import Api
from ce_retrieval.app.events import prepared
from ce_retrieval.app.fill_controls import fill_controls
from ce_retrieval.app.fill_tab import FillEvents
from ce_retrieval.app.guard import may_name
from ce_retrieval.app.messages import NOT_UPLOADED
from ce_retrieval.app.photo_panel import photo_panel
from ce_retrieval.app.report_tab import ReportTab
from ce_retrieval.app.result_view import ResultView
from ce_retrieval.app.services import Services
from ce_retrieval.app.similar_tab import SimilarTab

LOOKS = Path(__file__).parent / "looks"
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
CODE_FONTS = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
TITLE = (
    "<header class='title'><h1>ceret</h1><p>Take things out of a photo: paint over them, and choose what shall be there "
    "instead.</p></header>"
)


def build_page(gr: Any, services: Services) -> Any:
    """Return the page as Gradio's Blocks; its arguments of `launch` are those of `looks`."""
    settings = services.settings
    swept = (min(600, settings.kept_for), settings.kept_for)
    page = _blocks(gr, services)(title="ceret", analytics_enabled=False, delete_cache=swept, fill_width=False)
    with page:
        gr.HTML(TITLE, elem_id="title")
        with gr.Row(elem_id="desk"):
            with gr.Column(scale=3, min_width=320):
                panel = photo_panel(gr, services)
            with gr.Column(scale=2, min_width=320), gr.Tabs(elem_id="tools"):
                with gr.Tab("Fill the hole", id="fill") as filling:
                    controls = fill_controls(gr, has_index=bool(services.collections.names))
                with gr.Tab("Similar photos", id="similar", visible=bool(services.collections.names)) as finding:
                    similar = SimilarTab(gr, services)
                reading = None
                if services.report is not None:
                    with gr.Tab("Evaluation", id="report") as reading:
                        gr.Markdown("How well each method does on photos whose truth is known: see below.")
        with gr.Column(elem_classes="below") as filled:
            view = ResultView(gr, services)
        with gr.Column(visible=False, elem_classes="below") as found:
            similar.results()
        areas = [filled, found]
        if services.report is not None:
            with gr.Column(visible=False, elem_classes="below") as read:
                report = ReportTab(gr, services, services.report)
            areas.append(read)
            report.connect(page)
        for number, tab in enumerate(filter(None, (filling, finding, reading))):
            shown = [gr.update(visible=number == one) for one in range(len(areas))]
            tab.select(
                lambda shown=tuple(shown): list(shown),
                None,
                areas,
                queue=False,
                api_visibility="private",
                show_progress="hidden",
            )
        FillEvents(gr, services, controls, view).connect(panel)
        similar.connect(panel)
        Api(gr, services)
        gone = _Gone(gr, services)
        page.unload(gone.gone)
    page.queue(default_concurrency_limit=8, max_size=4 * settings.waiting)
    return page


def looks(gr: Any) -> dict[str, Any]:
    """Return the theme and the styles, as arguments of `launch`. All of it comes from the server itself."""
    hue = gr.themes.colors
    theme = gr.themes.Soft(
        primary_hue=hue.teal,
        secondary_hue=hue.teal,
        neutral_hue=hue.slate,
        font=FONTS,
        font_mono=CODE_FONTS,
        radius_size=gr.themes.sizes.radius_md,
    ).set(
        # Contrasts of 4.5 and more (WCAG 2), which the theme's own colours do not have.
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        color_accent="*primary_700",
        link_text_color="*primary_700",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
        block_title_background_fill="none",
        block_title_padding="0",
        block_title_text_color="*body_text_color",
        block_title_text_weight="600",
        block_label_background_fill="*block_background_fill",
        block_label_background_fill_dark="*block_background_fill",
        block_label_text_color="*body_text_color_subdued",
        block_label_text_color_dark="*body_text_color_subdued",
        block_border_width="1px",
        block_shadow="none",
        block_border_color="*border_color_primary",
        input_border_width="1px",
        input_border_color="*neutral_400",
        input_border_color_dark="*neutral_500",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        checkbox_border_width="1px",
        checkbox_border_color="*neutral_400",
        checkbox_border_color_dark="*neutral_500",
    )
    return {"theme": theme, "css": (LOOKS / "page.css").read_text(encoding="utf-8")}


class _Gone:
    """What happens when a tab of a browser is closed."""

    def __init__(self, gr: Any, services: Services) -> None:
        self._services = services
        prepared(gr, self.gone)

    def gone(self, request: Any) -> None:
        """Forget the user."""
        self._services.sessions.drop(request.session_hash)


def _blocks(gr: Any, services: Services) -> Any:
    """Return the class of the page: Gradio's, but no request may name a file that was not sent or shown by the page."""

    class Page(gr.Blocks):
        async def preprocess_data(
            self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
        ) -> Any:
            if not explicit_call and not may_name(inputs, services.home):
                raise gr.Error(NOT_UPLOADED, print_exception=False)
            return await super().preprocess_data(block_fn, inputs, state, explicit_call)

    return Page
