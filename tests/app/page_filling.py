"""Fills as the tests ask the page for them, and what it shows afterwards."""

import io
import json

from page_server import QUICK, Tab
from PIL import Image

from ce_retrieval.app.fill_controls import NONE
from ce_retrieval.completion.settings import TERM_WEIGHTS

CONTROLS = {
    "seam": 16,
    "trust": 0.2,
    "where": "",
    "rerank": "guided",
    "aligned": None,
    "kind": "auto",
    "places": "auto",
    "allow_same_photo": False,
    "mixed": False,
    "fill": "blend",
    "start": "auto",
    "k": None,
}


ELLIPSE = {"kind": "ellipse", "box": [30, 20, 70, 60]}


def encoded(pixels, kind="PNG", **more):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **more)
    return buffer.getvalue()


def painted(*actions):
    return json.dumps({"size": [100, 80], "actions": list(actions)})


def filled(tab: Tab, painting=None, method="scenes", other=NONE, collection="crops", **settings):
    """What the page shows after a fill, by name."""
    values = [*({**CONTROLS, **QUICK} | settings).values()]
    shown = tab.call(
        "fill",
        painted(ELLIPSE) if painting is None else painting,
        collection,
        method,
        other,
        *values,
        *TERM_WEIGHTS.values(),
    )
    return named(shown)


def named(shown):
    names = (
        "begin",
        "stop",
        "status",
        "all",
        "slider",
        "versus",
        "about",
        "picture",
        "record",
        "mask",
        "command",
        "others",
    )
    return dict(zip((*names, "gallery", "origins", "looked"), shown, strict=True))
