"""What a person sees while training runs, and when it is done."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ..reports.comparison import shown
from ..runs.compare import MEASURES, Comparison, Difference, Variant, measures_of
from ..runs.config import Config

__all__ = ["Display", "tables"]

_ACCURACIES = ("before", "after", "greedy", "steps_to_90", "samples_to_90", "auc")
_REWARDS = ("reward_before", "reward_after", "reward_greedy", "reward")
_DIFFERENCES = ("auc", "after", "samples_to_90")
_REWARD_DIFFERENCES = ("reward", "reward_after")


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

    def results(self, comparison: Comparison) -> None:
        """What came out, in tables."""
        for table in tables(comparison):
            self.console.print()
            self.console.print(table)

    def paths(self, paths: Mapping[str, Path]) -> None:
        for name, path in paths.items():
            self.console.print(f"{name:<8} {path}", soft_wrap=True)


def tables(comparison: Comparison) -> list[Table]:
    """The results, a row per variant, and the differences from the baseline where there are pairs of runs."""
    counts = sorted({len(variant.seeds) for variant in comparison.variants})
    accurate = "auc" in measures_of(comparison)
    caption = (
        "Accuracies are of held-out problems; the area under the curve is the mean accuracy of all steps."
        if accurate
        else "The first reward is no verdict of 0 or 1, and has no accuracy; these are mean rewards, - where unscored."
    )
    if counts[-1] > 1:
        seeds = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
        caption = f"Means over {seeds} seeds, ± 95% intervals of Student's t. {caption}"
    columns = (*(_ACCURACIES if accurate else _REWARDS), "seconds")
    levels = {v.name: [_level(v, name) for name in columns] for v in comparison.variants}
    results = _table(columns, levels, caption=caption)
    if all(len(found["seconds"].seeds) < 2 for found in comparison.differences.values()):
        return [results]
    keys = (*(_DIFFERENCES if accurate else _REWARD_DIFFERENCES), "gradient_variation", "gradient_change")
    differences = _table(
        keys,
        {name: [_difference(key, found[key]) for key in keys] for name, found in comparison.differences.items()},
        title=f"Differences from {comparison.baseline}, paired by seed",
        caption="* the interval excludes zero. Differences of percentages are in percentage points.",
    )
    return [results, differences]


def _table(names: Sequence[str], rows: Mapping[str, Sequence[Text]], *, title: str = "", caption: str) -> Table:
    """A table of measures, as narrow as its numbers allow, so that 80 columns hold it with a long name."""
    table = Table(
        box=SIMPLE_HEAD,
        header_style="bold",
        title=Text(title) if title else None,
        title_justify="left",
        title_style="bold",
        caption=caption,
        caption_justify="left",
        caption_style="dim",
        padding=(0, 1, 0, 0),
    )
    table.add_column("", overflow="fold")
    for place, name in enumerate(names):
        words = MEASURES[name].title.split() + [line for row in rows.values() for line in row[place].plain.splitlines()]
        table.add_column(MEASURES[name].title, justify="right", width=max(map(len, words)))
    for name, cells in rows.items():
        table.add_row(Text(", ".join(part.strip() for part in name.split(","))), *cells)  # may break after commas
    return table


def _known(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _level(variant: Variant, name: str) -> Text:
    mean, without = variant.means[name], variant.without(name)
    if mean is None:
        return Text("never" if "_to_" in name else "-")
    value, half = shown(name, mean)
    return Text(f"{value}\n{f'{mean.n} of {len(variant.seeds)}' if without else half}".rstrip())


def _difference(name: str, difference: Difference) -> Text:
    if difference.mean is None:
        return Text("-")
    value, half = shown(name, difference.mean, sign=True)
    left = f"\n{len(difference.seeds)} pairs" if difference.left_out else ""
    clear = difference.mean.excludes_zero
    return Text(f"{value}{'*' if clear else ''}\n{half}{left}".rstrip(), style="bold" if clear else "")
