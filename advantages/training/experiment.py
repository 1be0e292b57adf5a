"""One run or several, started or taken up again: what `advantages train` does."""

import copy
import dataclasses
import json
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]
from transformers.utils.logging import disable_progress_bar

from ..files import read_lines, write_json
from ..policy.load import load, pick_device
from ..runs.config import Config
from ..runs.measures import first_reaching
from ..runs.record import RunFolder
from ..tasks.chain import TASKS
from ..tasks.files import open_source
from .checkpoint import latest, restore, save
from .distributed import World
from .loop import Training
from .warmup import warm_start

__all__ = ["Outcome", "Stopped", "read_experiment", "run"]

Report = Callable[..., None]


@dataclasses.dataclass
class Outcome:
    """How one run went."""

    estimator: str
    seed: int
    folder: str
    before: float | None
    """Accuracy on held-out problems before reinforcement learning, sampling."""
    after: float | None
    greedy: float | None
    """Accuracy afterwards, taking the likeliest token each time."""
    auc: float
    """Mean accuracy over the steps' samples: how early the curve rises."""
    steps_to_90: int | None
    samples_to_90: int | None
    seconds: float
    accuracies: list[float]


class Stopped(Exception):
    """Somebody asked for a stop; the run was saved."""

    def __init__(self, step: int, signal_number: int) -> None:
        super().__init__(f"stopped after step {step}")
        self.signal_number = signal_number


def read_experiment(folder: Path) -> list[tuple[Path, Config]]:
    """The runs of a folder that `run` has made, with their configurations.

    Raises:
        ValueError: there is none.
    """
    record = folder / "experiment.json"
    if not record.exists():
        raise ValueError(f"train: {folder} holds no run that could be resumed; pass the folder of one")
    runs = json.loads(record.read_text())["runs"]
    return [(folder / one["folder"], Config.from_dict(one["config"], record)) for one in runs]


def run(runs: Sequence[tuple[Path, Config]], folder: Path, report: Report) -> list[Outcome]:
    """Run every configuration that is not finished; those of one seed and task share their supervised start.

    Args:
        runs: each one's folder and configuration, in this order.
        folder: of the experiment.
        report: called with what is being done, for a progress display.

    Raises:
        Stopped: after a SIGINT or SIGTERM, when the step is done and saved.
        TypeError, ValueError: a run cannot work.
    """
    disable_progress_bar()
    disable_progress_bars()
    device = pick_device(runs[0][1].device)
    world = World(device=device, precision=runs[0][1].precision)

    def record() -> None:
        """Called when a run could be made: what fails before leaves no folder behind."""
        folder.mkdir(parents=True, exist_ok=True)
        parts = [{"folder": str(path.relative_to(folder)), "config": dataclasses.asdict(c)} for path, c in runs]
        write_json(folder / "experiment.json", {"runs": parts})

    starts: dict[Any, Any] = {}
    outcomes = []
    with _stop_signals() as stop:
        for path, config in runs:
            disk = RunFolder(path)
            if not disk.finished:
                _run_one(config, disk, world, starts, report, stop, record)
            world.accelerator.wait_for_everyone()
            outcomes.append(_outcome(config, disk))
            report("done", config=config, outcome=outcomes[-1])
    return outcomes


def _run_one(
    config: Config,
    disk: RunFolder,
    world: World,
    starts: dict[Any, Any],
    report: Report,
    stop: list[int],
    record: Callable[[], None],
) -> None:
    if world.device.type == "cpu":
        torch.set_num_threads(config.threads)
    source = open_source(config)
    checkpoint = latest(disk.checkpoints)
    model, tokenizer = _start(config, world, starts, report, warm=checkpoint is None)
    training = Training(config, model, tokenizer, source, world)
    if world.main:
        record()
        disk.open(config)
    if checkpoint is not None:
        restore(training, checkpoint)
    if world.main:
        disk.cut(training.done)
    problems = source.held_out(config.evaluation)

    def evaluate() -> None:
        if config.evaluation and disk.evaluation(training.done) is None:
            report("evaluate", config=config, step=training.done)
            state = torch.get_rng_state()
            found = training.evaluate(problems)
            torch.set_rng_state(state)
            if world.main:
                disk.log_evaluation({"step": training.done, **found})

    if training.done == 0:
        evaluate()
    while training.done < config.steps:
        metrics = training.step()
        if world.main:
            disk.log(metrics, training.examples)
        report("step", config=config, metrics=metrics)
        stopping = world.any(bool(stop))
        if stopping or training.done % config.save_every == 0 or training.done == config.steps:
            save(training, disk.checkpoints)
        if stopping:
            raise Stopped(training.done, stop[0] if stop else signal.SIGTERM)
    evaluate()
    whole = world.accelerator.get_state_dict(training.model)
    if world.main:
        bare = world.accelerator.unwrap_model(training.model)
        bare.save_pretrained(disk.model, state_dict=whole, safe_serialization=True)
        tokenizer.save_pretrained(disk.model)
        _finish(config, disk)


def _start(config: Config, world: World, starts: dict[Any, Any], report: Report, *, warm: bool) -> tuple[Any, Any]:
    """The model before its first step; a tiny one's supervised start is shared by all runs that have the same."""
    task = TASKS.get(config.task) if config.data is None else None
    if not config.tiny or not warm or task is None:
        return load(config, task, str(world.device))
    key = (config.seed, config.task, config.arch)
    if key not in starts:
        model, tokenizer = load(config, task, str(world.device))
        for phase, step, value in warm_start(model, tokenizer, task, config.seed):
            report("warm start", config=config, phase=phase, step=step, value=value)
        starts[key] = (model, tokenizer)
    model, tokenizer = starts[key]
    return copy.deepcopy(model), tokenizer


def _finish(config: Config, disk: RunFolder) -> None:
    metrics = read_lines(disk.path / "metrics.jsonl")
    reached = first_reaching(metrics, 0.9) or {}
    before, after = (disk.evaluation(step) or {} for step in (0, config.steps))
    outcome = Outcome(
        estimator=config.label,
        seed=config.seed,
        folder=str(disk.path),
        before=before.get("pass@1"),
        after=after.get("pass@1"),
        greedy=after.get("greedy"),
        auc=float(np.mean([step["accuracy"] for step in metrics])),
        steps_to_90=reached.get("step"),
        samples_to_90=reached.get("samples"),
        seconds=sum(step["seconds"] for step in metrics),
        accuracies=[step["accuracy"] for step in metrics],
    )
    write_json(disk.path / "result.json", dataclasses.asdict(outcome))


def _outcome(config: Config, disk: RunFolder) -> Outcome:
    return Outcome(**{**json.loads((disk.path / "result.json").read_text()), "folder": str(disk.path)})


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
