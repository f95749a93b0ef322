"""The controls by which a fill is chosen: methods, the common settings, and the rest behind "More"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ce_retrieval.app import words
from ce_retrieval.completion.methods import DEFAULT_METHOD, METHODS
from ce_retrieval.completion.settings import TERM_WEIGHTS, SceneSettings
from ce_retrieval.settings import ranges

NONE = "nothing"
HEAVIEST = 10.0  # weight of a ranking term that a slider offers


class FillControls(NamedTuple):
    """The components.

    Attributes
    ----------
    method, other : dropdowns: what fills, and what it is compared with.
    settings : the components by the setting that they are.
    terms : the sliders of the ranking terms, by name.
    begin, stop : buttons.
    status : how far the work is.
    """

    method: Any
    other: Any
    settings: dict[str, Any]
    terms: dict[str, Any]
    begin: Any
    stop: Any
    status: Any

    @property
    def values(self) -> list[Any]:
        """The components of all settings, as inputs; `given` reads their values."""
        return [*self.settings.values(), *self.terms.values()]

    def given(self, values: Sequence[Any]) -> dict[str, Any]:
        """Return settings by name from the values of `values`; terms that stand at their default are left out."""
        settings = dict(zip(self.settings, values[: len(self.settings)], strict=True))
        weights = dict(zip(self.terms, values[len(self.settings) :], strict=True))
        settings["terms"] = {name: value for name, value in weights.items() if value != TERM_WEIGHTS[name]}
        for name in ("aligned", "k"):
            settings[name] = int(settings[name]) if settings.get(name) else None
        return settings


def fill_controls(gr: Any, *, has_index: bool) -> FillControls:
    """Lay out the controls; those that a method does not read are hidden, and the methods that need an index without one."""
    known = ranges(SceneSettings)
    titles = [
        (title, name) for name, (title, _) in words.METHODS.items() if has_index or METHODS[name].index != "required"
    ]
    with gr.Row(elem_classes="slim"):
        method = gr.Dropdown(
            titles, value=DEFAULT_METHOD, label="Fill with", info=_about(DEFAULT_METHOD), elem_id="method"
        )
        other = gr.Dropdown(
            [("Nothing", NONE), *titles],
            value=NONE,
            label="Compare with",
            info="A second method, side by side.",
            elem_id="other",
        )
    settings: dict[str, Any] = {}
    seam, trust = known["seam"], known["trust"]
    settings["seam"] = gr.Slider(
        seam.low,
        seam.high,
        SceneSettings.seam,
        step=1,
        label="Seam",
        elem_id="seam",
        info="How far a fill may reach into the photo; 0 keeps all that you did not paint.",
    )
    settings["trust"] = gr.Slider(
        trust.low,
        trust.high,
        SceneSettings.trust,
        step=0.05,
        label="Colour correction",
        elem_id="trust",
        info="How far the colours of a fill may be changed to fit.",
    )
    settings["where"] = gr.Textbox(
        label="Only photos for which",
        placeholder="licence == 'CC0' and width >= 1024",
        elem_id="where",
        max_lines=1,
        info="A filter; leave it empty for all photos.",
    )
    with gr.Row(elem_classes="slim"):
        begin = gr.Button("Fill the hole", variant="primary", elem_id="fill", scale=2)
        stop = gr.Button("Stop", variant="secondary", elem_id="stop", interactive=False, scale=1, min_width=80)
    status = gr.HTML("", elem_id="status")
    with gr.Accordion("More", open=False, elem_id="more"):
        _more(gr, settings)
        with gr.Accordion("What makes a good fill", open=False, elem_id="weights", visible=has_index):
            gr.Markdown("Higher weighs more; 0 is not looked at.")
            terms = {
                name: gr.Slider(0, HEAVIEST, weight, step=0.25, label=_sentence(name), elem_id=f"term-{name}")
                for name, weight in TERM_WEIGHTS.items()
            }
    shown = list(settings.items())
    for name, component in shown:
        component.visible = name in _read(DEFAULT_METHOD, has_index)

    def read(chosen: str, compared: str) -> list[Any]:
        used = _read(chosen, has_index) | (_read(compared, has_index) if compared != NONE else set())
        return [gr.update(info=_about(chosen)), *(gr.update(visible=name in used) for name, _ in shown)]

    both = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
    for one in (method, other):
        one.change(read, [method, other], [method, *(component for _, component in shown)], **both)
    return FillControls(method, other, settings, terms, begin, stop, status)


def _more(gr: Any, settings: dict[str, Any]) -> None:
    """Lay out the settings that few change."""
    reranks = [(text[:1].upper() + text[1:], name) for name, text in words.RERANK.items()]
    settings["rerank"] = gr.Dropdown(
        reranks, value=SceneSettings.rerank, label="Order", info="How candidates are sorted."
    )
    settings["aligned"] = gr.Number(
        0, label="Scenes to place", precision=0, minimum=0, maximum=1000, info="0: what suits the collection."
    )
    settings["kind"] = gr.Dropdown(
        [("Yes, where the collection knows it", "auto"), ("No", "none")], value="auto", label="Same kind of place"
    )
    settings["places"] = gr.Dropdown(
        [("Yes", "auto"), ("No", "none")],
        value="auto",
        label="Same place first",
        info="Look first for other photos of the very same place.",
    )
    settings["allow_same_photo"] = gr.Checkbox(
        label="Allow the photo itself", info="Copies of your photo may fill it: what you take out may come back."
    )
    settings["mixed"] = gr.Checkbox(label="Keep the stronger edges of both")
    settings["fill"] = gr.Dropdown(
        [("Blended", "blend"), ("As it is", "paste"), ("Mean of many", "mean")],
        value="blend",
        label="Fill",
    )
    settings["start"] = gr.Dropdown(
        [
            ("What suits", "auto"),
            ("Smooth colours", "smooth"),
            ("A network's guess", "network"),
            ("The best scene", "scene"),
        ],
        value="auto",
        label="Begin with",
    )
    settings["k"] = gr.Number(0, label="Candidates", precision=0, minimum=0, maximum=200, info="0: twenty.")


def _read(method: str, has_index: bool) -> set[str]:
    """Return the settings that a method reads."""
    if method not in METHODS:
        return set()
    about = METHODS[method]
    if has_index or about.index != "optional":
        return set(about.options())
    return {*about.without_index, *about.with_others}


def _about(method: str) -> str:
    return words.METHODS.get(method, ("", ""))[1]


def _sentence(term: str) -> str:
    from ce_retrieval.app.sources import TERMS

    text = TERMS.get(term, term)
    return text[:1].upper() + text[1:]
