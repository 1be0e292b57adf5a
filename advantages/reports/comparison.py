"""Runs compared, on a page and as a record: compare.html and compare.json."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from ..files import write_json, write_whole
from ..runs.compare import LEVEL, Comparison, Difference, Interval, Variant, band, keys_of, measures_of
from ..runs.measures import MEASURES, Run, has_verdicts
from ..runs.select import Compared, seeds_of
from .charts import Line, chart
from .page import Markup, chip, figure, legend, page, part, section, table
from .settings import settings

__all__ = ["shown", "write_comparison"]

_SINGLE = (
    *("auc", "after", "greedy", "reward", "reward_after", "reward_greedy", "samples_to_50", "samples_to_90"),
    *("gradient_variation", "seconds"),
)
"""Measures that are shown of every run."""
_BANDS = 3
"""Seeds from which on a curve's interval is drawn: that of two is 12.7 standard errors wide, and hides the curves."""


def shown(name: str, interval: Interval | None, *, sign: bool = False) -> tuple[str, str]:
    """A mean as text, and its interval, which is empty where there is none."""
    form = MEASURES[name].form
    if interval is None:
        return "-", ""
    half = "" if interval.half is None else f"± {interval.half:{form}}"
    return format(interval.mean, ("+" if sign else "") + form), half


def median_of(name: str, variant: Variant) -> str:
    """The median over seeds, from three on."""
    median = variant.medians[name]
    return f"med {median:{MEASURES[name].form}}" if median is not None and len(variant.seeds) >= 3 else ""


def mark_of(difference: Difference) -> str:
    """Two stars where the difference holds among all, one where its interval alone excludes zero."""
    return "**" if difference.holds else "*" if difference.mean and difference.mean.excludes_zero else ""


def behind(name: str, difference: Difference) -> list[str]:
    """What a mean difference may hide: the median, how many seeds are ahead, and seeds that were left out."""
    pairs = len(difference.seeds)
    form, better = MEASURES[name].form, MEASURES[name].better
    ahead = difference.below if better < 0 else difference.above
    said = [f"med {difference.median:+{form}}"] if pairs >= 3 else []
    said += [f"{ahead} of {pairs} {'ahead' if better else 'more'}"] if pairs >= 2 else []
    return said + ([f"{pairs} pairs"] if difference.left_out else [])


# What is written


