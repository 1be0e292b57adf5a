"""What a person sees while training runs, and when it is done."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_never

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from ..reports.tables import tables
from ..runs.compare import Comparison
from ..training.events import Done, Evaluating, Event, Note, Outcome, Step, WarmStart

__all__ = ["Display"]


class Display:
    """Progress bars in a terminal; a line now and then where the output is a file; silence beside the main process."""

    def __init__(self) -> None:
        self.main = os.environ.get("RANK", "0") == "0"
        self.console = Console(highlight=False, quiet=not self.main)
        self._bar = Progress(
            TextColumn("{task.description:<18}", style="bold", markup=False),
            BarColumn(bar_width=10),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[shown]}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
            console=self.console,
            expand=True,
            disable=not self.console.is_terminal or not self.main,
        )
        self._tasks: dict[Any, TaskID] = {}

    def __enter__(self) -> "Display":
        self._bar.__enter__()
        return self

    def __exit__(self, *why: Any) -> None:
        self._bar.__exit__(*why)

    def __call__(self, event: Event) -> None:
        """Show what happened."""
        config = event.config
        run = (f"seed {config.seed}: {config.label}", "")
        match event:
            case WarmStart(phase=phase, step=step):
                word = "accuracy" if phase == "work" else "loss"
                shown = f"{phase}: step {step:3d}, {word} {event.value:.2f}"
                total = 80 if phase == "habits" else None
                self._show((f"seed {config.seed}: warm start", phase), step, total, shown, every=80)
            case Evaluating(step=step, problems=problems):
                self._show(run, step, config.steps, f"evaluating on {problems} held-out problems", every=1)
            case Step(metrics=m):
                shown = (
                    f"reward {_known(m['reward'], '.2f')}  accuracy {_known(m['accuracy'], '.2f')}  "
                    f"entropy {_known(m['entropy'], '.2f')}  clipped {_known(m['clip_fraction'], '.1%')}  "
                    f"informative {_known(m['informative'], '.0%')}  length {_known(m['length'], '.0f')}  "
                    f"{_known(m['tokens_per_second'], ',.0f')} tok/s"
                )
                self._show(run, int(m["step"] or 0), config.steps, shown, every=10)
            case Note(text=text):
                self.console.print(text, markup=False, soft_wrap=True)
            case Done(outcome=outcome):
                self._show(run, config.steps, config.steps, _went(outcome), every=1)
            case _:
                assert_never(event)

    def _show(self, key: tuple[str, str], step: int, total: int | None, shown: str, *, every: int) -> None:
        if not self.console.is_terminal:
            if step % every == 0 or step == total:
                self.console.print(f"{key[0]}  step {step:3d}  {shown}", markup=False, soft_wrap=True)
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
            self.console.print(f"{name:<8} {path}", markup=False, soft_wrap=True)


def _went(outcome: Outcome) -> str:
    """A run's end in a line: of held-out problems, the accuracy, or the reward where no reward is a verdict."""
    name, before, after = "accuracy", outcome.before, outcome.after
    form = ".1%"
    if before is None and after is None:
        name, before, after, form = "reward", outcome.reward_before, outcome.reward_after, ".2f"
    held_out = "" if before is None and after is None else f"{name} {_known(before, form)} -> {_known(after, form)}  "
    return f"done: {held_out}{outcome.seconds:,.0f} s"


def _known(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
