"""One run or several, started or taken up again: what `advantages train` does."""

import copy
import dataclasses
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import torch
from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]
from transformers.utils.logging import disable_progress_bar

from ..files import disk_errors, read_json, read_lines, write_json, writer
from ..policy.load import pick_device
from ..runs.config import Config
from ..runs.inputs import check, fingerprints
from ..runs.measures import first_reaching, has_verdicts, mean_known
from ..runs.record import RunFolder, config_from, read_record, read_runs
from ..tasks.chain import TASKS
from .checkpoint import check_finite, checkpoints, read_facts, restore, save, tensor_errors
from .distributed import Distributed
from .events import Done, Evaluating, Note, Outcome, Report, Step, WarmStart
from .loop import Training
from .scoring import apart
from .start import load, open_source
from .warmup import warm_start

__all__ = ["Stopped", "processes", "read_experiment", "run"]


class Stopped(Exception):
    """Somebody asked for a stop; the run was saved."""

    def __init__(self, step: int, signal_number: int) -> None:
        super().__init__(f"stopped after step {step}")
        self.signal_number = signal_number


def processes(config: Config) -> Distributed:
    """The processes that train together, as a configuration wants them.

    Raises:
        ValueError: the device is not there.
    """
    return Distributed(device=pick_device(config.device), precision=config.precision)


def read_experiment(folder: Path) -> list[tuple[str, Config]]:
    """The runs of a folder that `run` has made: the folder of each in it, and its configuration.

    Raises:
        ValueError: there is none, its record is damaged, or a file that the runs read is not what it was.
    """
    record = folder / "experiment.json"
    if not record.exists():
        several = folder.resolve().parent if (folder.resolve().parent / "experiment.json").exists() else None
        raise ValueError(
            f"{folder} holds no run that could be resumed; pass the folder of one"
            + (f", such as {several}, which holds this one and others" if several else "")
        )
    about = read_json(record)
    runs = [
        (one["folder"], config_from(one.get("config", {}), record, about.get("version"))) for one in read_runs(record)
    ]
    check(about.get("files", {}), folder, [config for _, config in runs])
    return runs


def run(
    runs: Sequence[tuple[Path, Config]], folder: Path, report: Report, world: Distributed | None = None
) -> list[Outcome]:
    """Run every configuration that is not finished; those of one seed and task share their supervised start.

    Args:
        runs: each one's folder and configuration, in this order.
        folder: of the experiment, which the caller holds.
        report: told of each event, for a progress display.
        world: the processes; by default, those that there are.

    Raises:
        Stopped: after a SIGINT or SIGTERM, when the step is done and saved.
        TypeError, ValueError: a run cannot work.
    """
    disable_progress_bar()
    disable_progress_bars()
    world = world or processes(runs[0][1])
    files = world.on_main(lambda: fingerprints(config for _, config in runs))

    def record(disk: RunFolder, config: Config) -> None:
        """Called when a run could be made: what fails before leaves no folder behind."""
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        parts = [{"folder": str(path.relative_to(folder)), "config": dataclasses.asdict(c)} for path, c in runs]
        write_json(folder / "experiment.json", {"files": files, "runs": parts}, sealed=True)
        disk.open(config, files)

    starts: dict[Any, Any] = {}
    outcomes = []
    with _stop_signals() as stop:
        for path, config in runs:
            disk = RunFolder(path)
            if not world.on_main(lambda disk=disk: disk.finished):  # type: ignore[misc]
                _run_one(config, disk, world, starts, report, stop, record)
            world.accelerator.wait_for_everyone()
            outcomes.append(_outcome(config, disk))
            report(Done(config, outcomes[-1]))
    return outcomes


def _run_one(
    config: Config,
    disk: RunFolder,
    world: Distributed,
    starts: dict[Any, Any],
    report: Report,
    stop: list[int],
    record: Callable[[RunFolder, Config], None],
) -> None:
    if world.device.type == "cpu":
        torch.set_num_threads(config.threads)
    source = open_source(config)
    checkpoint, records, notes = world.on_main(lambda: _resume_point(config, disk))
    for note in notes:
        report(Note(config, note))
    model, tokenizer = _start(config, world, starts, report, warm=checkpoint is None)
    training = Training(config, model, tokenizer, source, world)
    world.on_main(lambda: record(disk, config))
    if checkpoint is not None:
        restore(training, checkpoint)
    world.on_main(lambda: disk.cut(training.done, records))
    problems = source.held_out(config.evaluation)

    def evaluate() -> None:
        if problems and disk.evaluation(training.done) is None:
            report(Evaluating(config, training.done, len(problems)))
            with apart(world.device):
                found = training.evaluate(problems)
            if world.main:
                disk.log_evaluation({"step": training.done, **found})

    if training.done == 0:
        evaluate()
    while training.done < config.steps:
        metrics = training.step()
        if world.main:
            disk.log(metrics, training.examples)
        report(Step(config, metrics))
        training.check_scored()
        stopping = world.any(bool(stop))
        if stopping or training.done % config.save_every == 0 or training.done == config.steps:
            save(training, disk.checkpoints, keep=config.keep, records=disk.marks)
        if stopping:
            raise Stopped(training.done, stop[0] if stop else signal.SIGTERM)
    evaluate()
    whole = world.accelerator.get_state_dict(training.model)

    def export() -> None:
        check_finite(whole, f"after step {training.done}")
        bare = world.accelerator.unwrap_model(training.model)
        with tensor_errors(disk.model):
            bare.save_pretrained(disk.model, state_dict=whole, safe_serialization=True)
            tokenizer.save_pretrained(disk.model)
        _finish(config, disk)

    world.on_main(export)


