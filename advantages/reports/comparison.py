"""Recorded runs compared: which belong together, what must be said of them, and compare.html and compare.json."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from ..files import write_json, write_whole
from ..runs.compare import LEVEL, MEASURES, Comparison, Difference, Interval, Run, band, compare, measures_of
from ..runs.config import Config
from ..runs.record import Record, find_runs, has_verdicts, read_record
from .charts import Line, chart
from .page import Markup, cell, chip, figure, legend, page, section, table
from .run import settings, written

__all__ = ["Compared", "compare_records", "read_records", "shown", "write_comparison"]

_SAME = ("task", "data", "model", "arch", "random_init", "system", "thinking", "evaluation")
"""Settings that decide what an accuracy means."""
_ASIDE = {"estimator", "options", "seed", "threads", "save_every"}
"""Settings that are in the name already, or that nobody compares."""
_KEY = (
    *("auc", "after", "reward", "reward_after", "samples_to_50", "samples_to_90"),
    *("gradient_variation", "gradient_peak", "gradient_change"),
)
"""Measures whose differences are shown."""
_SINGLE = (
    *("auc", "after", "greedy", "reward", "reward_after", "reward_greedy", "samples_to_50", "samples_to_90"),
    *("gradient_variation", "seconds"),
)
"""Measures that are shown of every run."""
_BANDS = 3
"""Seeds from which on a curve's interval is drawn: that of two is 12.7 standard errors wide, and hides the curves."""


class Compared(NamedTuple):
    """Runs, what they are compared as, and the result."""

    records: list[Record]
    runs: list[Run]
    """In the order of the records."""
    comparison: Comparison
    notes: list[str]
    """What must be known to read it, in plain words."""


def read_records(folders: Sequence[Path], *, finished_only: bool = False) -> tuple[list[Record], list[Path]]:
    """The runs in some folders, and those that were left out because they are not finished.

    Raises:
        ValueError: a folder holds no run, or an unfinished one that is not to be left out.
    """
    paths = {path.resolve(): path for folder in folders for path in find_runs(folder)}
    records, unfinished = [], []
    for path in paths.values():
        if (path / "result.json").exists():
            records.append(read_record(path))
        else:
            unfinished.append(path)
    if unfinished and not finished_only:
        raise ValueError(
            f"compare: {_few([str(path) for path in unfinished])} {'is' if len(unfinished) == 1 else 'are'} not "
            "finished; go on with advantages train --resume FOLDER, or pass --finished-only to leave out what is not"
        )
    if not records:
        raise ValueError("compare: no run is finished; go on with one by advantages train --resume FOLDER")
    return records, unfinished


def compare_records(
    records: Sequence[Record],
    *,
    baseline: str | None = None,
    different_tasks: bool = False,
    unfinished: Sequence[Path] = (),
) -> Compared:
    """Compare finished runs: those that differ in the seed alone are one variant.

    Args:
        records: of the runs; the first one's variant is the baseline unless another is named.
        baseline: the name of a variant.
        different_tasks: allow runs whose accuracies mean different things.
        unfinished: runs that were left out.

    Raises:
        ValueError: runs do not compare, two share variant and seed, or there is no such baseline.
    """
    first = records[0]
    for record in records:
        for name in ("steps", *(() if different_tasks else _SAME)):
            ours, theirs = getattr(first.config, name), getattr(record.config, name)
            if ours != theirs:
                advice = "compare runs of one length" if name == "steps" else (
                    "their accuracies are of different things; compare them apart, or pass --different-tasks"
                )  # fmt: skip
                raise ValueError(
                    f"compare: {first.path} has {name}={written(ours)} but {record.path} has {name}={written(theirs)}; "
                    f"{advice}"
                )
    names = _names([record.config for record in records])
    runs = [Run(name, r.config.seed, r.metrics, r.evaluation) for name, r in zip(names, records, strict=True)]
    _refuse_twins(records, names)
    comparison = compare(runs, baseline)
    return Compared(list(records), runs, comparison, _notes(comparison, records, unfinished))