def write_comparison(compared: Compared, folder: Path) -> dict[str, Path]:
    """Write `compare.html` and `compare.json`; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {"report": folder / "compare.html", "numbers": folder / "compare.json"}
    write_whole(paths["report"], comparison_report(compared, folder))
    write_json(paths["numbers"], comparison_record(compared))
    return paths


def comparison_record(compared: Compared) -> dict[str, Any]:
    """Everything that was computed, as JSON can hold it."""
    found = dataclasses.asdict(compared.comparison)
    by_name = _by_name(compared.runs)
    for variant in found["variants"]:
        runs = by_name[variant["name"]]
        variant["runs"] = [
            str(record.path)
            for seed in variant["seeds"]
            for record, run in zip(compared.records, compared.runs, strict=True)
            if (run.variant, run.seed) == (variant["name"], seed)
        ]
        what = learning_measure(runs)
        learned = band(runs, what, 5)
        variant["curve"] = {
            "samples": learned.samples.tolist(),
            what: _known(learned.mean),
            "half": _known(learned.half) if len(runs) > 1 else None,
        }
    return {
        "interval": f"{LEVEL:.0%}, Student's t over seeds",
        **found,
        "notes": compared.notes,
        "legend": compared.legend,
        "rloo": _rloo(compared),
    }


def _rloo(compared: Compared) -> dict[str, Any] | None:
    against = compared.against_rloo
    return None if against is None else dict(dataclasses.asdict(against)["differences"])


def comparison_report(compared: Compared, folder: Path) -> str:
    """The comparison as an HTML document, which lies in a folder and links to the reports of the runs from there."""
    comparison, config = compared.comparison, compared.records[0].config
    names = [variant.name for variant in comparison.variants]
    seeds = sorted({seed for variant in comparison.variants for seed in variant.seeds})
    by_name = _by_name(compared.runs)
    parts = []
    if compared.notes:
        parts.append(section("Before you read it", part("notes", compared.notes)))
    if compared.legend:
        rows = [(chip(name, names.index(name)), whole) for name, whole in compared.legend.items()]
        note = "Settings that are the default are left out; all runs share those of the section Settings."
        parts.append(section("Names", table((), rows, numbers=False), note=note))
    learned = learning_measure(compared.runs)
    note = f"{learned.capitalize()} of the step's samples, mean of five steps, averaged over seeds"
    several = all(len(runs) >= _BANDS for runs in by_name.values())
    parts.append(
        section(
            "Learning",
            legend(names),
            _figure(by_name, learned, learned.capitalize(), percent=learned == "accuracy", tall=True),
            note=note + (", with 95% intervals." if several else f"; intervals are drawn from {_BANDS} seeds on."),
        )
    )
    along = "Means of five steps, averaged over seeds; 95% intervals where the axis is linear." if several else ""
    parts.append(_levels(comparison))
    if comparison.differences:
        parts.append(_differences(comparison, names))
    if compared.against_rloo and len(names) > 2:  # of two, one is the other's negative
        parts.append(_differences(compared.against_rloo, names))
    charts = [
        _figure(by_name, name, title, percent=percent, log=log)
        for name, title, percent, log in (
            ("reward", "Reward", False, False),
            ("grad_norm", "Gradient norm", False, True),
            ("entropy", "Entropy", False, False),
            ("informative", "Informative groups", True, False),
            ("length", "Response length", False, False),
            ("tokens_per_second", "Tokens per second", False, False),
        )
    ]
    parts.append(section("Along the way", legend(names), part("charts", charts), note=along))
    parts += [
        _every_run(compared, folder),
        section("Settings", settings(config), note="Of the first run."),
        _meanings(),
    ]
    title = " and ".join(names) if len(names) < 3 else f"{len(names)} variants compared"
    task = config.data or config.task
    runs = "1 run" if len(compared.runs) == 1 else f"{len(compared.runs)} runs"
    subtitle = f"{task} · {config.steps} steps · {seeds_of(seeds)} · {runs}"
    return page(title, "advantages compare-runs", subtitle, parts)


def learning_measure(runs: Sequence[Run]) -> str:
    """What learning curves are of: "accuracy", or "reward" where a run has none."""
    return "accuracy" if all(has_verdicts(run.metrics) for run in runs) else "reward"


def _known(values: Any) -> list[float | None]:
    return [float(x) if np.isfinite(x) else None for x in values]


def _by_name(runs: Sequence[Run]) -> dict[str, list[Run]]:
    return {name: [run for run in runs if run.variant == name] for name in dict.fromkeys(run.variant for run in runs)}


def _figure(
    by_name: Mapping[str, Sequence[Run]], name: str, title: str, *, percent: bool, log: bool = False, tall: bool = False
) -> Markup:
    bands = [band(runs, name, 5) for runs in by_name.values()]
    lines = [
        Line(one.samples, one.mean, one.half if len(runs) >= _BANDS else None, color)
        for color, (one, runs) in enumerate(zip(bands, by_name.values(), strict=True))
    ]
    if all(np.isnan(line.y).all() for line in lines):
        return figure(title, "not measured", "")
    svg = chart(lines, what=f"{title} against samples", x="samples", percent=percent, log=log, tall=tall)
    return figure(title, "", svg)


def _levels(comparison: Comparison) -> Markup:
    columns = [name for name in measures_of(comparison) if not name.startswith("steps_to")]
    accurate = "auc" in columns
    head = ("", *(MEASURES[name].title for name in columns), *(["never learned"] if accurate else []))
    rows = [
        (
            chip(v.name, k),
            *(_level(v, name) for name in columns),
            *([f"{len(v.unlearned)} of {len(v.seeds)}"] if accurate else []),
        )
        for k, v in enumerate(comparison.variants)
    ]
    note = "Means over seeds, with 95% intervals and medians."
    if accurate:
        note += (
            " A seed that never reached a threshold counts as one step beyond its last; one whose accuracy did not "
            "rise by 0.02 never learned."
        )
    return section("Results", table(head, rows), note=note)


def _level(variant: Variant, name: str) -> Markup:
    mean, without = variant.means[name], variant.without(name)
    if mean is None:
        return part("number", "never" if "_to_" in name else "-", "", "", [])
    value, half = shown(name, mean)
    count = len(variant.seeds)
    lines = [half, median_of(name, variant), f"{count - len(without)} of {count} seeds" if without else ""]
    return part("number", value, "", "", list(filter(None, lines)))


def _differences(comparison: Comparison, names: Sequence[str]) -> Markup:
    rows = []
    keys = keys_of(comparison)
    for name, differences in comparison.differences.items():
        cells = [_difference(key, differences[key]) for key in keys]
        rows.append((chip(name, names.index(name)), len(differences["seconds"].seeds), *cells))
    head = ("", "pairs", *(MEASURES[key].title for key in keys))
    note = (
        "Each seed's run less the baseline's of the same seed: mean, 95% interval and median over pairs, and in how "
        "many it is ahead. * and bold: the interval excludes zero. ** and green for the better, red for the worse: "
        "it holds among all that the table shows, by Benjamini and Hochberg at 5%. Differences of percentages are in "
        "points."
    )
    bars = [(chip(name, names.index(name)), d[keys[0]]) for name, d in comparison.differences.items()]
    return section(
        f"Differences from {comparison.baseline}", table(head, rows), _forest(bars, MEASURES[keys[0]].title), note=note
    )


def _difference(name: str, difference: Difference) -> Markup:
    mean = difference.mean
    if mean is None:
        return part("number", "-", "", "", [])
    value, half = shown(name, mean, sign=True)
    gain = mean.mean * MEASURES[name].better if difference.holds else 0
    kind = "better" if gain > 0 else "worse" if gain < 0 else "differs" if mean.excludes_zero else ""
    return part("number", value, kind, mark_of(difference), list(filter(None, (half, *behind(name, difference)))))


def _forest(rows: Sequence[tuple[Markup, Difference]], title: str) -> Markup:
    """A bar per variant: the difference's interval, its mean, and zero; and the numbers."""
    known = [(name, d, d.mean.mean, d.mean.half) for name, d in rows if d.mean and d.mean.half is not None]
    if not known:
        return Markup("")
    reach = 1.1 * max(abs(mean) + half for _, _, mean, half in known) or 1.0
    bars = [
        (
            name,
            *(50 + 50 * x / reach for x in (mean - half, mean, mean + half)),
            f"{mean:+.3f} ± {half:.3f}{mark_of(d)}",
        )
        for name, d, mean, half in known
    ]
    return part("forest", f"Difference of the {title}", bars)


def _every_run(compared: Compared, folder: Path) -> Markup:
    columns = [name for name in _SINGLE if name in measures_of(compared.comparison)]
    paths = {(run.variant, run.seed): record.path for run, record in zip(compared.runs, compared.records, strict=True)}
    rows = [
        (
            _link(variant.name, paths[variant.name, seed] / "report.html", folder),
            seed,
            *(_single(name, variant.values[name][place]) for name in columns),
        )
        for variant in compared.comparison.variants
        for place, seed in enumerate(variant.seeds)
    ]
    head = ("", "seed", *(MEASURES[name].title for name in columns))
    return part("details", "Every run", table(head, rows))


def _link(name: str, report: Path, folder: Path) -> Markup | str:
    if not report.exists():
        return name
    address = quote(os.path.relpath(report, folder).replace(os.sep, "/"))
    return part("link", address, name)


def _single(name: str, value: float | None) -> str:
    if value is None:
        return "never" if "_to_" in name else "-"
    return format(value, MEASURES[name].form)


def _meanings() -> Markup:
    rows = [(measure.title, measure.meaning) for measure in MEASURES.values()]
    return part("details", "What the numbers mean", table((), rows, numbers=False))