class _ResumePoint(NamedTuple):
    """Where a run goes on."""

    checkpoint: Path | None
    """None: at the start."""
    records: Mapping[str, Any]
    """Marks of the records at that checkpoint."""
    notes: list[str]
    """What else should be said."""


def _resume_point(config: Config, disk: RunFolder) -> _ResumePoint:
    """The last checkpoint that is whole, and that the records go with.

    Raises:
        ValueError: there were checkpoints, and none can be used.
    """
    notes = [
        f"{path} is no checkpoint, and is left alone"
        for path in sorted(disk.checkpoints.glob("*"))
        if path not in checkpoints(disk.checkpoints) and path.suffix not in (".partial", ".replaced")
    ]
    if (disk.path / "result.json").exists():
        notes.append(f"{disk.path / 'result.json'} is damaged, and is written again")
    reasons: list[str] = []
    for checkpoint in checkpoints(disk.checkpoints):
        try:
            facts = read_facts(checkpoint)
            disk.check(facts.get("records", {}))
        except ValueError as error:
            reasons.append(str(error))
            continue
        if reasons:
            notes.append(f"{'; '.join(dict.fromkeys(reasons))}; going on from {checkpoint}")
        return _ResumePoint(checkpoint, facts.get("records", {}), notes)
    if reasons:
        raise ValueError(
            f"{'; '.join(dict.fromkeys(reasons))}; no other checkpoint can be used: restore what was damaged, or "
            "start another run"
        )
    if disk.recorded() > config.save_every:
        raise ValueError(
            f"{disk.checkpoints} holds no checkpoint, but {disk.path / 'metrics.jsonl'} has "
            f"{disk.recorded()} steps; restore the checkpoints, or start another run"
        )
    return _ResumePoint(None, {}, notes)


def _start(
    config: Config, world: Distributed, starts: dict[Any, Any], report: Report, *, warm: bool
) -> tuple[Any, Any]:
    """The model before its first step; a tiny one's supervised start is shared by all runs that have the same."""
    task = TASKS.get(config.task) if config.data is None else None
    if not config.tiny or not warm or task is None:
        return load(config, task, str(world.device))
    key = (config.seed, config.task, config.arch)
    if key not in starts:
        model, tokenizer = load(config, task, str(world.device))
        for phase, step, value in warm_start(model, tokenizer, task, config.seed):
            report(WarmStart(config, phase, step, value))
        starts[key] = (model, tokenizer)
    model, tokenizer = starts[key]
    return copy.deepcopy(model), tokenizer


def _finish(config: Config, disk: RunFolder) -> None:
    metrics = read_lines(disk.path / "metrics.jsonl")
    reached = first_reaching(metrics, 0.9) or {}
    outcome = Outcome(
        estimator=config.label,
        seed=config.seed,
        folder=str(disk.path),
        auc=mean_known([step["accuracy"] for step in metrics]) if has_verdicts(metrics) else None,
        **read_record(disk.path).evaluation,
        steps_to_90=reached.get("step"),
        samples_to_90=reached.get("samples"),
        seconds=sum(step["seconds"] for step in metrics),
        accuracies=[step["accuracy"] for step in metrics],
        rewards=[step["reward"] for step in metrics],
    )
    write_json(disk.path / "result.json", dataclasses.asdict(outcome), sealed=True)


def _outcome(config: Config, disk: RunFolder) -> Outcome:
    found = disk.result() or {}
    version = found.pop("version", None)
    try:
        return Outcome(**{**found, "folder": str(disk.path)})
    except TypeError as error:
        raise ValueError(
            f"{disk.path / 'result.json'} was written by {writer(version)} of rl-advantages ({error}); "
            "remove it, and resume"
        ) from None


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """A list that a first SIGINT or SIGTERM is put into; a second one ends the process at once."""
    caught: list[int] = []

    def catch(number: int, frame: FrameType | None) -> None:
        if caught:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        caught.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before = {number: signal.signal(number, catch) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