def _names(configs: Sequence[Config]) -> list[str]:
    """The estimator with its settings, and what else differs between the runs."""
    fields = [field.name for field in dataclasses.fields(Config) if field.name not in _ASIDE]
    differing = [name for name in fields if any(getattr(c, name) != getattr(configs[0], name) for c in configs)]
    return [", ".join([c.label, *(f"{name}={written(getattr(c, name))}" for name in differing)]) for c in configs]


def _refuse_twins(records: Sequence[Record], names: Sequence[str]) -> None:
    seen: dict[tuple[str, int], Path] = {}
    for record, name in zip(records, names, strict=True):
        other = seen.setdefault((name, record.config.seed), record.path)
        if other != record.path:
            raise ValueError(
                f"compare: {other} and {record.path} are both {name} with seed {record.config.seed}; leave one out"
            )


def _notes(comparison: Comparison, records: Sequence[Record], unfinished: Sequence[Path]) -> list[str]:
    base = comparison.baseline
    notes = [f"{path} is not finished, and was left out." for path in unfinished]
    for name, seeds in comparison.unpaired.items():
        if seeds:
            ours = [seed for seed in seeds if seed in comparison[name].seeds]
            theirs = [seed for seed in seeds if seed not in ours]
            said = [f"{_seeds(ours)} of {name}" if ours else "", f"{_seeds(theirs)} of {base}" if theirs else ""]
            notes.append(
                f"{' and '.join(filter(None, said))} {'has' if len(seeds) == 1 else 'have'} no partner, and "
                f"{'counts' if len(seeds) == 1 else 'count'} in no difference between {name} and {base}."
            )
    for variant in comparison.variants:
        for percent in (50, 90):
            if never := variant.without(f"samples_to_{percent}"):
                who = "any seed" if len(never) == len(variant.seeds) else _seeds(never)
                notes.append(
                    f"{variant.name} never reached {percent}% with {who}"
                    + ("." if who == "any seed" else "; its mean is over the other seeds, and flatters it.")
                )
    fewest = min(len(variant.seeds) for variant in comparison.variants)
    if fewest == 1:
        notes.append("One seed has no interval, and ranks nothing.")
    elif fewest < 5:
        notes.append(f"{fewest} seeds make wide intervals; take at least five to rank anything.")
    if len({(r.config.prompts, r.config.samples) for r in records}) > 1:
        notes.append("The runs sample different numbers of responses a step: compare them by samples, not by steps.")
    if count := len(_KEY) * len(comparison.differences):
        notes.append(
            f"Each interval holds by itself. Of {count} differences that were all zero, about {count / 20:.2g} would "
            "exclude zero by chance."
        )
    return notes


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _few(items: Sequence[str], most: int = 3) -> str:
    rest = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + rest


def shown(name: str, interval: Interval | None, *, sign: bool = False) -> tuple[str, str]:
    """A mean as text, and its interval, which is empty where there is none."""
    form = MEASURES[name].form
    if interval is None:
        return "-", ""
    half = "" if interval.half is None else f"± {interval.half:{form}}"
    return format(interval.mean, ("+" if sign else "") + form), half


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
    return {"interval": f"{LEVEL:.0%}, Student's t over seeds", **found, "notes": compared.notes}


def comparison_report(compared: Compared, folder: Path) -> str:
    """The comparison as an HTML document, which lies in a folder and links to the reports of the runs from there."""
    comparison, config = compared.comparison, compared.records[0].config
    names = [variant.name for variant in comparison.variants]
    seeds = sorted({seed for variant in comparison.variants for seed in variant.seeds})
    by_name = _by_name(compared.runs)
    parts = []
    if compared.notes:
        said = "".join(f"<li>{cell(note)}</li>" for note in compared.notes)
        parts.append(section("Before you read it", Markup(f'<ul class="notes">{said}</ul>')))
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
    charts = "".join(
        _figure(by_name, name, title, percent=percent, log=log)
        for name, title, percent, log in (
            ("reward", "Reward", False, False),
            ("grad_norm", "Gradient norm", False, True),
            ("entropy", "Entropy", False, False),
            ("informative", "Informative groups", True, False),
            ("length", "Response length", False, False),
            ("tokens_per_second", "Tokens per second", False, False),
        )
    )
    parts.append(section("Along the way", legend(names), Markup(f'<div class="charts">{charts}</div>'), note=along))
    parts += [
        _every_run(compared, folder),
        section("Settings", settings(config), note="Of the first run."),
        _meanings(),
    ]
    title = " and ".join(names) if len(names) < 3 else f"{len(names)} variants compared"
    task = config.data or config.task
    subtitle = f"{task} · {config.steps} steps · {_seeds(seeds)} · {len(compared.runs)} runs"
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
    rows = [
        (chip(variant.name, color), *(_level(variant.without(name), len(variant.seeds), name, variant.means[name])
                                      for name in columns))
        for color, variant in enumerate(comparison.variants)
    ]  # fmt: skip
    note = "Means over seeds, with 95% intervals."
    return section("Results", table(("", *(MEASURES[name].title for name in columns)), rows), note=note)


