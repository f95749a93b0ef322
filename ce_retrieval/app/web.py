"""Gradio, imported so that it asks nobody anything, writes nothing into its own installation, and starts sooner."""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Iterator
from typing import Any

from ce_retrieval.errors import InstallationError

LEAST, BELOW = (6, 31), (7,)
REMEDY = "pip install '.[web]' in the folder of ceret"
# What Gradio reads from its surroundings, and the page must not depend on.
_UNSET = ("GRADIO_ALLOWED_PATHS", "GRADIO_SHARE", "GRADIO_ROOT_PATH", "GRADIO_MCP_SERVER", "GRADIO_WATCH_DIRS")
_SET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "GRADIO_RUN_HISTORY": "False"}


def gradio() -> Any:
    """Return the module `gradio`.

    Raises
    ------
    InstallationError : it is not installed, or of a version that the page was not written for.
    """
    for name in _UNSET:
        os.environ.pop(name, None)
    os.environ.update(_SET)
    try:
        with _without_stubs():
            import gradio as module
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "gradio":
            raise InstallationError(f"the page needs Gradio, which lacks {error.name}: {REMEDY}") from error
        raise InstallationError(f"the page needs Gradio: {REMEDY}") from error
    version = tuple(int(part) for part in module.__version__.split(".")[:2])
    if not LEAST <= version < BELOW:
        raise InstallationError(
            f"the page needs Gradio 6.31 or later, and less than 7, not {module.__version__}: {REMEDY}"
        )
    return module


@contextlib.contextmanager
def _without_stubs() -> Iterator[None]:
    """Keep Gradio from writing a file of types for editors beside each of its modules: half of the time of its import.

    It does not for a class without a source file.
    """
    find = inspect.getfile

    def getfile(object: Any) -> str:
        if isinstance(object, type) and hasattr(object, "EVENTS"):
            raise OSError("not asked for")
        return find(object)

    inspect.getfile = getfile
    try:
        yield
    finally:
        inspect.getfile = find


@contextlib.contextmanager
def without_servers() -> Iterator[None]:
    """Keep Gradio from making a server while a page is built: it makes one twice that it never uses, which takes time."""
    from gradio.routes import App

    made = App.create_app
    App.create_app = staticmethod(lambda *given, **more: None)
    try:
        yield
    finally:
        App.create_app = made
