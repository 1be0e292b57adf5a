"""Is a completion right, and which answer does it vote for."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from ..rewards import Exact, Isolated
from ..rewards.answers import Reasoning, find_letter
from ..rewards.mathematics import Grader
from ..rewards.texts import answer_parts, marked, plain

__all__ = ["Grade", "Grading", "Letter", "Marked", "Mathematics", "make_grading", "votes_of"]


class Grade(NamedTuple):
    """The verdict on one completion."""

    right: bool | None
    """None: grading it was cut off, or failed."""
    answer: str | None
    """What was read from it, None where nothing was."""


class Grading(Protocol):
    """How a benchmark's completions are graded."""

    def grade(
        self, completions: Sequence[str], answers: Sequence[str], reasoning: Sequence[Reasoning] | None = None
    ) -> list[Grade]:
        """A verdict per completion, given the expected answers, and how each completion marks its reasoning."""
        ...

    def same(self, one: str, other: str) -> bool:
        """Whether two answers that were read are the same one."""
        ...

    def close(self) -> None:
        """End what grading has started."""
        ...


def make_grading(kind: str) -> Grading:
    """The grading that a benchmark names: "math", "letter" or "marked"."""
    return {"math": Mathematics, "letter": Letter, "marked": Marked}[kind]()


def votes_of(answers: Sequence[str | None], grading: Grading) -> list[int | None]:
    """For each completion of one problem the number of its answer, equal where answers are the same; None: none.

    An answer is compared with the first one of each kind so far, and joins the first kind that it equals. Whether it
    is right plays no part in it.
    """
    kinds: list[str] = []
    numbers: dict[str, int] = {}
    for answer in answers:
        if answer is not None and answer not in numbers:
            found = (number for number, kind in enumerate(kinds) if grading.same(kind, answer))
            numbers[answer] = next(found, len(kinds))
            if numbers[answer] == len(kinds):
                kinds.append(answer)
    return [None if answer is None else numbers[answer] for answer in answers]


class Mathematics:
    """What the reward `math` says, in a process that is killed where it takes too long.

    Args:
        seconds: the longest that grading one completion, or comparing two answers, may take.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        self._grader = Isolated(Grader(), seconds=seconds, per_row=True)

    def grade(
        self, completions: Sequence[str], answers: Sequence[str], reasoning: Sequence[Reasoning] | None = None
    ) -> list[Grade]:
        parts = answer_parts(completions, {"reasoning_tags": reasoning})
        return [Grade(None, None) if row is None else Grade(*row) for row in self._graded(parts, answers)]

    def same(self, one: str, other: str) -> bool:
        (found,) = self._graded([rf"\boxed{{{other}}}"], [one])
        return found is not None and bool(found[0])

    def close(self) -> None:
        self._grader.close()

    def _graded(self, completions: Sequence[str], answers: Sequence[str]) -> list[Any]:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # results count what was not graded
            return self._grader.results(completions=completions, answer=answers)


class Letter:
    """The chosen letter is the expected one."""

    def grade(
        self, completions: Sequence[str], answers: Sequence[str], reasoning: Sequence[Reasoning] | None = None
    ) -> list[Grade]:
        letters = [find_letter(part) for part in answer_parts(completions, {"reasoning_tags": reasoning})]
        return [Grade(letter == answer, letter) for letter, answer in zip(letters, answers, strict=True)]

    def same(self, one: str, other: str) -> bool:
        return one == other

    def close(self) -> None:
        pass


class Marked:
    """The text after the last mark is the expected one."""

    mark = "#"

    def grade(
        self, completions: Sequence[str], answers: Sequence[str], reasoning: Sequence[Reasoning] | None = None
    ) -> list[Grade]:
        marks = {"reasoning_tags": reasoning}
        right = Exact(marker=self.mark, strict=True)(completions=completions, answer=list(answers), **marks)
        texts = [marked(part, self.mark) for part in answer_parts(completions, marks)]
        return [Grade(bool(score), plain(text) if text else None) for score, text in zip(right, texts, strict=True)]

    def same(self, one: str, other: str) -> bool:
        return one == other

    def close(self) -> None:
        pass
