"""Plots of an evaluation by matplotlib, which needs no display for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ce_retrieval.errors import InstallationError
from ce_retrieval.pixels import Photo

DPI = 120
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
    try:
        import matplotlib  # noqa: F401 - whether it is there
    except ImportError as error:
        raise InstallationError("plots need matplotlib: pip install '.[plots]' in the folder of ceret") from error


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
    check_plots()
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(columns * width, rows * height), dpi=DPI, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        draw(figure.subplots(rows, columns, squeeze=False))
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()
