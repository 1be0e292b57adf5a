"""Colours, dashes and panels of every picture.

Neighbouring colours differ in lightness, too, so that they can be told apart.
"""

from typing import Any, Literal

__all__ = ["COLORS", "DASHES", "panels"]

COLORS = ("#4269d0", "#e8743b", "#3ca951", "#a463f2", "#97bbf5", "#9c6b4e", "#ff8ab7", "#9498a0")
DASHES = ("-", "--", ":")
"""Of the curves beyond the colours."""


def panels(
    width: float, height: float, count: int = 1, *, grid: Literal["both", "x"] = "both"
) -> tuple[Any, tuple[Any, ...]]:
    """A figure of matplotlib's that no window shows, of so many inches, and its axes, side by side.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise ModuleNotFoundError("a picture needs matplotlib; pip install 'rl-advantages[train]'") from None

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    every = tuple(figure.subplots(1, count, squeeze=False)[0])
    for axes in every:
        axes.grid(axis=grid, alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, every
