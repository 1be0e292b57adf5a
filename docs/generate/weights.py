"""The picture of LamPO's page: what a response earns by its own log-probability, beside what its neighbours pay.

`python docs/generate/weights.py` writes docs/images/lampo-weights.svg anew.
"""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from advantages import delightful, ds_grpo, lambdapo, lampo, rloo, unlikeliness
from advantages.reports.charts import SERIES, TEXT, plain, svg_of, write_svg

FILE = Path(__file__).resolve().parents[1] / "images" / "lampo-weights.svg"
WHAT = (
    "Two panels: the advantage of a right and of a wrong response against its log-probability less its siblings', "
    "relative to that at equal log-probability. A right response that is likelier is paid more by LamPO, up to twice; "
    "less by LambdaPO, differential smoothing, the unlikeliness reward and the delightful gradient; and the same by "
    "RLOO. A wrong response that is likelier is pushed harder by LamPO and LambdaPO, up to twice, and by the "
    "delightful gradient, which leaves the panel; a little less by differential smoothing, and the same by the others."
)

LEADS = np.linspace(-5.0, 5.0, 41)
LEVEL = -8.0


def advantages_by_lead(reward: float) -> dict[str, np.ndarray]:
    """The advantage of one response of eight, four right and four wrong, over its size where all are equally likely."""
    n = len(LEADS)
    rewards = np.tile([reward, 1 - reward, 1 - reward, 1 - reward, 1 - reward, reward, reward, reward], n)
    logprobs = np.full((n, 8), LEVEL)
    logprobs[:, 0] += LEADS
    s, mask = logprobs.ravel(), np.ones((8 * n, 1), bool)
    found = {
        "rloo": rloo(rewards, 8),
        "lampo": lampo(rewards, 8, s),
        "lambdapo": lambdapo(rewards, 8, s),
        "differential smoothing": ds_grpo(rewards, 8, s),
        "unlikeliness": unlikeliness(rewards, 8, s, np.ones(8 * n, int)),
        "delightful": delightful(rewards, 8, s[:, None], mask)[:, 0],
    }
    middle = n // 2
    return {name: (own := x[::8]) / abs(own[middle]) for name, x in found.items()}


LOOKS = {
    "rloo": (TEXT, ":"),
    "lampo": (SERIES.format(0), "-"),
    "lambdapo": (SERIES.format(1), "-"),
    "differential smoothing": (SERIES.format(2), "--"),
    "unlikeliness": (SERIES.format(3), "-."),
    "delightful": (SERIES.format(1), ":"),
}


_LEGEND = {"loc": "outside lower center", "ncols": 6, "frameon": False, "fontsize": 8.5, "labelcolor": TEXT}


def picture() -> str:
    figure = Figure(figsize=(7.6, 3.4), layout="constrained")
    FigureCanvasSVG(figure)
    for axes, reward, title in zip(figure.subplots(1, 2), (1.0, 0.0), ("right", "wrong"), strict=True):
        for name, y in advantages_by_lead(reward).items():
            color, dash = LOOKS[name]
            wide = 3 if name == "lampo" else 1.8
            axes.plot(LEADS, y, dash, color=color, linewidth=wide, label=name)
        plain(axes, f"a {title} response", "its log-probability less its siblings', nats")
        axes.set_ylim((-0.1, 2.2) if reward else (-2.2, 0.1))
        if reward:
            axes.set_ylabel("advantage, relative", fontsize=9, color=TEXT)
            figure.legend(*axes.get_legend_handles_labels(), **_LEGEND)
    return svg_of(figure, WHAT)


if __name__ == "__main__":
    write_svg(picture(), FILE)
