"""`advantages train`: options, live progress, and the record on disk."""

import argparse
import ast
import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ..compose import stages_of
from ..runs.config import GROUPS, RENAMED, Config
from .fields import add_options, literal, no_such_option, option_of, read_options

__all__ = ["add_arguments", "parse_estimator", "run"]

_OF_ESTIMATOR = "--estimator."
_BESIDE = ("then", "seeds", "runs", "name", "resume")
"""Options beside the fields of `Config`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `advantages train`: one for each field of `Config`, and those of the whole experiment."""
    groups = add_options(parser, Config, groups=GROUPS, skip=("estimator", "options"))
    groups["learning"].add_argument(
        "--estimator",
        default=argparse.SUPPRESS,
        help="one or several, comma-separated: names, package.module:function or path/file.py:function, with settings "
        "in parentheses: grpo,lampo(temperature=3) (default: grpo)",
    )
    groups["learning"].add_argument(
        f"{_OF_ESTIMATOR}SETTING",
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


def _more_settings(arguments: Sequence[str]) -> dict[str, Any]:
    """`--estimator.temperature 3` as {"temperature": 3}."""
    settings: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        option = rest.pop(0)
        name, equals, value = option.partition("=")
        if not name.startswith(_OF_ESTIMATOR) or not (equals or rest):
            known = map(option_of, [*(field.name for field in dataclasses.fields(Config)), *_BESIDE])
            renamed = {option_of(old): option_of(new) for old, new in RENAMED.items()}
            raise ValueError(no_such_option(option, known, "train", renamed))
        value = value if equals else rest.pop(0)
        settings[name.removeprefix(_OF_ESTIMATOR).replace("-", "_")] = literal(value)
    return settings


Hold = Callable[[], AbstractContextManager[Path]]
"""Claims the folder of an experiment."""


def _new_runs(given: dict[str, Any], settings: dict[str, Any]) -> tuple[Hold, list[tuple[str, Config]]]:
    from ..runs.inputs import located
    from ..runs.record import new_folder

    if "data" in given and "task" in given:
        raise ValueError(f"got both --data {given['data']} and --task {given['task']}; pass one of them")
    fields = read_options(Config, given)
    estimators = parse_estimator(fields.pop("estimator", "grpo"))
    stages_of(given.get("then", []))
    then = "".join(f"+{text}" for text in given.get("then", []))
    count = given.get("seeds", 1)
    if count < 1:
        raise ValueError(f"--seeds {count}: pass a number of at least 1")
    firsts = [Config(**fields, estimator=name + then, options={**own, **settings}) for name, own in estimators]
    configs = [dataclasses.replace(first, seed=first.seed + k) for k in range(count) for first in firsts]
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


def run(options: argparse.Namespace, more: Sequence[str]) -> int:
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
        if config.steps < config.warmup:
            share = f"{config.steps / config.warmup:.0%} of --learning-rate"
            risen = f"rises over {config.warmup} steps, but the run ends after {config.steps}, at {share}"
            remarks[f"warning: the learning rate {risen}; lower --warmup"] = None
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
