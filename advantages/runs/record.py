"""Runs on disk: what is written while they go on, and what is read off it afterwards.

runs/NAME/              one run, or an experiment with a folder per run and experiment.json
    config.json         every setting
    metrics.jsonl       a line per step
    samples.jsonl       a few responses of every step, with their rewards
    evaluations.jsonl   accuracy on held-out problems, at step 0 and at the end
    checkpoint/step-N/  what is needed to go on
    model/              the trained model, for transformers
    result.json         the run in a few numbers; written last, so that it marks a finished run
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..files import append_line, read_lines, write_whole
from .config import Config

__all__ = [
    "Record",
    "RunFolder",
    "find_runs",
    "free_folder",
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
    """Held-out accuracy: `before` and `after` training, sampling, and afterwards `greedy`; None where not measured."""
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
    evaluation = {"before": before.get("pass@1"), "after": after.get("pass@1"), "greedy": after.get("greedy")}
    return Record(path, config, metrics, evaluation, samples)


def as_dicts(items: Iterable[Any]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(item) for item in items]
