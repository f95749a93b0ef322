"""The painter: a canvas in the page on which the hole is painted. It needs Gradio, which is imported where it is used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gradio

FOLDER = Path(__file__).parent
# One function of the page, in this order.
SCRIPTS = ("hole.js", "view.js", "painting.js", "shapes.js", "gestures.js", "painter.js", "controls.js")


def painter(elem_id: str | None = None) -> gradio.HTML:
    """Return the component, for a Gradio page that is being built. It shows no photo yet: see `show`.

    Its value is the JSON text of what was painted (`strokes.rasterise` draws it), and changes after each stroke, or "" while
    no photo is shown. A page may have several painters.
    """
    import gradio

    # Not a subclass of HTML: Gradio would write a file of types beside this one.
    return gradio.HTML(
        "",
        html_template=_text("painter.html"),
        css_template=_text("painter.css"),
        js_on_load="\n".join(map(_text, SCRIPTS)),
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes="ceret-painter",
        photo={},
    )


def show(url: str | None, shape: tuple[int, int] | None = None, mask_url: str | None = None) -> dict[str, Any]:
    """Return the update of a painter that shows a photo with nothing painted on it; an event handler's result.

    Parameters
    ----------
    url : str or None
        a picture of the photo that the page's own server gives, upright; about 2000 pixels are enough. None shows no photo.
    shape : (H, W)
        the size of the photo itself, in whose pixels the painting is.
    mask_url : str or None
        a picture of an uploaded mask, white = hole, from the same server: the painting then begins with it.
    """
    import gradio

    if url is None:
        return gradio.update(photo={}, value="")
    if shape is None:
        raise ValueError("shape is missing: give the photo's (H, W)")
    height, width = shape
    photo: dict[str, Any] = {"url": url, "size": [width, height]}
    if mask_url is not None:
        photo["mask_url"] = mask_url
    return gradio.update(photo=photo, value="")


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
