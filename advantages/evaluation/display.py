"""What a person sees while an evaluation runs, and when it is done."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_never

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from .events import Comparing, Event, Loading, Sampled, Sampling

__all__ = ["Display"]

SECONDS = 30
"""Between two lines where the output is no terminal."""


class Display:
    """A progress bar in a terminal; a line now and then where the output is a file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.console = Console(highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[shown]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task(name, total=None, shown="")
        self._total = self._done = self._right = self._tokens = 0
        self._start = self._said = time.monotonic()

    def __enter__(self) -> "Display":
        self._bar.__enter__()
        return self

    def __exit__(self, *why: Any) -> None:
        self._bar.__exit__(*why)

    def __call__(self, event: Event) -> None:
        """Show what happened."""
        match event:
            case Loading(model=model):
                self._show(f"loading {model}")
            case Sampling(done=done, total=total):
                self._total = total
                self._count(done)
                self._start = time.monotonic()
                self._show(f"{self._done} completions were there" if self._done else "sampling")
            case Sampled(rows=rows):
                self._count(rows)
                self._tokens += sum(row["tokens"] for row in rows)
                speed = self._tokens / (time.monotonic() - self._start)
                shown = f"right {self._right / self._done:.1%}  {speed:,.0f} tok/s"
                self._show(shown, quiet=time.monotonic() - self._said < SECONDS and self._done < self._total)
            case Comparing():
                self._show("comparing answers")
            case _:
                assert_never(event)

    def _count(self, rows: Any) -> None:
        self._done += len(rows)
        self._right += sum(row["right"] is True for row in rows)

    def _show(self, shown: str, *, quiet: bool = False) -> None:
        if self.console.is_terminal:
            self._bar.update(self._task, total=self._total or None, completed=self._done, shown=shown)
        elif not quiet:
            self._said = time.monotonic()
            of = f"  {self._done} of {self._total}" if self._total else ""
            self.console.print(f"{self.name}{of}  {shown}", soft_wrap=True, markup=False)

    def table(self, results: Mapping[str, Any]) -> None:
        """The results, a row per k."""
        table = Table(header_style="bold", title=self.name, title_style="", title_justify="left")
        for column in ("k", "pass@k", "95% interval", "maj@k", "95% interval"):
            table.add_column(column, justify="right")
        for k in results["pass"]:
            cells = []
            for found in (results["pass"][k], results["maj"][k]):
                cells += [f"{found['value']:.1%}", f"{found['low']:.1%} to {found['high']:.1%}"]
            table.add_row(k, *cells)
        error = results["sampling_error"]
        notes = [
            f"{results['problems']} problems, {results['samples']} completions each, "
            f"of {results['tokens']:,.0f} tokens on average.",
            "The intervals are for a population of problems that these were drawn from.",
        ]
        if error is not None:
            notes.append(f"New completions of these problems move pass@1 by ±{error:.1%} (standard error).")
        notes.append(
            f"Cut off at the limit: {results['truncated']:.1%}. Without an answer: {results['unanswered']:.1%}."
            + (f" Could not be graded, counted as wrong: {results['ungraded']}." if results["ungraded"] else "")
        )
        self.console.print()
        self.console.print(table)
        for note in notes:
            self.console.print(note, style="dim", soft_wrap=True)

    def paths(self, folder: Path) -> None:
        for name in ("results.json", "completions.jsonl"):
            self.console.print(f"{name.partition('.')[0]:<12} {folder / name}", soft_wrap=True, markup=False)
