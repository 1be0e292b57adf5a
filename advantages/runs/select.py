"""Recorded runs that belong together: read, named, refused, and what must be said of them."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .compare import Comparison, compare, keys_of, measures_of
from .config import Config
from .measures import Run
from .record import Record, RunFolder, find_runs, read_record

__all__ = ["Compared", "compare_records", "read_records", "seeds_of", "written"]

_SAME = ("task", "data", "eval_data", "map", "model", "arch", "random_init", "system", "thinking", "evaluation")
"""Settings that decide what an accuracy means."""
_ASIDE = {"estimator", "options", "seed", "threads", "save_every", "keep"}
"""Settings that are in the name already, or that nobody compares."""
_SPEED = {"device", "micro_batch", "gradient_checkpointing", "engine", "engine_memory", "max_prompt_tokens"}
"""Settings that change how fast a run is, not what it learns."""
LONGEST = 40
"""Characters of a name that a table and a phone can show."""


class Compared(NamedTuple):
    """Runs, what they are compared as, and the result."""

    records: list[Record]
    runs: list[Run]
    """In the order of the records."""
    comparison: Comparison
    notes: list[str]
    """What must be known to read it, in plain words."""
    against_rloo: Comparison | None
    """The same with RLOO as the baseline, which is unbiased; None where it is the baseline already, or absent."""
    legend: dict[str, str]
    """What the names stand for that do not say all themselves."""


def read_records(folders: Sequence[Path], *, finished_only: bool = False) -> tuple[list[Record], list[Path]]:
    """The runs in some folders, and those that were left out because they are not finished.

    Raises:
        ValueError: a folder holds no run, or an unfinished one that is not to be left out.
    """
    paths = {path.resolve(): path for folder in folders for path in find_runs(folder)}
    records, unfinished = [], []
    for path in paths.values():
        if RunFolder(path).finished:
            records.append(read_record(path))
        else:
            unfinished.append(path)
    if unfinished and not finished_only:
        raise ValueError(
            f"{_few([str(path) for path in unfinished])} {'is' if len(unfinished) == 1 else 'are'} not "
            "finished; go on with advantages train --resume FOLDER, or pass --finished-only to leave out what is not"
        )
    if not records:
        raise ValueError("no run is finished; go on with one by advantages train --resume FOLDER")
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
                    f"{first.path} has {name}={written(ours)} but {record.path} has {name}={written(theirs)}; {advice}"
                )
    names, legend = _names([record.config for record in records])
    runs = [Run(name, r.config.seed, r.metrics, r.evaluation) for name, r in zip(names, records, strict=True)]
    _refuse_twins(records, names)
    comparison = compare(runs, next((name for name, whole in legend.items() if whole == baseline), baseline))
    rloo = next((name for name, record in zip(names, records, strict=True) if record.config.estimator == "rloo"), None)
    against = compare(runs, rloo) if rloo not in (None, comparison.baseline) else None
    return Compared(list(records), runs, comparison, _notes(comparison, records, unfinished), against, legend)


def _names(configs: Sequence[Config]) -> tuple[list[str], dict[str, str]]:
    """The estimator with its settings and what else differs between the runs, and what short ones stand for.

    Where that is longer than `LONGEST`, defaults are left out, then settings of mere speed; where it is still longer,
    or would no longer tell runs apart, a letter stands for it.
    """
    fields = [field.name for field in dataclasses.fields(Config) if field.name not in _ASIDE]
    differing = [name for name in fields if any(getattr(c, name) != getattr(configs[0], name) for c in configs)]
    full = [_name(c, differing) for c in configs]
    if max(map(len, full)) <= LONGEST:
        return full, {}
    telling = [[name for name in differing if not _is_default(c, name)] for c in configs]
    short = [_name(c, names) for c, names in zip(configs, telling, strict=True)]
    brief = [_name(c, [n for n in names if n not in _SPEED]) for c, names in zip(configs, telling, strict=True)]
    chosen: dict[str, str] = {}
    for one, options in zip(full, zip(short, brief, strict=True), strict=True):
        others = {other for whole, *some in zip(full, short, brief, strict=True) if whole != one for other in some}
        fitting = [name for name in options if len(name) <= LONGEST and name not in others]
        chosen.setdefault(one, fitting[0] if fitting else "")
    lettered = [one for one, name in chosen.items() if not name]
    estimators = {one: c.estimator.rpartition(":")[2].rpartition(".")[2] for one, c in zip(full, configs, strict=True)}
    for number, one in enumerate(lettered):
        chosen[one] = f"{_letter(number)}: {estimators[one]}"
    wholes = dict(zip(full, short, strict=True))  # defaults need no word in the legend, either
    legend = {name: wholes[one] for one, name in chosen.items() if name != wholes[one]}
    if len(set(legend.values())) < len(legend):
        legend = {name: one for one, name in chosen.items() if name != one}
    return [chosen[one] for one in full], legend


def _name(config: Config, names: Sequence[str]) -> str:
    return ", ".join([config.label, *(f"{name}={written(getattr(config, name))}" for name in names)])


def _is_default(config: Config, name: str) -> bool:
    field = next(field for field in dataclasses.fields(Config) if field.name == name)
    default = {} if field.default is dataclasses.MISSING else field.default
    return bool(getattr(config, name) == default)


def _letter(number: int) -> str:
    """A to Z, then AA, AB ..."""
    return (_letter(number // 26 - 1) if number >= 26 else "") + chr(ord("A") + number % 26)


def _refuse_twins(records: Sequence[Record], names: Sequence[str]) -> None:
    seen: dict[tuple[str, int], Path] = {}
    for record, name in zip(records, names, strict=True):
        other = seen.setdefault((name, record.config.seed), record.path)
        if other != record.path:
            raise ValueError(f"{other} and {record.path} are both {name} with seed {record.config.seed}; leave one out")


def _notes(comparison: Comparison, records: Sequence[Record], unfinished: Sequence[Path]) -> list[str]:
    base = comparison.baseline
    notes = [f"{path} is not finished, and was left out." for path in unfinished]
    for name, seeds in comparison.unpaired.items():
        if seeds:
            ours = [seed for seed in seeds if seed in comparison[name].seeds]
            theirs = [seed for seed in seeds if seed not in ours]
            said = [f"{seeds_of(ours)} of {name}" if ours else "", f"{seeds_of(theirs)} of {base}" if theirs else ""]
            notes.append(
                f"{' and '.join(filter(None, said))} {'has' if len(seeds) == 1 else 'have'} no partner, and "
                f"{'counts' if len(seeds) == 1 else 'count'} in no difference between {name} and {base}."
            )
    accurate = "auc" in measures_of(comparison)
    for variant in comparison.variants if accurate else ():
        for percent in (50, 90):
            if never := variant.without(f"samples_to_{percent}"):
                who = "any seed" if len(never) == len(variant.seeds) else seeds_of(never)
                counts = "it counts" if len(never) == 1 else "they count"
                notes.append(
                    f"{variant.name} never reached {percent}% with {who}"
                    + (
                        "."
                        if who == "any seed"
                        else f"; {counts} as one step beyond the last, and its mean is too low."
                    )
                )
    for variant in comparison.variants:
        if variant.unlearned:
            who = "any seed" if len(variant.unlearned) == len(variant.seeds) else seeds_of(variant.unlearned)
            notes.append(f"{variant.name} never learned with {who}: its accuracy did not rise by 0.02.")
    fewest = min(len(variant.seeds) for variant in comparison.variants)
    if fewest == 1:
        notes.append("One seed has no interval, and ranks nothing.")
    elif fewest < 5:
        notes.append(f"{fewest} seeds make wide intervals; take at least five to rank anything.")
    if len({(r.config.prompts, r.config.samples) for r in records}) > 1:
        notes.append("The runs sample different numbers of responses a step: compare them by samples, not by steps.")
    if count := len(keys_of(comparison)) * len(comparison.differences):
        notes.append(
            f"Each interval holds by itself: of {count} differences that were all zero, about {count / 20:.2g} would "
            "exclude zero by chance (*). Those that hold among all of these, by Benjamini and Hochberg at 5%, have **."
        )
    return notes


def seeds_of(seeds: Sequence[int]) -> str:
    """Seeds in words."""
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _few(items: Sequence[str], most: int = 3) -> str:
    rest = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + rest


def written(value: Any) -> str:
    """A setting's value as a person writes it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={x}" for key, x in value.items()) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    return "none" if value is None else str(value)
