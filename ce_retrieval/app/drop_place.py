"""A place on the page where photos are chosen or dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ce_retrieval.app.services import Services

LOOKS = Path(__file__).parent / "looks"


def drop_place(gr: Any, services: Services, name: str, elem_id: str, **more: Any) -> Any:
    """Return a place that looks as looks/NAME.html says, and takes photos as looks/NAME.js says; more: what the script reads."""
    html, script, own = (
        (LOOKS / file).read_text(encoding="utf-8") for file in (f"{name}.html", "drop.js", f"{name}.js")
    )
    return gr.HTML(
        "",
        html_template=html,
        js_on_load=f"{script}\n{own}",
        elem_id=elem_id,
        apply_default_css=False,
        most_bytes=services.settings.max_upload,
        **more,
    )
