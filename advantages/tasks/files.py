"""Where problems come from, in an order that can be stopped and taken up again."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..files import json_lines
from ..runs.config import Config
from .chain import TASKS, ChainTask, Problem

__all__ = ["Files", "Procedural", "ReasoningGym", "Source", "open_source", "read_problems"]


class Source(Protocol):
    """Problems, one after the other; `state` and `restore` make the order resumable."""

    def draw(self, count: int) -> list[Problem]: ...

    def held_out(self, count: int) -> list[Problem]:
        """Problems to measure accuracy on: the same ones whenever they are asked for."""
        ...

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: Mapping[str, Any]) -> None: ...


class Procedural:
    """New problems of a task, drawn from a seed."""

    def __init__(self, task: ChainTask, seed: int) -> None:
        self.task, self.seed = task, seed
        self._rng = np.random.default_rng([seed, 1])

    def draw(self, count: int) -> list[Problem]:
        return [self.task.problem(self._rng) for _ in range(count)]

    def held_out(self, count: int) -> list[Problem]:
        rng = np.random.default_rng([self.seed, 2])
        return [self.task.problem(rng) for _ in range(count)]

    def state(self) -> dict[str, Any]:
        return {"rng": self._rng.bit_generator.state}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._rng.bit_generator.state = state["rng"]


class Files:
    """Problems of a file, in an order that is shuffled anew for each pass; the last ones are held out."""

    def __init__(self, problems: list[Problem], seed: int, held_out: int) -> None:
        self.problems = problems
        order = np.random.default_rng([seed, 2]).permutation(len(problems))
        kept = max(1, len(problems) - held_out)
        self._train = [problems[i] for i in order[:kept]]
        self._held_out = [problems[i] for i in order[kept:]] or self._train
        self._seed, self._position = seed, 0

    def draw(self, count: int) -> list[Problem]:
        return [self._at(self._position + k) for k in range(self._advance(count))]

    def _advance(self, count: int) -> int:
        self._position += count
        return count

    def _at(self, position: int) -> Problem:
        epoch, place = divmod(position, len(self._train))
        return self._train[np.random.default_rng([self._seed, 1, epoch]).permutation(len(self._train))[place]]

    def held_out(self, count: int) -> list[Problem]:
        return self._held_out[:count]

    def state(self) -> dict[str, Any]:
        return {"position": self._position}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._position = int(state["position"])


class ReasoningGym:
    """Problems of one of reasoning-gym's generators, scored by its own verifier."""

    def __init__(self, name: str, seed: int) -> None:
        try:
            import reasoning_gym
        except ImportError:
            raise ValueError("train: this task needs reasoning-gym; pip install reasoning-gym") from None
        from reasoning_gym.factory import DATASETS

        if name not in DATASETS:
            raise ValueError(f"train: reasoning-gym has no generator {name!r}; it has {', '.join(sorted(DATASETS))}")
        self._make = lambda first, count: reasoning_gym.create_dataset(name, seed=first, size=count)
        self._seed, self._position = seed, 0
        self.verifier = self._make(seed, 1)

    def draw(self, count: int) -> list[Problem]:
        self._position += 1
        return self._problems(self._make(1_000_003 * (self._seed + 1) + self._position, count))

    def held_out(self, count: int) -> list[Problem]:
        return self._problems(self._make(self._seed, count)) if count else []

    @staticmethod
    def _problems(entries: Any) -> list[Problem]:
        return [Problem(entry["question"], json.dumps(entry), None) for entry in entries]

    def state(self) -> dict[str, Any]:
        return {"position": self._position}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._position = int(state["position"])


def open_source(config: Config) -> Source:
    """The problems that a configuration names.

    Raises:
        ValueError: there is no such task or file, or a row does not fit.
    """
    if config.data is not None:
        return Files(read_problems(Path(config.data)), config.seed, config.evaluation)
    if config.task in TASKS:
        return Procedural(TASKS[config.task], config.seed)
    kind, _, name = config.task.partition(":")
    if kind == "reasoning-gym" and name:
        return ReasoningGym(name, config.seed)
    raise ValueError(f"train: task is {config.task!r}; pass one of {', '.join(TASKS)}, or reasoning-gym:NAME")


def read_problems(path: Path) -> list[Problem]:
    """Problems of a JSON Lines or Parquet file with columns prompt, answer and, optionally, solution.

    Raises:
        ValueError: there is no such file, it is no such table, or a row lacks something; the message names the line.
    """
    if not path.is_file():
        raise ValueError(f"train: data is {str(path)!r}, but there is no such file")
    rows = _parquet(path) if path.suffix == ".parquet" else json_lines(path)
    problems = [_problem(where, row) for where, row in rows]
    if not problems:
        raise ValueError(f"train: {path} holds no problem; write one JSON object a line")
    return problems


def _parquet(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise ValueError("train: Parquet files need pyarrow; pip install pyarrow") from None
    try:
        rows = parquet.read_table(path).to_pylist()
    except ArrowException as error:
        raise ValueError(f"train: {path} is no Parquet file ({error})") from None
    for number, row in enumerate(rows, 1):
        yield f"{path} row {number}", row


def _problem(where: str, row: Any) -> Problem:
    if not isinstance(row, dict):
        raise ValueError(f"train: {where} is a {type(row).__name__}; write an object with prompt and answer")
    for name in ("prompt", "answer"):
        if row.get(name) is None:
            raise ValueError(f"train: {where} has no {name}, but {', '.join(row) or 'nothing'}; give it one")
    for name in ("prompt", "answer", "solution"):
        if not isinstance(row.get(name, ""), (str, int, float, type(None))) or isinstance(row.get(name), bool):
            raise ValueError(f"train: {where}: {name} is a {type(row[name]).__name__}; pass a text")
    solution = row.get("solution")
    rest = {name: x for name, x in row.items() if name not in ("prompt", "answer", "solution")}
    return Problem(str(row["prompt"]), str(row["answer"]), None if solution is None else str(solution), rest, where)
