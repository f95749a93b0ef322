"""Plots of an evaluation by matplotlib, which needs no display for them."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np

from ce_retrieval.errors import InstallationError
from ce_retrieval.pixels import Photo

DPI = 120
FINE_DPI = 300  # of figures for publication
# Of Okabe and Ito: told apart by the colour-blind too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX"
STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}


def check_plots() -> None:
    """Raise InstallationError where plots cannot be drawn: asked before hours of work."""
    if not has_plots():
        raise InstallationError("plots need matplotlib: pip install '.[plots]' in the folder of ceret")


def has_plots() -> bool:
    """Return whether matplotlib is installed."""
    try:
        import matplotlib  # noqa: F401 - whether it is there
    except ImportError:
        return False
    return True


def drawn(rows: int, columns: int, width: float, height: float, draw: Callable[[np.ndarray], None]) -> Photo:
    """Return a figure of rows x columns panels, uint8 (H, W, 3).

    Parameters
    ----------
    width, height : float
        Of a panel, inches.
    draw : function
        Draws into the panels: matplotlib's axes, an array (rows, columns).

    Raises
    ------
    InstallationError
        matplotlib is not installed.
    """
    figure = on_figure(
        columns * width, rows * height, lambda one: draw(one.subplots(rows, columns, squeeze=False)), DPI
    )
    return pixels_of(figure)


def on_figure(width: float, height: float, draw: Callable[[Any], None], dpi: int = FINE_DPI) -> Any:
    """Return a figure of matplotlib.

    Parameters
    ----------
    width, height : float
        Inches.
    draw : function
        Draws on the figure.
    dpi : int

    Raises
    ------
    InstallationError
        matplotlib is not installed.
    """
    check_plots()
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
    return figure


def pixels_of(figure: Any) -> Photo:
    """Return a figure as a picture uint8 (H, W, 3)."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def pdf_of(figure: Any) -> bytes:
    """Return a figure as PDF: text as text, pictures pixel by pixel, and no date, so that it has the same bytes each time."""
    from matplotlib import rc_context

    for axes in figure.axes:
        for picture in axes.images:
            picture.set_interpolation("none")
    buffer = io.BytesIO()
    with rc_context(STYLE | {"pdf.fonttype": 42}):
        figure.savefig(buffer, format="pdf", metadata={"CreationDate": None})
    return buffer.getvalue()
