"""How far a piece of work is, as the page shows it."""

from __future__ import annotations

import html
from collections.abc import Sequence

from ce_retrieval.app.words import STAGES, STEPS
from ce_retrieval.app.work import State


def status(state: State, steps: Sequence[str], seen: set[str]) -> str:
    """Return HTML for a state.

    Parameters
    ----------
    steps : stages of the method, shown as a row.
    seen : stages that were told before; the present one is added.
    """
    if state.ahead:
        others = "one other is" if state.ahead == 1 else f"{state.ahead} others are"
        return line(f"Waiting: {others} before you.")
    seen.add(state.stage)
    chips = "".join(_chip(stage, state.stage, seen) for stage in steps)
    what = STAGES.get(state.stage, "beginning")
    count = f": {state.done} of {state.total}" if state.total > 1 else ""
    share = f" value='{state.done}' max='{state.total}'" if state.total > 1 else ""
    return (
        f"<div class='status' role='status'><div class='steps'>{chips}</div>"
        f"<progress{share} aria-label='{html.escape(what)}'></progress>"
        f"<p>{html.escape(what[:1].upper() + what[1:])}{count} <span class='faint'>{state.seconds:.0f} s</span></p></div>"
    )


def line(text: str, *, bad: bool = False) -> str:
    """Return HTML for a line of the page: a note, or an error."""
    role, style = ("alert", " bad") if bad else ("status", "")
    return f"<div class='status{style}' role='{role}'><p>{html.escape(text)}</p></div>"


def _chip(stage: str, now: str, seen: set[str]) -> str:
    style = "now" if stage == now else "done" if stage in seen else ""
    return f"<span class='{style}'>{html.escape(STEPS[stage])}</span>"
