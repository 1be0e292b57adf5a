"""The picture of the README: how accuracy rises in a run of `make demo`.

`make demo`, then `python docs/generate/demo.py runs/demo/run-1`, writes docs/images/demo.svg anew.
"""

import json
import sys
from pathlib import Path

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from advantages.reports.charts import COLORS, SERIES, TEXT, draw_curves, plain, svg_of, write_svg

FILE = Path(__file__).resolve().parents[1] / "images" / "demo.svg"


def picture(folder: Path) -> str:
    outcomes = json.loads((folder / "results.json").read_text())
    figure = Figure(figsize=(7, 3.8), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    means = draw_curves(axes, outcomes, "accuracies", [SERIES.format(number) for number in range(len(COLORS))])
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    plain(axes, x="reinforcement-learning step", y="accuracy of the step's samples, mean of 5 steps")
    axes.legend(frameon=False, loc="lower right", labelcolor=TEXT)
    said = "; ".join(f"{name} from {mean[0]:.0%} to {mean[-1]:.0%}" for name, mean in means.items())
    return svg_of(figure, f"Accuracy against training steps, mean of {len(outcomes) // len(means)} seeds: {said}")


if __name__ == "__main__":
    write_svg(picture(Path(sys.argv[1])), FILE)
