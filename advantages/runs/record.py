"""Runs on disk: what is written while they go on, and what is read off it afterwards.

runs/NAME/              one run, or an experiment with a folder per run and experiment.json
    config.json         every setting, the version that wrote them, and fingerprints of the files that the run reads
    metrics.jsonl       a line per step
    samples.jsonl       a few responses of every step, with their rewards
    evaluations.jsonl   what held-out problems earn, at step 0 and at the end
    checkpoint/step-N/  what is needed to go on
    model/              the trained model, for transformers
    result.json         the run in a few numbers; written last, so that it marks a finished run
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ..files import (
    LOCK,
    append_lines,
    claim,
    claim_free,
    disk_errors,
    flush,
    read_json,
    read_lines,
    sha256,
    whole_lines,
    write_json,
    write_whole,
    writer,
)
from ..version import __version__
from .config import Config

__all__ = [
    "Record",
    "RunFolder",
    "config_from",
    "evaluated",
    "find_runs",
    "new_folder",
    "read_config",
    "read_record",
    "read_runs",
]

RECORDS = ("metrics.jsonl", "samples.jsonl", "evaluations.jsonl")


@contextmanager
def new_folder(root: Path, name: str | None) -> Iterator[Path]:
    """Hold a folder for new runs: `root/name`, or the first free one of `root/run-1`, `root/run-2` ...

    Raises:
        ValueError: the named folder already holds runs, or another process is writing to it.
    """
    if name is None:
        with claim_free(root, "run") as folder:
            yield folder
        return
    with claim(root / name) as folder:
        if any(file.name != LOCK for file in folder.iterdir()):
            raise ValueError(
                f"{folder} already holds a run; pass another --name, or --resume {folder} to go on with it"
            )
        yield folder


class RunFolder:
    """One run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoint"
        self.model = path / "model"

    @property
    def finished(self) -> bool:
        return self.result() is not None

    def result(self) -> dict[str, Any] | None:
        """The run in a few numbers; None where it is not finished, or where the file is damaged."""
        try:
            return read_json(self.path / "result.json")
        except ValueError:
            return None

    def open(self, config: Config, files: Mapping[str, str] | None = None) -> None:
        """Make the folder, or take it up again.

        Args:
            files: fingerprints of what the run reads, for the record.

        Raises:
            ValueError: it belongs to another configuration.
        """
        file = self.path / "config.json"
        if file.exists():
            found = read_config(file)
            for field in dataclasses.fields(Config):
                was, now = getattr(found, field.name), getattr(config, field.name)
                if was != now:
                    raise ValueError(
                        f"{self.path} was started with {field.name}={was!r} but now it is {now!r}; "
                        "resume it as it was, or start another run"
                    )
            return
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        write_json(file, {**dataclasses.asdict(config), "files": dict(files or {})}, sealed=True)

    def log(self, metrics: Mapping[str, Any], samples: Sequence[Mapping[str, Any]]) -> None:
        append_lines(self.path / "metrics.jsonl", [json.dumps(metrics) + "\n"])
        if samples:
            append_lines(self.path / "samples.jsonl", [json.dumps(sample) + "\n" for sample in samples])

    def log_evaluation(self, evaluation: Mapping[str, Any]) -> None:
        append_lines(self.path / "evaluations.jsonl", [json.dumps(evaluation) + "\n"])

    def evaluation(self, step: int) -> dict[str, Any] | None:
        """What was measured at a step, if it was."""
        found = read_lines(self.path / "evaluations.jsonl")
        return next((line for line in found if line.get("step") == step), None)

    def marks(self) -> dict[str, tuple[int, str]]:
        """Length in bytes and SHA-256 of each record, which is on the disk when this returns."""
        found = {}
        for file in (self.path / name for name in RECORDS):
            if file.exists():
                with disk_errors(file):
                    flush(file)
                found[file.name] = (file.stat().st_size, sha256(file))
        return found

    def check(self, marks: Mapping[str, Sequence[Any]]) -> None:
        """Refuse records that do not start as they were when `marks` was made.

        Raises:
            ValueError: one was changed, or lacks lines; the message names it.
        """
        for name, (length, digest) in marks.items():
            file = self.path / name
            content = file.read_bytes()[:length] if file.exists() else b""
            if len(content) < length:
                raise ValueError(f"{file} has lost lines: it had {length} bytes, and has {len(content)}")
            if hashlib.sha256(content).hexdigest() != digest:
                raise ValueError(f"{file} was changed")

    def cut(self, steps: int, marks: Mapping[str, Sequence[Any]] | None = None) -> None:
        """Drop what was recorded after a step, since later steps are taken again.

        Args:
            marks: of that step, where its checkpoint has them; without, the lines are read.

        Raises:
            ValueError: what was recorded until then is not whole; the message names the file, and its line.
        """
        if marks:
            for name in RECORDS:
                file, length = self.path / name, marks.get(name, (0, ""))[0]
                if file.exists() and file.stat().st_size > length:
                    with disk_errors(file):
                        os.truncate(file, length)
            return
        advice = "restore it, or start another run"
        for name in RECORDS:
            file, damaged = self.path / name, 0
            kept: list[tuple[int, bytes]] = []
            for number, line in enumerate(whole_lines(file), 1):
                step = _step_of(line)
                if step is None:
                    damaged = damaged or number
                elif step <= steps and damaged:
                    raise ValueError(f"{file} line {damaged} is damaged; {advice}")
                elif step <= steps:
                    kept.append((step, line))
            if name == "metrics.jsonl":
                for number in range(1, max(steps, len(kept)) + 1):
                    if number > min(steps, len(kept)) or kept[number - 1][0] != number:
                        raise ValueError(f"{file} line {number} is not of step {number}; {advice}")
            if name == "samples.jsonl" and steps and file.exists() and (not kept or kept[-1][0] != steps):
                raise ValueError(f"{file} has lost lines: it has none of step {steps}; {advice}")
            content = b"".join(line for _, line in kept)
            if file.exists() and file.read_bytes() != content:
                write_whole(file, content.decode())

    def recorded(self) -> int:
        """The last step that was recorded."""
        return max((_step_of(line) or 0 for line in whole_lines(self.path / "metrics.jsonl")), default=0)