def _level(without: Sequence[int], seeds: int, name: str, mean: Interval | None) -> Markup:
    if mean is None:
        return cell("never" if "_to_" in name else "-")
    value, half = shown(name, mean)
    if without:
        half = f"{mean.n} of {seeds} seeds"
    return Markup(f"{value}<small>{half}</small>")


def _differences(comparison: Comparison, names: Sequence[str]) -> Markup:
    rows = []
    keys = [key for key in _KEY if key in measures_of(comparison)]
    for name, differences in comparison.differences.items():
        cells = [_difference(key, differences[key]) for key in keys]
        rows.append((chip(name, names.index(name)), len(differences["seconds"].seeds), *cells))
    head = ("", "pairs", *(MEASURES[key].title for key in keys))
    note = (
        "Each seed's run less the baseline's of the same seed: mean and 95% interval over pairs. Bold where the "
        "interval excludes zero; green for the better, red for the worse. Differences of percentages are in points."
    )
    bars = [(chip(name, names.index(name)), d[keys[0]]) for name, d in comparison.differences.items()]
    return section(
        f"Differences from {comparison.baseline}", table(head, rows), _forest(bars, MEASURES[keys[0]].title), note=note
    )


def _difference(name: str, difference: Difference) -> Markup:
    mean = difference.mean
    if mean is None:
        return cell("-")
    value, half = shown(name, mean, sign=True)
    left = f"<small>{len(difference.seeds)} pairs</small>" if difference.left_out else ""
    kind = ""
    if mean.excludes_zero:
        gain = mean.mean * MEASURES[name].better
        kind = "better" if gain > 0 else "worse" if gain < 0 else "differs"
    return Markup(f'<span class="{kind}">{value}</span><small>{half}</small>{left}')


def _forest(rows: Sequence[tuple[Markup, Difference]], title: str) -> Markup:
    """A bar per variant: the difference's interval, its mean, and zero."""
    known = [(name, d.mean.mean, d.mean.half) for name, d in rows if d.mean and d.mean.half is not None]
    if not known:
        return Markup("")
    reach = 1.1 * max(abs(mean) + half for _, mean, half in known) or 1.0
    lines = []
    for name, mean, half in known:
        low, middle, high = (50 + 50 * x / reach for x in (mean - half, mean, mean + half))
        bar = (
            f'<i class="zero"></i><i class="range" style="left:{low:.2f}%;width:{high - low:.2f}%"></i>'
            f'<i class="dot" style="left:{middle:.2f}%"></i>'
        )
        lines.append(f'<div class="name">{name}</div><div class="track">{bar}</div>')
    return Markup(f'<h3>Difference of the {cell(title)}</h3><div class="forest">{"".join(lines)}</div>')


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
    return Markup(f"<details><summary>Every run</summary>{table(head, rows)}</details>")


def _link(name: str, report: Path, folder: Path) -> Markup:
    if not report.exists():
        return cell(name)
    address = quote(os.path.relpath(report, folder).replace(os.sep, "/"))
    return Markup(f'<a href="{address}">{cell(name)}</a>')


def _single(name: str, value: float | None) -> str:
    if value is None:
        return "never" if "_to_" in name else "-"
    return format(value, MEASURES[name].form)


def _meanings() -> Markup:
    rows = [(measure.title, measure.meaning) for measure in MEASURES.values()]
    return Markup(f"<details><summary>What the numbers mean</summary>{table((), rows, numbers=False)}</details>")
