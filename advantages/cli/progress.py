"""What a person sees while training runs, and when it is done."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ..reports.tables import tables
from ..runs.compare import Comparison
from ..runs.config import Config

__all__ = ["Display"]


class Display:
    """Progress bars in a terminal; a line now and then where the output is a file; silence beside the main process."""

    def __init__(self, configs: Sequence[Config]) -> None:
        self.main = os.environ.get("RANK", "0") == "0"
        self.console = Console(highlight=False, quiet=not self.main)
        self._bar = Progress(
            TextColumn("[bold]{task.description:<28}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[shown]}"),
            TimeElapsedColumn(),
            console=self.console,
            disable=not self.console.is_terminal or not self.main,
        )
        self._tasks: dict[Any, TaskID] = {}
        self._several = len(configs) > 1

    def __enter__(self) -> "Display":
        self._bar.__enter__()
        return self

    def __exit__(self, *why: Any) -> None:
        self._bar.__exit__(*why)

    def __call__(self, event: str, *, config: Config, **facts: Any) -> None:
        if event == "warm start":
            word = "accuracy" if facts["phase"] == "work" else "loss"
            shown = f"{facts['phase']}: step {facts['step']:3d}, {word} {facts['value']:.2f}"
            total = 80 if facts["phase"] == "habits" else None
            self._show((f"seed {config.seed}: warm start", facts["phase"]), facts["step"], total, shown, every=80)
        elif event == "step":
            m = facts["metrics"]
            shown = (
                f"reward {_known(m['reward'], '.2f')}  accuracy {_known(m['accuracy'], '.2f')}  "
                f"entropy {m['entropy']:.2f}  clipped {_known(m['clip_fraction'], '.1%')}  "
                f"informative {_known(m['informative'], '.0%')}  length {m['length']:.0f}  "
                f"{m['tokens_per_second']:,.0f} tok/s"
            )
            self._show((f"seed {config.seed}: {config.label}", ""), m["step"], config.steps, shown, every=10)
        elif event == "note":
            self.console.print(facts["text"], markup=False, soft_wrap=True)

    def _show(self, key: tuple[str, str], step: int, total: int | None, shown: str, *, every: int) -> None:
        if not self.console.is_terminal:
            if step % every == 0 or step == total:
                self.console.print(f"{key[0]}  step {step:3d}  {shown}", soft_wrap=True)
            return
        if key not in self._tasks:
            self._tasks[key] = self._bar.add_task(key[0], total=total, shown="")
        self._bar.update(self._tasks[key], completed=step, shown=shown)

    def results(self, comparison: Comparison, legend: Mapping[str, str]) -> None:
        """What came out, in tables, and what short names stand for."""
        for table in tables(comparison):
            self.console.print()
            self.console.print(table)
        for name, whole in legend.items():
            self.console.print(f"{name} is {whole}", markup=False, soft_wrap=True)

    def paths(self, paths: Mapping[str, Path]) -> None:
        for name, path in paths.items():
            self.console.print(f"{name:<8} {path}", soft_wrap=True)


def _known(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
