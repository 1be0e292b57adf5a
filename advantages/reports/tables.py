"""Comparisons as tables for a terminal."""

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ..runs.compare import Comparison, Difference, Variant, measures_of
from ..runs.measures import MEASURES
from .comparison import behind, mark_of, median_of, shown

__all__ = ["tables"]

_RESULTS = (
    *("before", "after", "greedy", "steps_to_90", "samples_to_90", "auc"),
    *("reward_before", "reward_after", "reward_greedy", "reward", "seconds"),
)
_DIFFERENCES = ("auc", "after", "samples_to_90", "reward", "reward_after", "gradient_variation", "gradient_change")


def tables(comparison: Comparison) -> list[Table]:
    """The results, a row per variant, and the differences from the baseline where there are pairs of runs."""
    counts = sorted({len(variant.seeds) for variant in comparison.variants})
    telling = measures_of(comparison)
    caption = (
        "Accuracies are of held-out problems; the area under the curve is the mean accuracy of all steps."
        if "auc" in telling
        else "The first reward is no verdict of 0 or 1, and has no accuracy; these are mean rewards, - where unscored."
    )
    if counts[-1] > 1:
        seeds = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
        caption = f"Means over {seeds} seeds, ± 95% intervals of Student's t. {caption}"
    columns = [name for name in _RESULTS if name in telling]
    levels = {v.name: [_level(v, name) for name in columns] for v in comparison.variants}
    results = _table(columns, levels, caption=caption)
    if all(len(found["seconds"].seeds) < 2 for found in comparison.differences.values()):
        return [results]
    keys = [name for name in _DIFFERENCES if name in telling]
    differences = _table(
        keys,
        {name: [_difference(key, found[key]) for key in keys] for name, found in comparison.differences.items()},
        title=f"Differences from {comparison.baseline}, paired by seed",
        caption="* the interval excludes zero; ** and the difference holds among all that are shown, by Benjamini and "
        "Hochberg at 5%. Differences of percentages are in percentage points.",
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
    longest = max((len(part) for name in rows for part in name.split(",")), default=0)
    table.add_column("", overflow="fold", min_width=min(5, longest))  # a short name is never broken
    for place, name in enumerate(names):
        words = MEASURES[name].title.split() + [line for row in rows.values() for line in row[place].plain.splitlines()]
        table.add_column(MEASURES[name].title, justify="right", width=max(map(len, words)))
    for name, cells in rows.items():
        table.add_row(Text(", ".join(part.strip() for part in name.split(","))), *cells)  # may break after commas
    return table


def _level(variant: Variant, name: str) -> Text:
    mean, without = variant.means[name], variant.without(name)
    if mean is None:
        return Text("never" if "_to_" in name else "-")
    value, half = shown(name, mean)
    reached = f"{len(variant.seeds) - len(without)} of {len(variant.seeds)}" if without else ""
    return Text("\n".join(filter(None, (value, half, median_of(name, variant), reached))))


def _difference(name: str, difference: Difference) -> Text:
    if difference.mean is None:
        return Text("-")
    value, half = shown(name, difference.mean, sign=True)
    lines = (value + mark_of(difference), half, *behind(name, difference))
    return Text("\n".join(filter(None, lines)), style="bold" if difference.mean.excludes_zero else "")
