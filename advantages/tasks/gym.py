"""Problems of reasoning-gym's generators, and their own verifiers."""

import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from .problem import HELD_OUT, Problem

__all__ = ["GymReward", "ReasoningGym"]

_TRAINING = 1_000_003
"""Items of the training start at this times (seed + 1), beyond those that are held out."""
_ATTEMPTS = 1_000
"""Items without a new problem, one after the other, that say that a generator has no more."""


class ReasoningGym:
    """Problems of one of reasoning-gym's generators, each one once, and none that is held out.

    Item i of a data set is made from seed + i, and two items may be the same problem: an item whose question was
    asked or is held out is passed over. Where a generator has no new ones left, it starts over.

    Args:
        name: of the generator.
        seed: of its problems.
        held_out: how many are held out; None: `HELD_OUT`.

    Raises:
        ValueError: reasoning-gym is not installed, or has no such generator.
    """

    remarks: tuple[str, ...] = ()

    def __init__(self, name: str, seed: int, held_out: int | None = None) -> None:
        try:
            import reasoning_gym
        except ImportError:
            raise ValueError("this task needs reasoning-gym; pip install reasoning-gym") from None
        from reasoning_gym.factory import DATASETS

        if name not in DATASETS:
            raise ValueError(f"reasoning-gym has no generator {name!r}; it has {', '.join(sorted(DATASETS))}")
        self._make = lambda first, count: reasoning_gym.create_dataset(name, seed=first, size=count)
        self.name, self._seed, self._position = name, seed, 0
        aside = HELD_OUT if held_out is None else held_out
        self._held_out = _problems(self._make(seed, aside)) if aside else []
        self._never = {problem.prompt for problem in self._held_out}
        self._asked: set[int] = set()
        self.verifier = self._make(seed, 1)

    def draw(self, count: int) -> list[Problem]:
        """The next problems.

        Raises:
            ValueError: all that the generator makes are held out.
        """
        drawn: list[Problem] = []
        items = self._items(count)
        passed_over = 0
        while len(drawn) < count:
            problem = next(items)
            self._position += 1
            if problem.prompt in self._never or _digest(problem) in self._asked:
                passed_over += 1
                if passed_over == _ATTEMPTS:
                    self._start_over()
                    passed_over = 0
            else:
                passed_over = 0
                self._asked.add(_digest(problem))
                drawn.append(problem)
        return drawn

    def _items(self, count: int) -> Iterator[Problem]:
        while True:
            yield from _problems(self._make(_TRAINING * (self._seed + 1) + self._position, count))

    def _start_over(self) -> None:
        if not self._asked:
            raise ValueError(
                f"all problems that reasoning-gym:{self.name} makes are among the {len(self._held_out)} that are held "
                "out; lower --evaluation"
            )
        self._asked.clear()

    def held_out(self, count: int | None = None) -> list[Problem]:
        return self._held_out[:count]

    def state(self) -> dict[str, Any]:
        return {"position": self._position, "asked": sorted(self._asked)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._position, self._asked = int(state["position"]), set(state.get("asked", ()))


def _problems(entries: Any) -> list[Problem]:
    return [Problem(entry["question"], json.dumps(entry), None) for entry in entries]


def _digest(problem: Problem) -> int:
    """Small enough for a checkpoint; two problems that share one cost one of them its place, and nothing more."""
    return zlib.crc32(problem.prompt.encode())


class GymReward:
    """Reasoning-gym's own verifier: the score of the text in <answer> tags, or of the whole response."""

    needs = ("answer",)

    def __init__(self, source: ReasoningGym) -> None:
        self._verifier = source.verifier

    def __call__(self, *, completions: list[Any], answer: list[str], **columns: Any) -> list[float | None]:
        from reasoning_gym.utils import extract_answer

        texts = [c if isinstance(c, str) else c[-1]["content"] for c in completions]
        return [
            float(self._verifier.score_answer(extract_answer(text) or text.strip(), json.loads(entry)))
            for text, entry in zip(texts, answer, strict=True)
        ]
