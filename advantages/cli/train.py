"""`advantages train` and `advantages compare-runs`: options, live progress, tables, and the record on disk."""

import argparse
import ast
import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from ..compose import stages_of
from ..core.naming import nearest
from ..runs.config import GROUPS, RENAMED, Config
from .fields import MAP, pairs

__all__ = ["add_arguments", "add_compare_arguments", "compare_runs", "parse_estimator", "train"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `advantages train`: one for each field of `Config`, and those of the whole experiment."""
    groups = {name: parser.add_argument_group(title) for name, title in GROUPS.items()}
    for field in dataclasses.fields(Config):
        facts = field.metadata
        if field.name in ("estimator", "map", "options", "rewards"):
            continue
        default = "none" if field.default is None else field.default
        meaning = facts["meaning"] if "(default: " in facts["meaning"] else f"{facts['meaning']} (default: {default})"
        options: dict[str, Any] = {"default": argparse.SUPPRESS, "help": meaning}
        if isinstance(field.default, bool):
            options["action"] = argparse.BooleanOptionalAction
        else:
            options["type"] = facts["kind"]
            options["metavar"] = "|".join(facts["choices"]) if facts["choices"] else field.name.upper().split("_")[-1]
        groups[facts["group"]].add_argument("--" + field.name.replace("_", "-"), **options)
    groups["data"].add_argument("--map", default=argparse.SUPPRESS, metavar="OWN=NAME,...", help=_meaning("map"))
    groups["reward"].add_argument(
        "--rewards", default=argparse.SUPPRESS, metavar="NAME=WEIGHT,...", help=_meaning("rewards")
    )
    groups["learning"].add_argument(
        "--estimator",
        default=argparse.SUPPRESS,
        help="one or several, comma-separated: names, package.module:function or path/file.py:function, with settings "
        "in parentheses: grpo,lampo(temperature=3) (default: grpo)",
    )
    groups["learning"].add_argument(
        "--estimator.SETTING",
        dest=argparse.SUPPRESS,
        metavar="VALUE",
        default=argparse.SUPPRESS,
        help="a setting of the estimator, such as --estimator.temperature 3",
    )
    groups["learning"].add_argument(
        "--then",
        action="append",
        default=argparse.SUPPRESS,
        metavar="STAGE.SETTING=VALUE",
        help="a stage before or after the estimator, such as entropy_shaped.alpha=0.4; may be given several times",
    )
    run = groups["run"]
    run.add_argument("--seeds", type=int, default=argparse.SUPPRESS, help="how many seeds, from --seed on (default: 1)")
    run.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs (default: runs)")
    run.add_argument("--name", default=argparse.SUPPRESS, help="name of the run's folder (default: run-1, run-2 ...)")
    run.add_argument(
        "--resume", type=Path, default=argparse.SUPPRESS, metavar="FOLDER", help="go on with a run that was stopped"
    )


def _meaning(name: str) -> str:
    return next(str(f.metadata["meaning"]) for f in dataclasses.fields(Config) if f.name == name)


def parse_estimator(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Names and settings of the estimators in a comma-separated list.

    >>> parse_estimator("grpo,lampo(temperature=3, center=True)")
    [('grpo', {}), ('lampo', {'temperature': 3, 'center': True})]
    """
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [_parse_one(part.strip()) for part in parts]


def _parse_one(part: str) -> tuple[str, dict[str, Any]]:
    name, bracket, inside = part.partition("(")
    try:
        call = ast.parse(f"f({inside}" if bracket else "f()", mode="eval").body
        if isinstance(call, ast.Call) and not call.args:
            return name, {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError):
        pass
    raise ValueError(f"--estimator {part}: write a name, or name(setting=value, ...)")


def _parse_rewards(text: str) -> dict[str, float]:
    weights = {}
    form = "name=weight, such as exact=1"
    for name, weight in pairs(text, option="--rewards", form=form).items():
        try:
            weights[name] = float(weight)
        except ValueError:
            raise ValueError(f"--rewards {name}={weight}: write {form}") from None
    return weights


def _more_settings(arguments: Sequence[str]) -> dict[str, Any]:
    """`--estimator.temperature 3` as {"temperature": 3}."""
    settings: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        option = rest.pop(0)
        name, equals, value = option.partition("=")
        if not name.startswith("--estimator.") or not (equals or rest):
            key = name.removeprefix("--").replace("-", "_")
            guess = RENAMED.get(key) or nearest(key, (f.name for f in dataclasses.fields(Config)))
            meant = f"; did you mean --{guess.replace('_', '-')}?" if guess else ""
            raise ValueError(f"{name}: there is no such option; see advantages train --help{meant}")
        value = value if equals else rest.pop(0)
        key = name.removeprefix("--estimator.").replace("-", "_")
        try:
            settings[key] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            settings[key] = value
    return settings


Hold = Callable[[], AbstractContextManager[Path]]
"""Claims the folder of an experiment."""


def _new_runs(given: dict[str, Any], settings: dict[str, Any]) -> tuple[Hold, list[tuple[str, Config]]]:
    from ..runs.inputs import located
    from ..runs.record import new_folder

    if "data" in given and "task" in given:
        raise ValueError(f"got both --data {given['data']} and --task {given['task']}; pass one of them")
    fields = {f.name: given[f.name] for f in dataclasses.fields(Config) if f.name in given}
    if "map" in fields:
        fields["map"] = pairs(fields["map"], option="--map", form=MAP)
    estimators = parse_estimator(fields.pop("estimator", "grpo"))
    if "rewards" in fields:
        fields["rewards"] = _parse_rewards(fields["rewards"])
    stages_of(given.get("then", []))
    then = "".join(f"+{text}" for text in given.get("then", []))
    first, count = fields.pop("seed", 0), given.get("seeds", 1)
    if count < 1:
        raise ValueError(f"--seeds {count}: pass a number of at least 1")
    configs = [
        Config(**fields, estimator=name + then, options={**own, **settings}, seed=first + k)
        for k in range(count)
        for name, own in estimators
    ]
    if twice := [c.label for n, c in enumerate(configs) if c in configs[:n]]:
        raise ValueError(f"--estimator: {twice[0]} is named twice; name it once")
    names = [f"{c.label}-seed{c.seed}".replace("/", "_") for c in configs] if len(configs) > 1 else ["."]
    return (
        lambda: new_folder(given["runs"], given.get("name")),
        [(name, located(config)) for name, config in zip(names, configs, strict=True)],
    )


def _old_runs(given: dict[str, Any], settings: dict[str, Any]) -> tuple[Hold, list[tuple[str, Config]]]:
    from ..files import claim
    from ..training.experiment import read_experiment

    folder = given["resume"]
    if extra := [name for name in given if name not in ("resume", "runs", "command")] + list(settings):
        raise ValueError(
            f"--resume takes every setting from {folder}, but {', '.join(extra)} was given, too; drop it, "
            "or start another run"
        )
    return lambda: claim(folder), read_experiment(folder)


def train(options: argparse.Namespace, more: Sequence[str]) -> int:
    """Run what the options say; the exit status."""
    given = vars(options)
    try:
        settings = _more_settings(more)
        hold, runs = (_old_runs if "resume" in given else _new_runs)(given, settings)
        return _train(hold, _check(runs))
    except (TypeError, ValueError) as error:
        raise SystemExit(f"advantages train: {error}") from None
    except RuntimeError as error:
        import torch

        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise SystemExit(
            f"advantages train: out of memory ({' '.join(str(error).split())[:150]}); lower --micro-batch, "
            "--max-new-tokens or --group-size, or pass --gradient-checkpointing or --lora-rank 16; the last checkpoint "
            "is whole"
        ) from None


def _check(runs: Sequence[tuple[str, Config]]) -> list[tuple[str, Config]]:
    """Refuse what cannot work before anything is loaded or made; the runs, with the number of held-out problems."""
    from ..training.checks import check_estimator, try_estimator
    from ..training.scoring import make_rewards
    from ..training.start import open_source

    for _, config in runs:
        check_estimator(config)
    remarks: dict[str, None] = {}
    checked = []
    for folder, config in runs:
        source = open_source(config)
        try_estimator(config, len(make_rewards(config, source).weights))
        remarks |= dict.fromkeys(f"{config.data}: {remark}" for remark in source.remarks)
        held_out = len(source.held_out(config.evaluation))
        checked.append((folder, dataclasses.replace(config, evaluation=held_out)))
    if os.environ.get("RANK", "0") == "0":
        for remark in remarks:
            print(remark, file=sys.stderr)
    return checked


def _train(hold: Hold, named: Sequence[tuple[str, Config]]) -> int:
    from ..files import disk_errors, write_json
    from ..reports.charts import plot_curves
    from ..reports.comparison import write_comparison
    from ..reports.run import write_report
    from ..runs.record import RunFolder, as_dicts, read_record
    from ..runs.select import compare_records
    from ..training.experiment import Stopped, processes, run
    from .progress import Display

    with processes(named[0][1]) as world, world.held(hold) as folder, disk_errors(folder):
        runs = [(folder / name, config) for name, config in named]
        try:
            with Display() as display:
                outcomes = run(runs, folder, display, world)
        except Stopped as stopped:
            if world.main:
                write_report(next(path for path, _ in runs if not RunFolder(path).finished))
            print(f"\n{stopped}, and saved; go on with: advantages train --resume {folder}", file=sys.stderr)
            return 128 + stopped.signal_number
        if world.main:
            compared = compare_records([read_record(path) for path, _ in runs])
            display.results(compared.comparison, compared.legend)
            write_json(folder / "results.json", as_dicts(outcomes))
            plot_curves(as_dicts(outcomes), folder / "curves.png")
            reports = [write_report(path) for path, _ in runs]
            report = reports[0] if len(runs) == 1 else write_comparison(compared, folder)["report"]
            metrics = folder / ("metrics.jsonl" if len(runs) == 1 else "*/metrics.jsonl")
            paths = {"report": report, "plot": folder / "curves.png", "results": folder / "results.json"}
            display.paths({**paths, "metrics": metrics})
    return 0


def add_compare_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `advantages compare-runs`."""
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="FOLDER", help="of a run, of an experiment, or one that holds several"
    )
    parser.add_argument("--baseline", metavar="NAME", help="what the others are compared with (default: the first)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where compare.html and compare.json go (default: the folder, where one is given; else the first free "
        "one of runs/compare-1, runs/compare-2 ...)",
    )
    parser.add_argument("--finished-only", action="store_true", help="leave out runs that are not finished")
    parser.add_argument(
        "--different-tasks", action="store_true", help="compare runs of different tasks or models all the same"
    )


def compare_runs(options: argparse.Namespace) -> int:
    """Compare recorded runs; the exit status."""
    from rich.console import Console

    from ..files import claim_free
    from ..reports.comparison import write_comparison
    from ..reports.tables import tables
    from ..runs.select import compare_records, read_records

    try:
        records, unfinished = read_records(options.folders, finished_only=options.finished_only)
        compared = compare_records(
            records, baseline=options.baseline, different_tasks=options.different_tasks, unfinished=unfinished
        )
    except ValueError as error:
        raise SystemExit(f"advantages compare-runs: {error}") from None
    alone = options.folders[0] if len(options.folders) == 1 else None
    chosen = options.out or alone
    with nullcontext(chosen) if chosen else claim_free(Path("runs"), "compare") as folder:
        paths = write_comparison(compared, folder)
    console = Console(highlight=False)
    for table in tables(compared.comparison):
        console.print(table)
        console.print()
    for name, whole in compared.legend.items():
        console.print(f"{name} is {whole}", markup=False, soft_wrap=True)
    for note in compared.notes:
        console.print(note, markup=False, soft_wrap=True)
    for name, path in paths.items():
        console.print(f"{name:<8} {path}", markup=False, soft_wrap=True)
    return 0
