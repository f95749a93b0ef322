"""Event handlers as Gradio wants them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def prepared(gr: Any, *handlers: Callable[..., Any]) -> None:
    """Annotate methods so that Gradio hands them what it knows: `request`, the browser's, and `event`, what was clicked.

    Gradio looks for its own types, which can be named only where it is imported.
    """
    kinds = {"request": gr.Request, "event": gr.SelectData}
    for handler in handlers:
        names = inspect.signature(handler).parameters
        function: Any = getattr(handler, "__func__", handler)
        function.__annotations__ = {name: kind for name, kind in kinds.items() if name in names}
