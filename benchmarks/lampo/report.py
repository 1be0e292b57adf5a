"""Tables and plots of the study: python benchmarks/lampo/report.py"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from scipy.stats import false_discovery_control
from study import HERE, RATES, SEEDS, SETTINGS, TUNING_SEED, VARIANTS, read

from advantages.reports.charts import SERIES, TEXT, plain, svg_of, write_svg
from advantages.runs.compare import Comparison, Interval, band, compare
from advantages.runs.measures import Run

IMAGES = HERE.parents[1] / "docs" / "images"
SAMPLES_PER_STEP, LAST = 128, 10
SHOWN = {
    "grpo": (TEXT, ":"),
    "rloo": (SERIES.format(2), "--"),
    "lampo tau=1": (SERIES.format(0), "-"),
    "lampo tau=3": (SERIES.format(3), "-."),
    "lambdapo tau=1": (SERIES.format(1), "-"),
}


def main() -> None:
    records = read(HERE / "runs.jsonl")
    runs = {setting: list(_runs(records, setting)) for setting in SETTINGS}
    found = {setting: compare(some, "grpo") for setting, some in runs.items()}
    against_rloo = {setting: compare(some, "rloo") for setting, some in runs.items()}
    lines = ["# Results of the study", "", "Made by `make study`; read [what it means](../../docs/lampo.md) first.", ""]
    for setting, meaning in SETTINGS.items():
        lines += _table(setting, meaning, found[setting], records)
    for name, comparisons in (("grpo", found), ("rloo", against_rloo)):
        lines += _differences(name, comparisons)
    lines += _tuning(records)
    (HERE / "results.md").write_text("\n".join(lines) + "\n")
    _curves(runs, IMAGES / "lampo-curves.svg")
    _forest(found, _marks(found), IMAGES / "lampo-differences.svg")


def _runs(records: list[dict[str, Any]], setting: str) -> Iterator[Run]:
    """The runs of a setting, of the seeds that every variant has."""
    some = [record for record in records if record["setting"] == setting and record["seed"] in SEEDS]
    seeds = set.intersection(*({r["seed"] for r in some if r["variant"] == variant} for variant in VARIANTS))
    for record in some:
        if record["seed"] in seeds:
            metrics = [
                {
                    "step": k,
                    "samples": k * SAMPLES_PER_STEP,
                    # Recorded with four digits; what was measured is a count of right responses.
                    "accuracy": round(accuracy * SAMPLES_PER_STEP) / SAMPLES_PER_STEP,
                    "grad_norm": norm,
                    "seconds": 0.0,
                }
                for k, (accuracy, norm) in enumerate(zip(record["accuracy"], record["grad_norm"], strict=True), 1)
            ]
            yield Run(record["variant"], record["seed"], metrics, {k: record[k] for k in ("before", "after", "greedy")})


def _table(setting: str, meaning: str, found: Comparison, records: list[dict[str, Any]]) -> list[str]:
    seeds = len(found["grpo"].seeds)
    before = found["grpo"].means["before"]
    lines = [
        f"## {setting}: {meaning}",
        "",
        f"{seeds} paired seeds; mean ± half of the 95% interval (Student's t over seeds). "
        f"Pass@1 before: {_mean(before, '.3f')}. A seed that never reached 90% counts as step 41. "
        "Never learned: the accuracy of the last five steps is no 0.02 above that of the first five.",
        "",
        "| variant | rate | AUC | AUC, median | steps to 90% | reached by | pass@1 after | after, median | "
        f"greedy after | never learned | gradient norm | its mean over the last {LAST} steps |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in VARIANTS:
        variant = found[name]
        mine = [r for r in records if r["setting"] == setting and r["variant"] == name and r["seed"] in variant.seeds]
        reached = seeds - len(variant.without("steps_to_90"))
        cells = [
            name,
            f"{mine[0]['rate']:g}",
            _mean(variant.means["auc"], ".3f"),
            f"{variant.medians['auc']:.3f}",
            _mean(variant.means["steps_to_90"], ".1f") if reached else "never",
            f"{reached} of {seeds}",
            _mean(variant.means["after"], ".3f"),
            f"{variant.medians['after']:.3f}",
            _mean(variant.means["greedy"], ".3f"),
            f"{len(variant.unlearned)}",
            _mean(variant.means["gradient"], ".3g"),
            f"{np.mean([r['grad_norm'][-LAST:] for r in mine]):.3g}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def _differences(baseline: str, found: dict[str, Comparison]) -> list[str]:
    """AUC of every variant less the baseline's: mean and interval, median, and seeds ahead."""
    marks = _marks(found)
    lines = [
        f"## AUC, difference to {baseline}",
        "",
        "Mean ± half of the 95% interval over paired seeds; median; seeds ahead. One star: the interval excludes zero. "
        f"Two stars: it holds after Benjamini and Hochberg at 5%, over the {len(marks)} differences of this table.",
        "",
        "| variant | " + " | ".join(found) + " |",
        "|---|" + "---|" * len(found),
    ]
    for name in VARIANTS:
        if name == baseline:
            continue
        cells = []
        for setting, comparison in found.items():
            gap = comparison.differences[name]["auc"]
            mark = "\\*\\*" if marks[setting, name] else "\\*" if gap.mean and gap.mean.excludes_zero else ""
            cells.append(f"{_mean(gap.mean, '+.3f')}{mark}; {gap.median:+.3f}; {gap.above} of {len(gap.values)}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _marks(found: dict[str, Comparison]) -> dict[tuple[str, str], bool]:
    """Whether each difference of the area, by setting and variant, holds among all of them."""
    gaps = {(s, v): some["auc"].p_value for s, one in found.items() for v, some in one.differences.items()}
    known = {key: p for key, p in gaps.items() if p is not None}
    adjusted = dict(zip(known, false_discovery_control(list(known.values())), strict=True))
    return {key: adjusted.get(key, 1.0) <= 0.05 for key in gaps}


def _tuning(records: list[dict[str, Any]]) -> list[str]:
    lines = [
        "## Learning rates",
        "",
        f"AUC of one tuning run each, seed {TUNING_SEED}, at rates {', '.join(f'{rate:g}' for rate in RATES)}.",
        "",
        "| variant | " + " | ".join(SETTINGS) + " |",
        "|---|" + "---|" * len(SETTINGS),
    ]
    auc = {(r["setting"], r["variant"], r["rate"]): r["auc"] for r in records if r["seed"] == TUNING_SEED}
    for name in VARIANTS:
        cells = []
        for setting in SETTINGS:
            tried = [auc[setting, name, rate] for rate in RATES]
            cells.append(" / ".join(f"**{x:.3f}**" if x == max(tried) else f"{x:.3f}" for x in tried))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _mean(found: Interval | None, form: str) -> str:
    if found is None:
        return ""
    half = "" if found.half is None else f" ± {format(found.half, form.lstrip('+'))}"
    return f"{found.mean:{form}}{half}"


def _curves(runs: dict[str, list[Run]], path: Path) -> None:
    figure, each = _panels(5.4)
    said = []
    for axes, (setting, some) in zip(each, runs.items(), strict=True):
        ends = []
        for number, (name, (color, dash)) in enumerate(SHOWN.items()):
            found = band([run for run in some if run.variant == name], "accuracy", window=3)
            low, high = found.mean - found.half, found.mean + found.half
            axes.fill_between(found.samples, low, high, color=color, alpha=0.15, linewidth=0)
            axes.plot(found.samples, found.mean, dash, color=color, label=name, linewidth=2, zorder=9 - number)
            ends.append(f"{name} {found.mean[-1]:.2f}")
        plain(axes, f"{setting}: {SETTINGS[setting]}")
        axes.set_ylim(0, 1)
        said.append(f"{setting}: {', '.join(ends)}")
    for axes in each[2:]:
        axes.set_xlabel("responses sampled", fontsize=9, color=TEXT)
    figure.supylabel("accuracy while training", fontsize=9, color=TEXT)
    legend = each[0].get_legend_handles_labels()
    figure.legend(*legend, loc="outside lower center", ncols=5, frameon=False, fontsize=8.5, labelcolor=TEXT)
    what = "Accuracy while training against responses sampled, mean and 95% interval over ten seeds, in four settings."
    write_svg(svg_of(figure, f"{what} At the end: {'; '.join(said)}"), path)


def _forest(found: dict[str, Comparison], marks: dict[tuple[str, str], bool], path: Path) -> None:
    names = [name for name in VARIANTS if name != "grpo"]
    figure, each = _panels(6.4)
    said = []
    for axes, (setting, comparison) in zip(each, found.items(), strict=True):
        stand = []
        for row, name in enumerate(names):
            gap = comparison.differences[name]["auc"].mean
            if gap is None:
                continue
            color = TEXT if not marks[setting, name] else SERIES.format(0 if gap.mean > 0 else 1)
            marker = {TEXT: "o", SERIES.format(0): ">", SERIES.format(1): "<"}[color]  # not by colour alone
            axes.errorbar(gap.mean, row, xerr=gap.half, fmt=marker, color=color, capsize=3, markersize=5)
            if marks[setting, name]:
                stand.append(f"{name} {gap.mean:+.3f}")
        axes.axvline(0, color=TEXT, linewidth=0.8)
        plain(axes, f"{setting}: {SETTINGS[setting]}")
        axes.set_xscale("symlog", linthresh=0.1)
        axes.set_xlim(-1, 0.2)
        axes.set_xticks([-0.5, -0.1, -0.05, 0, 0.05, 0.1], ["-0.5", "-0.1", "", "0", "", "+0.1"])
        axes.minorticks_off()
        axes.grid(visible=False, axis="y")
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.set_ylim(len(names) - 0.4, -0.6)
        said.append(f"{setting}: {', '.join(stand) or 'none'}")
    figure.supxlabel("area under the curve, difference to grpo", fontsize=9, color=TEXT)
    what = "Difference of the area under the curve to GRPO, with 95% intervals, in four settings."
    write_svg(svg_of(figure, f"{what} What holds among all of them: {'; '.join(said)}"), path)


def _panels(height: float) -> tuple[Any, list[Any]]:
    """Two by two axes with the same scales."""
    figure = Figure(figsize=(7.6, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, list(figure.subplots(2, 2, sharex=True, sharey=True).flat)


if __name__ == "__main__":
    main()
