"""Runs on disk: what is written while they go on, and what is read off it afterwards.

runs/NAME/              one run, or an experiment with a folder per run and experiment.json
    config.json         every setting
    metrics.jsonl       a line per step
    samples.jsonl       a few responses of every step, with their rewards
    evaluations.jsonl   what held-out problems earn, at step 0 and at the end
    checkpoint/step-N/  what is needed to go on
    model/              the trained model, for transformers
    result.json         the run in a few numbers; written last, so that it marks a finished run
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..files import append_line, read_lines, write_whole
from .config import Config

__all__ = [
    "Record",
    "RunFolder",
    "curve",
    "evaluated",
    "find_runs",
    "first_reaching",
    "free_folder",
    "has_verdicts",
    "mean_known",
    "read_record",
]


def free_folder(root: Path, name: str | None, stem: str = "run") -> Path:
    """A folder for new runs: `root/name`, or the first free `root/run-1`, `root/run-2` ...

    Raises:
        ValueError: the named folder already holds runs.
    """
    if name is not None:
        folder = root / name
        if folder.exists() and any(folder.iterdir()):
            raise ValueError(
                f"train: {folder} already holds a run; pass another --name, or --resume {folder} to go on with it"
            )
        return folder
    number = 1
    while (root / f"{stem}-{number}").exists():
        number += 1
    return root / f"{stem}-{number}"


class RunFolder:
    """One run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoint"
        self.model = path / "model"

    @property
    def finished(self) -> bool:
        return (self.path / "result.json").exists()

    def open(self, config: Config) -> None:
        """Make the folder, or take it up again.

        Raises:
            ValueError: it belongs to another configuration.
        """
        file = self.path / "config.json"
        if file.exists():
            found = Config.load(file)
            for field in dataclasses.fields(Config):
                was, now = getattr(found, field.name), getattr(config, field.name)
                if was != now:
                    raise ValueError(
                        f"train: {self.path} was started with {field.name}={was!r} but now it is {now!r}; "
                        "resume it as it was, or start another run"
                    )
            return
        self.path.mkdir(parents=True, exist_ok=True)
        config.save(file)

    def cut(self, steps: int) -> None:
        """Drop what was written after the last checkpoint, since those steps are taken again."""
        for name in ("metrics.jsonl", "samples.jsonl"):
            kept = [line for line in read_lines(self.path / name) if line["step"] <= steps]
            write_whole(self.path / name, "".join(json.dumps(line) + "\n" for line in kept))

    def log(self, metrics: Mapping[str, Any], samples: Sequence[Mapping[str, Any]]) -> None:
        append_line(self.path / "metrics.jsonl", metrics)
        for sample in samples:
            append_line(self.path / "samples.jsonl", sample)

    def log_evaluation(self, evaluation: Mapping[str, Any]) -> None:
        append_line(self.path / "evaluations.jsonl", evaluation)

    def evaluation(self, step: int) -> dict[str, Any] | None:
        """What was measured at a step, if it was."""
        found = read_lines(self.path / "evaluations.jsonl")
        return next((line for line in found if line["step"] == step), None)


class Record(NamedTuple):
    """What one run has left on disk."""

    path: Path
    config: Config
    metrics: list[dict[str, Any]]
    evaluation: dict[str, float | None]
    """What held-out problems earned, see `evaluated`."""
    samples: list[dict[str, Any]]

    @property
    def finished(self) -> bool:
        return RunFolder(self.path).finished


def find_runs(folder: Path) -> list[Path]:
    """The folders of all runs in a folder: of one run, of an experiment, or of several of these.

    Raises:
        ValueError: there is no run.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; pass the folder of a run, or of several")
    if not (folder / "experiment.json").exists() and (folder / "config.json").exists():
        return [folder]
    records = sorted(folder.rglob("experiment.json"))
    found = [record.parent / run["folder"] for record in records for run in json.loads(record.read_text())["runs"]]
    if not found:
        raise ValueError(f"{folder} holds no run; pass a folder that `advantages train` has written")
    return found


def read_record(path: Path) -> Record:
    """One run's record, finished or not.

    Raises:
        ValueError: the folder holds none, or one that cannot be read.
    """
    if not (path / "config.json").exists():
        raise ValueError(f"{path} holds no run, or one that was never started; start it, or leave it out")
    config, disk = Config.load(path / "config.json"), RunFolder(path)
    try:
        metrics, samples = (read_lines(path / name) for name in ("metrics.jsonl", "samples.jsonl"))
        before, after = (disk.evaluation(step) or {} for step in (0, config.steps))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} holds a line that is no JSON ({error}); restore it, or leave the run out") from None
    return Record(path, config, metrics, evaluated(before, after), samples)


def evaluated(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, float | None]:
    """What held-out problems earned `before` and `after` training, sampling, and afterwards `greedy`.

    These three are accuracies, None where the first reward is no verdict of 0 or 1; under `reward_before`,
    `reward_after` and `reward_greedy` stand the mean totals of all rewards. None where not measured.
    """
    before, after = _renamed(before), _renamed(after)
    accuracies = {name: one.get(key) for name, one, key in _places(before, after, "accuracy")}
    rewards = {f"reward_{name}": one.get(key) for name, one, key in _places(before, after, "reward")}
    if any(x is None and rewards[f"reward_{name}"] is not None for name, x in accuracies.items()):
        accuracies = dict.fromkeys(accuracies)  # one is no verdict, so that the others are none, either
    return {**accuracies, **rewards}


def _places(before: Mapping[str, Any], after: Mapping[str, Any], what: str) -> list[tuple[str, Mapping[str, Any], str]]:
    return [("before", before, what), ("after", after, what), ("greedy", after, f"greedy_{what}")]


def _renamed(evaluation: Mapping[str, Any]) -> Mapping[str, Any]:
    """An evaluation of an older version, which called the mean of the first reward pass@1, whatever it was."""
    if "pass@1" not in evaluation:
        return evaluation
    found = {"": evaluation["pass@1"], "greedy_": evaluation.get("greedy")}
    what = "accuracy" if all(x is None or 0 <= x <= 1 for x in found.values()) else "reward"
    return {prefix + what: x for prefix, x in found.items()}


def has_verdicts(metrics: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the first reward is a verdict of 0 or 1 wherever it is scored, so that its mean is an accuracy."""
    scored = [step["accuracy"] for step in metrics if step["accuracy"] is not None or step.get("reward") is not None]
    return bool(scored) and all(x is not None and 0 <= x <= 1 for x in scored)


def curve(values: Sequence[float | None], window: int = 5) -> Any:
    """Values of steps, each averaged with the up to `window - 1` before it; NaN where all of these are None."""
    x = np.array(values, np.float64)  # None becomes NaN
    windows = [x[max(0, k - window) : k] for k in range(1, len(x) + 1)]
    return np.array([np.mean(some) if len(some := w[np.isfinite(w)]) else np.nan for w in windows])


def mean_known(values: Sequence[float | None]) -> float | None:
    """The mean of what was measured; None where nothing was."""
    known = [x for x in values if x is not None]
    return float(np.mean(known)) if known else None


def first_reaching(metrics: Sequence[Mapping[str, Any]], threshold: float) -> Mapping[str, Any] | None:
    """The metrics of the first step at which the averaged accuracy reaches a threshold; None where there is none."""
    if not has_verdicts(metrics):
        return None
    reached = np.flatnonzero(curve([step["accuracy"] for step in metrics]) >= threshold)
    return metrics[reached[0]] if len(reached) else None


def as_dicts(items: Iterable[Any]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(item) for item in items]
