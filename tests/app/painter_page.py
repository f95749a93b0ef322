"""A page with the painter alone: photos to show, and what the server makes of what was painted."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported

import numpy as np
from PIL import Image

from ce_retrieval.app.painter import painter, show
from ce_retrieval.app.strokes import rasterise
from ce_retrieval.errors import SettingsError

LONGEST = 2048  # of the picture that the page gets


def painter_page(folder: Path, photos: dict[str, np.ndarray], masks: dict[str, np.ndarray] | None = None) -> Any:
    """Return the Blocks, not launched: a photo of this name is asked for in a field, a mask too.

    For each painter (`left`, `right`) there are the fields and buttons `NAME-photo`, `NAME-show`, `NAME-send`, and the answer
    is in `NAME-answer`: the hole's size and sum, or the error. The hole itself is in `folder`, as NAME.npy, and the painting
    as NAME.json.
    """
    import gradio as gr

    masks = masks or {}
    count = itertools.count()

    def picture(name: str, pixels: np.ndarray) -> str:
        image = Image.fromarray(pixels if pixels.dtype == np.uint8 else np.uint8(255) * pixels)
        image.thumbnail((LONGEST, LONGEST))
        image.save(folder / f"{name}.png", compress_level=1)
        return f"/gradio_api/file={folder}/{name}.png"

    urls = {name: picture(name, pixels) for name, pixels in photos.items()}
    mask_urls = {name: picture(f"{name}-mask", mask) for name, mask in masks.items()}

    def shown(name: str) -> dict[str, Any]:
        if name not in urls:
            return show(name or None, (90, 120))
        # Another address each time: the painter then loads the photo anew.
        return show(f"{urls[name]}?{next(count)}", photos[name].shape[:2], mask_urls.get(name))

    def sent(side: str, name: str, painting: str) -> str:
        (folder / f"{side}.json").write_text(painting)
        try:
            hole = rasterise(painting, photos[name].shape[:2], masks.get(name))
        except SettingsError as error:
            return str(error)
        np.save(folder / f"{side}.npy", hole)
        return f"{hole.shape[1]}x{hole.shape[0]} {int(hole.sum())} {next(count)}"  # never the same text twice

    with gr.Blocks(analytics_enabled=False) as page:
        for side in ("left", "right"):
            canvas = painter(elem_id=f"{side}-painter")
            with gr.Row():
                name = gr.Textbox(elem_id=f"{side}-photo", label="Photo")
                text = gr.Textbox(elem_id=f"{side}-text", label="Painting")
                answer = gr.Textbox(elem_id=f"{side}-answer", label="Answer")
            with gr.Row():
                button = gr.Button("Show", elem_id=f"{side}-show")
                button.click(shown, name, canvas, queue=False)
                button = gr.Button("Send", elem_id=f"{side}-send")
                button.click(
                    lambda photo, painting, side=side: sent(side, photo, painting), [name, canvas], answer, queue=False
                )
                button = gr.Button("Set", elem_id=f"{side}-set")
                button.click(lambda painting: gr.update(value=painting), text, canvas, queue=False)
    return page
