"""`advantages compare`: several estimators on one's own rollouts, side by side."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..core.palette import COLORS, panels
from ..diagnostics import Diagnosis
from ..files import write_whole
from .batches import (
    PICTURES,
    add_file,
    advantages_of,
    diagnosed,
    estimators_named,
    looked_at,
    place,
    read,
    saved,
    temperature_of,
)
from .counted import counted

__all__ = ["add_arguments", "run"]

_HEAD = ("estimator", "mean |A|", "largest", "zero", "eff. share", "positive", "like first", "signs")
_NOTE = (
    "zero: share of responses with advantage 0; eff. share: effective sample size of |A| over responses; positive: "
    "share of the sum of |A|; like first: correlation with the first estimator; signs: share on which the two agree"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_file(parser)
    parser.add_argument("--estimators", required=True, help="names, separated by commas; the first is compared with")
    parser.add_argument("--plot", type=Path, metavar="PICTURE", help="write a picture: png, svg or pdf")
    parser.add_argument("--html", type=Path, metavar="PAGE", help="write a page that needs no other file")


def run(options: argparse.Namespace) -> int:
    """Print the table."""
    try:
        place(options.plot, *PICTURES)
        place(options.html, ".html", ".htm", needs=("matplotlib", "jinja2"))
        names = estimators_named(options.estimators)
        batch = read(options.file, options.map, looked_at(*names.values()))
        looks, each = {}, {}
        for name in counted(list(names), "compare"):
            advantages = advantages_of(names[name], batch)
            looks[name] = diagnosed(batch, advantages, temperature=temperature_of(names[name]))
            each[name] = _per_response(advantages, batch)
        found = _rows(each, looks)
        if options.plot:
            saved(_figure(each), options.plot)
        if options.html:
            _write(options, each, looks, found)
    except (TypeError, ValueError) as error:
        raise SystemExit(f"advantages compare: {error}") from None
    if options.json:
        told = {name: look.explain() for name, look in looks.items()}
        print(json.dumps({"estimators": found, "explain": told}))
        return 0
    rows = [_HEAD, *(_cells(*row) for row in found.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)))
    print(_NOTE)
    print("\n".join(f"- {note}" for note in _notes(looks) or ["Nothing stands out."]))
    return 0


def _notes(looks: Mapping[str, Diagnosis]) -> list[str]:
    """What stands out, once each: first what is said of the rewards, and so of all estimators alike."""
    of: dict[str, list[str]] = {}
    for name, look in looks.items():
        for sentence in look.explain():
            of.setdefault(sentence, []).append(name)
    common = [sentence for sentence, names in of.items() if len(names) == len(looks)]
    return common + [f"{', '.join(names)}: {s}" for s, names in of.items() if len(names) < len(looks)]


def _per_response(a: Any, batch: Mapping[str, Any]) -> Any:
    """(N,) advantages; the mean over trained tokens where there is one per token."""
    if a.ndim == 1:
        return a
    mask = batch["mask"]
    return np.where(mask, a, 0.0).sum(1) / np.maximum(mask.sum(1), 1)


def _rows(each: Mapping[str, Any], looks: Mapping[str, Diagnosis]) -> dict[str, dict[str, float | None]]:
    first = next(iter(each.values()))
    found = {}
    for name, a in each.items():
        look = looks[name]
        varies = a.std() > 0 and first.std() > 0
        found[name] = {
            "mean_absolute": look.absolute / look.responses,
            "largest": look.largest,
            "zero": look.zero / look.responses,
            "effective_share": look.metrics().get("advantages/effective_share"),
            "positive_share": look.positive / look.absolute if look.absolute else None,
            "correlation": float(np.corrcoef(a, first)[0, 1]) if varies else None,
            "same_sign": float((np.sign(a) == np.sign(first)).mean()),
        }
    return found


def _cells(name: str, row: Mapping[str, float | None]) -> list[str]:
    return [name, *("-" if x is None else f"{x:.4g}" for x in row.values())]


def _figure(each: Mapping[str, Any]) -> Any:
    figure, (axes,) = panels(7, 4)
    for number, (name, a) in enumerate(each.items()):
        place = (np.arange(len(a)) + 0.5) / max(len(a), 1)
        axes.plot(place, np.sort(a), color=COLORS[number % len(COLORS)], label=name, linewidth=2)
    axes.set(xlabel="share of the responses", ylabel="advantage, from the least to the greatest")
    axes.legend(frameon=False)
    return figure


def _write(
    options: argparse.Namespace, each: Mapping[str, Any], looks: Mapping[str, Diagnosis], found: Mapping[str, Any]
) -> None:
    from ..reports.charts import Line, chart
    from ..reports.page import Markup, figure, legend, page, part, section, table

    lines = [
        Line(np.linspace(0, 100, len(a)), np.sort(a), color=number)  # whole percentages on the axis
        for number, a in enumerate(each.values())
    ]
    svg = chart(lines, what="advantages from the least to the greatest", x="percent of the responses", tall=True)
    parts: list[Markup] = [
        section("Numbers", table(_HEAD, [_cells(*row) for row in found.items()]), note=_NOTE),
        section("Advantages", figure("from the least to the greatest", "", svg), legend(list(each))),
        section("What stands out", part("notes", _notes(looks) or ["Nothing."])),
    ]
    look = next(iter(looks.values()))
    subtitle = f"{look.responses} responses in {look.groups} groups of {options.file.name}"
    write_whole(options.html, page("Estimators on one batch", "advantages compare", subtitle, parts))
