"""The picture of the README: how accuracy rises in a run of `make demo`.

`make demo`, then `python docs/generate/demo.py runs/demo`, writes docs/images/demo.svg anew.
"""

import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from advantages.reports.charts import SERIES, TEXT, plain, svg_of, write_svg
from advantages.runs.measures import curve

FILE = Path(__file__).resolve().parents[1] / "images" / "demo.svg"


def picture(folder: Path) -> str:
    outcomes = json.loads((folder / "results.json").read_text())
    names = list(dict.fromkeys(outcome["estimator"] for outcome in outcomes))
    figure = Figure(figsize=(7, 3.8), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    said = []
    for number, name in enumerate(names):
        color = SERIES.format(number)
        curves = [curve(outcome["accuracies"]) for outcome in outcomes if outcome["estimator"] == name]
        steps, mean = np.arange(1, len(curves[0]) + 1), np.mean(curves, 0)
        for one in curves:
            axes.plot(steps, one, color=color, alpha=0.35, linewidth=1)
        axes.plot(steps, mean, color=color, linewidth=2.4, label=name)
        said.append(f"{name} from {mean[0]:.0%} to {mean[-1]:.0%}")
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    plain(axes, x="reinforcement-learning step", y="accuracy of the step's samples, mean of 5 steps")
    axes.legend(frameon=False, loc="lower right", labelcolor=TEXT)
    seeds = len(outcomes) // len(names)
    return svg_of(figure, f"Accuracy against training steps, mean of {seeds} seeds: {'; '.join(said)}")


if __name__ == "__main__":
    write_svg(picture(Path(sys.argv[1])), FILE)
