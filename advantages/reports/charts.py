"""Curves of runs: a picture for the folder, and charts for the reports."""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..core.palette import COLORS, DASHES, panels
from ..runs.measures import curve

__all__ = [
    "COLORS",
    "DASHES",
    "GRID",
    "SERIES",
    "TEXT",
    "Line",
    "chart",
    "draw_curves",
    "plain",
    "plot_curves",
    "svg_of",
    "write_svg",
]


def plot_curves(outcomes: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Learning curves: each estimator's seeds thin, their mean thick.

    Of accuracies, or of rewards where one run has no accuracy.
    """
    from matplotlib.ticker import MaxNLocator

    accurate = all(outcome["auc"] is not None for outcome in outcomes)
    what = "accuracies" if accurate else "rewards"
    figure, (axes,) = panels(7, 4.2)
    draw_curves(axes, outcomes, what, COLORS)
    axes.set(
        xlabel="reinforcement-learning step",
        ylabel=f"{'accuracy' if accurate else 'reward'} of the step's samples, mean of 5 steps",
    )
    if accurate:
        axes.set_ylim(0, 1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=150)


def draw_curves(axes: Any, outcomes: Sequence[Mapping[str, Any]], what: str, colors: Sequence[str]) -> dict[str, Any]:
    """Draw each estimator's seeds thin and their mean thick; the means by estimator.

    Args:
        axes: of matplotlib.
        outcomes: of runs.
        what: of an outcome: "accuracies" or "rewards".
        colors: in turn.
    """
    means = {}
    for number, name in enumerate(dict.fromkeys(outcome["estimator"] for outcome in outcomes)):
        color = colors[number % len(colors)]
        curves = [curve(outcome[what]) for outcome in outcomes if outcome["estimator"] == name]
        for one in curves:
            axes.plot(np.arange(1, len(one) + 1), one, color=color, alpha=0.3, linewidth=1)
        means[name] = np.mean(curves, 0)
        axes.plot(np.arange(1, len(means[name]) + 1), means[name], color=color, linewidth=2.2, label=name)
    return means


class Line(NamedTuple):
    """A curve of a chart."""

    x: Any
    y: Any
    half: Any = None
    """Half the width of the band around it, if there is one."""
    color: int = 0
    """Its number among the colours."""
    faint: bool = False


# Colours that stand for variables of the page, so that a chart is readable in light and dark.
TEXT, GRID, SERIES = "#010101", "#020202", "#0300{:02x}"


def chart(
    lines: Sequence[Line], *, what: str, x: str = "step", percent: bool = False, log: bool = False, tall: bool = False
) -> str:
    """An SVG element for a page that defines `--soft`, `--line` and a variable `--series-0` ... for each colour.

    Args:
        what: the chart in a few words, for those who hear it.
        x: what the horizontal axis counts.
        percent: of values from 0 to 1; all of that is shown where they go beyond a fifth.
        log: whether the vertical axis is logarithmic, without bands, where values are above 0 and span a decade.
        tall: a large chart, rather than one of many.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, PercentFormatter, StrMethodFormatter

    figure = Figure(figsize=(7.2, 3.6) if tall else (4.1, 2.1), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    known = np.concatenate([np.asarray(line.y, np.float64) for line in lines])
    known = known[np.isfinite(known)]  # a step without a score has no point
    least, most = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    log = log and 0 < 10 * least < most
    for line in lines:
        color, dash = SERIES.format(line.color % len(COLORS)), DASHES[line.color // len(COLORS) % len(DASHES)]
        if line.half is not None and not log:
            axes.fill_between(line.x, line.y - line.half, line.y + line.half, color=color, alpha=0.15, linewidth=0)
        axes.plot(line.x, line.y, dash, color=color, alpha=0.35 if line.faint else 1, linewidth=1 if line.faint else 2)
        if len(line.x) == 1:
            axes.plot(line.x, line.y, "o", color=color, markersize=4)
    if log:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 3) if most < 3000 * least else (1,)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.minorticks_off()
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5))
        if percent and most > 0.2:
            axes.set_ylim(-0.02, 1.02)
        elif least >= 0:
            axes.set_ylim(bottom=0)
        if percent:
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        elif most >= 10_000:
            axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    plain(axes, x=x)
    return svg_of(figure, what)


def plain(axes: Any, title: str = "", x: str = "", y: str = "") -> None:
    """Axes of a chart without a frame, in colours of the page."""
    axes.set_title(title, fontsize=9, color=TEXT)
    axes.set_xlabel(x, color=TEXT, fontsize=9)
    axes.set_ylabel(y, color=TEXT, fontsize=9)
    axes.tick_params(which="both", color=GRID, labelcolor=TEXT, labelsize=9, length=0)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)


def svg_of(figure: Any, what: str) -> str:
    """A figure of matplotlib's as an element of a page that has our colours, in light and in dark.

    Args:
        figure: whose colours are `TEXT`, `GRID` and those of `SERIES`.
        what: the picture in words, for those who hear it.
    """
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": what}):
        figure.savefig(file, format="svg", transparent=True)
    return _for_a_page(file.getvalue(), what)


def write_svg(svg: str, path: Path) -> None:
    """Write such an element as a picture, with our colours for those who see it by itself."""
    svg = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    path.write_text(re.sub(r"(<svg [^>]*>)", rf"\1{_BY_ITSELF}", svg, count=1))


_BY_ITSELF = (
    "<style>svg{--soft:#4b525a;--line:#dfe2e6;--series-0:#3b62c0;--series-1:#d2691e;--series-2:#2c8a3d;"
    "--series-3:#8a4bd6;background:#fff;font-family:sans-serif}@media(prefers-color-scheme:dark){svg{--soft:#b4bcc5;"
    "--line:#363c43;--series-0:#7d9cf0;--series-1:#f09352;--series-2:#62c470;--series-3:#c08cff;background:#111}}"
    "</style>"
)


def _for_a_page(svg: str, what: str) -> str:
    """Without prologue, metadata and repeated identifiers; with the page's colours and font."""
    from html import escape

    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"font-size: ([\d.]+)px; font-family: [^;\"]*", r"font-size: \1px", svg)
    svg = re.sub(
        r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', rf'<svg \1 role="img" aria-label="{escape(what)}">', svg, count=1
    )
    svg = svg.replace("xlink:href", "href").replace(TEXT, "var(--soft)").replace(GRID, "var(--line)")
    return re.sub(r"#0300([0-9a-f]{2})", lambda found: f"var(--series-{int(found[1], 16)})", svg)
