"""Procedural problems with verifiable answers, and demonstrators with more and less useful habits."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from .problem import HELD_OUT, Problem

__all__ = ["TASKS", "ChainTask", "Procedural"]


@dataclasses.dataclass(frozen=True)
class ChainTask:
    """Sum digits modulo ten: `3+4+7+5=`, answered by `3+4=7,7+7=4,4+5=9#9`.

    A demonstrator has habits: it guesses (`#9`), notes sloppy partial sums (`7,4,9#9`), or works step by step. A model
    that imitates it can then be taught, by reward alone, which of its own habits pays.
    """

    numbers: int = 4
    guesses: float = 0.5
    sums: float = 0.35
    """Shares of the demonstrations; the rest is worked."""
    sloppiness: float = 0.3
    """How often a step of partial sums is wrong."""
    slips: float = 0.05
    """How often a worked step is wrong."""
    slip_by_one: bool = False
    """Whether a worked step is wrong by one more, always, or by anything."""

    alphabet: ClassVar[str] = "0123456789+=,#"

    @property
    def longest(self) -> int:
        """Characters of a worked solution, the end of the text included."""
        return 6 * (self.numbers - 1) + 2

    def problem(self, rng: Any) -> Problem:
        digits = rng.integers(0, 10, self.numbers).tolist()
        total = sum(digits) % 10
        return Problem("+".join(map(str, digits)) + "=", str(total), self._work(rng, digits, slips=0.0))

    def demonstration(self, rng: Any, problem: Problem) -> str:
        """What the demonstrator writes after the prompt."""
        digits = [int(digit) for digit in problem.prompt[:-1].split("+")]
        habit = rng.random()
        if habit < self.guesses:
            return f"#{rng.integers(0, 10)}"
        if habit < self.guesses + self.sums:
            return self._sum(rng, digits)
        return self._work(rng, digits, slips=self.slips)

    def _sum(self, rng: Any, digits: list[int]) -> str:
        total, notes = digits[0], []
        for digit in digits[1:]:
            total = int(rng.integers(0, 10)) if rng.random() < self.sloppiness else (total + digit) % 10
            notes.append(str(total))
        return ",".join(notes) + f"#{total}"

    def _work(self, rng: Any, digits: list[int], *, slips: float) -> str:
        total, steps = digits[0], []
        for digit in digits[1:]:
            right = (total + digit) % 10
            result = right
            if rng.random() < slips:
                result = (right + 1) % 10 if self.slip_by_one else int(rng.integers(0, 10))
            steps.append(f"{total}+{digit}={result}")
            total = result
        return ",".join(steps) + f"#{total}"


TASKS: Mapping[str, ChainTask] = {
    "chain": ChainTask(),
    "chain-rare": ChainTask(guesses=0.96, sums=0.0),
    "chain-sharpen": ChainTask(guesses=0.0, sums=0.0, slips=0.35),
    "chain-wrong": ChainTask(numbers=3, guesses=0.0, sums=0.0, slips=0.62, slip_by_one=True),
}


class Procedural:
    """New problems of a task, drawn from a seed."""

    remarks: tuple[str, ...] = ()

    def __init__(self, task: ChainTask, seed: int) -> None:
        self.task, self.seed = task, seed
        self._rng = np.random.default_rng([seed, 1])

    def draw(self, count: int) -> list[Problem]:
        return [self.task.problem(self._rng) for _ in range(count)]

    def held_out(self, count: int | None = None) -> list[Problem]:
        rng = np.random.default_rng([self.seed, 2])
        return [self.task.problem(rng) for _ in range(HELD_OUT if count is None else count)]

    def state(self) -> dict[str, Any]:
        return {"rng": self._rng.bit_generator.state}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._rng.bit_generator.state = state["rng"]
