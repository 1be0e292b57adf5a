"""The picture of the diagnostics page: what groups hold in a healthy batch and in sick ones.

`python docs/generate/gallery.py` writes docs/images/sick-batches.svg anew.
"""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from advantages import diagnose, grpo
from advantages.diagnostics import Diagnosis
from advantages.reports.charts import GRID, SERIES, TEXT, svg_of, write_svg

FILE = Path(__file__).resolve().parents[1] / "images" / "sick-batches.svg"
GROUPS, SIZE = 128, 8


def batches() -> dict[str, Diagnosis]:
    """Diagnoses of 128 groups of eight, by what ails them."""
    draw = np.random.default_rng(0)
    ids = np.repeat(np.arange(GROUPS), SIZE)

    def passed(rate: float) -> np.ndarray:
        return (draw.random(GROUPS * SIZE) < rate).astype(float)

    hard = passed(0.02)
    rewards = {
        "healthy: half pass": passed(0.5),
        "too hard: 2% pass": hard,
        "too easy: 98% pass": passed(0.98),
        "a reward that never differs": np.full(GROUPS * SIZE, 0.5),
        "too hard, and the verifier errs in 10%": np.abs(hard - passed(0.1)),
    }
    again = {"too hard, and the verifier errs in 10%": hard}  # scored by one that does not err
    return {name: diagnose(r, grpo(r, ids), ids, second_rewards=again.get(name, r)) for name, r in rewards.items()}


def picture() -> str:
    found = batches()
    parts = {
        "informative": [d.informative - (d.doubted or 0) for d in found.values()],
        "informative by an error alone": [d.doubted or 0 for d in found.values()],
        "all wrong": [d.all_wrong for d in found.values()],
        "all right or tied": [d.all_right + d.tied for d in found.values()],
    }
    figure = Figure(figsize=(7.6, 2.9), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    start = np.zeros(len(found))
    for number, (name, counts) in enumerate(parts.items()):
        axes.barh(list(found), counts, 0.62, start, color=SERIES.format(number), label=name, linewidth=0)
        start += counts
    axes.invert_yaxis()
    axes.set_xlim(0, GROUPS)
    axes.set_xlabel(f"groups, of {GROUPS}", fontsize=9, color=TEXT)
    axes.tick_params(color=GRID, labelcolor=TEXT, labelsize=9, length=0)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8.5, labelcolor=TEXT)
    shares = (
        f"{name}: {d.informative} informative, {d.doubted} of them by an error alone" for name, d in found.items()
    )
    return svg_of(figure, f"Groups by kind in five batches of {GROUPS} groups. {'; '.join(shares)}")


if __name__ == "__main__":
    write_svg(picture(), FILE)
