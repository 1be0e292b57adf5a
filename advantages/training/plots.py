"""Curves of runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .runs import curve

__all__ = ["plot_curves"]

_COLORS = ("#4269d0", "#e8743b", "#3ca951", "#a463f2", "#97bbf5", "#9c6b4e", "#ff8ab7", "#9498a0")


def plot_curves(outcomes: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Training reward against samples: each estimator's seeds thin, their mean thick."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for number, name in enumerate(dict.fromkeys(outcome["estimator"] for outcome in outcomes)):
        color = _COLORS[number % len(_COLORS)]
        curves = [curve(outcome["accuracies"]) for outcome in outcomes if outcome["estimator"] == name]
        for one in curves:
            axes.plot(np.arange(1, len(one) + 1), one, color=color, alpha=0.3, linewidth=1)
        average = np.mean(curves, 0)
        axes.plot(np.arange(1, len(average) + 1), average, color=color, linewidth=2.2, label=name)
    axes.set(
        xlabel="reinforcement-learning step", ylabel="accuracy of the step's samples, mean of 5 steps", ylim=(0, 1)
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=150)