def _step_of(line: bytes) -> int | None:
    """The step that a line is about; None where it is damaged."""
    try:
        step = json.loads(line)["step"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    return step if type(step) is int else None


def read_config(file: Path) -> Config:
    """The settings that a run was started with.

    Raises:
        ValueError: the file is damaged, or of another version of this package.
    """
    found = read_json(file)
    found.pop("files", None)
    return config_from(found, file, found.pop("version", None))


def config_from(settings: Mapping[str, Any], where: Path, version: str | None) -> Config:
    """Settings as `dataclasses.asdict` gives them.

    Args:
        where: they were found, for the message.
        version: of this package that wrote them; None for those that did not say.

    Raises:
        ValueError: they do not fit this version.
    """
    try:
        return Config(**settings)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{where} was written by {writer(version)} of rl-advantages, but this is {__version__} ({error}); "
            "use that version, or start another run"
        ) from None


def read_runs(record: Path) -> list[dict[str, Any]]:
    """The entries of an `experiment.json`, each with the run's folder.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        runs = read_json(record)["runs"]
        for one in runs:
            record.parent / one["folder"]
    except (KeyError, TypeError):
        raise ValueError(f"{record} is damaged (it names no runs); restore it") from None
    return list(runs)


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
    found = [record.parent / run["folder"] for record in records for run in read_runs(record)]
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
    config, disk = read_config(path / "config.json"), RunFolder(path)
    try:
        metrics, samples = (read_lines(path / name) for name in ("metrics.jsonl", "samples.jsonl"))
        before, after = (disk.evaluation(step) or {} for step in (0, config.steps))
    except ValueError as error:
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


def as_dicts(items: Iterable[Any]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(item) for item in items]
