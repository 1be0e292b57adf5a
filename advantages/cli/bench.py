"""`advantages bench`: how fast the estimators are, beside the lines that a user would write and other packages."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ..bench import NAMES, Cell, Found, grid, machine, measured, missing, works
from ..bench.page import cell, markdown, picture
from ..core.naming import did_you_mean
from .counted import counted

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--only", type=_names, default=NAMES, metavar="NAME,...", help=f"only some of {', '.join(NAMES)}"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=_seconds, default=4.0, help="about how long each work takes (default: 4)")
    parser.add_argument(
        "--page", type=Path, metavar="FILE.md", help="write a page, and its picture into images/ beside it"
    )


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in NAMES:
            raise argparse.ArgumentTypeError(
                f"{name!r} is nothing that is measured; choose of {', '.join(NAMES)}{did_you_mean(name, NAMES)}"
            )
    if not names:
        raise argparse.ArgumentTypeError(f"names nothing; choose of {', '.join(NAMES)}")
    return names


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number of seconds")
    return seconds


def run(options: argparse.Namespace) -> int:
    """Measure, print as it comes, and write what was asked for."""
    if options.page is not None and not options.page.parent.is_dir():
        raise SystemExit(f"advantages bench: there is no folder {options.page.parent}; make it, or name another page")
    facts = machine()
    chosen = works(options.only)
    found: list[Found] = []
    absent = missing()
    for work in counted(chosen, "bench", lambda work: work.title):
        some, refused = measured(work, seconds=options.seconds)
        found += some
        absent |= {f"{name} on {work.title}": said for name, said in refused.items()}
        if not options.json:
            _print(work.title, some)
    cells: list[Cell] = []
    if "grid" in options.only:
        print(
            "bench: ours and the naive line at every size, with compiled kernels and without, about half a minute",
            file=sys.stderr,
            flush=True,
        )
        for one in grid(min(0.1, options.seconds)):
            cells.append(one)
            if not options.json:
                kind = "compiled" if one.compiled else "plain"
                print(
                    f"{one.estimator:<10} {one.rows:>7,} in {one.size:>6,}  {kind:<8} {cell(one)}{'  lost' * one.lost}",
                    flush=True,
                )
    if absent:
        print("bench: not timed: " + "; ".join(f"{name} ({said})" for name, said in absent.items()), file=sys.stderr)
    if options.json:
        content: dict[str, Any] = {"machine": facts, "found": [one._asdict() for one in found], "missing": absent}
        content["grid"] = [one._asdict() | {"lost": one.lost} for one in cells]
        print(json.dumps(content))
    if options.page is not None:
        image = options.page.parent / "images" / f"{options.page.stem}.svg"
        image.parent.mkdir(exist_ok=True)
        image.write_text(picture(found))
        options.page.write_text(markdown(facts, found, cells, absent, f"images/{image.name}"))
        print(f"wrote {options.page} and {image}", file=sys.stderr)
    return 0


def _print(title: str, found: list[Found]) -> None:
    width = max(len(one.name) for one in found)
    print(f"\n{title}\n{'':<{width}}  median ms    best ms   x ours      x F  MiB  error")
    for one in found:
        peak = "-" if one.peak_mib is None else f"{one.peak_mib:.0f}"
        print(
            f"{one.name:<{width}}  {one.median_ms:9.3f}  {one.best_ms:9.3f}  {one.times_ours:7.2f}  "
            f"{one.times_floor:7.1f}  {peak:>3}  {one.error:.0e}",
            flush=True,
        )
