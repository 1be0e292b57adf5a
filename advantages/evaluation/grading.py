"""Is a completion right, and which answer does it vote for."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from ..rewards import Exact, Isolated, MultipleChoice, answer_part
from ..rewards.mathematics import Grader, UnreadableAnswerError
from ..rewards.texts import marked, plain

__all__ = ["Grade", "Grading", "Letter", "Marked", "Mathematics", "make_grading", "votes_of"]


class Grade(NamedTuple):
    """The verdict on one completion."""

    right: bool | None
    """None: grading it was cut off, or failed."""
    answer: str | None
    """What was read from it, None where nothing was."""


class Grading(Protocol):
    """How a benchmark's completions are graded."""

    def grade(self, completions: Sequence[str], answers: Sequence[str]) -> list[Grade]:
        """A verdict per completion, given the expected answers."""
        ...

    def same(self, one: str, other: str) -> bool:
        """Whether two answers that were read are the same one."""
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
    """Equality by math-verify, or of the texts, in a process that is killed where it takes too long.

    Args:
        seconds: the longest that grading one completion, or comparing two answers, may take.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        self._reader = Isolated(Reader(), seconds=seconds, per_row=True)

    def grade(self, completions: Sequence[str], answers: Sequence[str]) -> list[Grade]:
        found = self._read([answer_part(completion) for completion in completions], answers)
        return [Grade(None, None) if row is None else Grade(*row) for row in found]

    def same(self, one: str, other: str) -> bool:
        (found,) = self._read([rf"\boxed{{{other}}}"], [one])
        return found is not None and bool(found[0])

    def _read(self, completions: Sequence[str], answers: Sequence[str]) -> list[Any]:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # results count what was not graded
            return self._reader.results(completions=completions, answer=answers)


@dataclass(frozen=True)
class Reader:
    """What the worker process does for `Mathematics`."""

    __name__ = "math"

    def prepare(self) -> None:
        """Import math-verify, so that the time this takes is not the first completion's."""
        Grader(strict=False).prepare()

    def __call__(self, *, completions: list[str], answer: list[str]) -> list[tuple[bool, str | None]]:
        """Whether each completion is right, and the answer that was read from it."""
        return [self._read(*row) for row in zip(completions, answer, strict=True)]

    def _read(self, completion: str, expected: str) -> tuple[bool, str | None]:
        from math_verify import verify

        grader = Grader(strict=False)
        forms = grader.read(completion)
        if not forms:
            return False, None
        text = next((form for form in reversed(forms) if isinstance(form, str)), str(forms[0]))
        if bare(text) == bare(expected) != "":  # "Evelyn" is a name, and no product of six variables
            return True, text
        try:
            return bool(verify(grader.expected(expected), forms, timeout_seconds=None)), text
        except UnreadableAnswerError:
            return False, text


class Letter:
    """The chosen letter is the expected one."""

    _choice = MultipleChoice()

    def grade(self, completions: Sequence[str], answers: Sequence[str]) -> list[Grade]:
        letters = [self._choice.choice(completion) for completion in completions]
        return [Grade(letter == answer, letter) for letter, answer in zip(letters, answers, strict=True)]

    def same(self, one: str, other: str) -> bool:
        return one == other


class Marked:
    """The text after the last mark is the expected one."""

    mark = "#"

    def grade(self, completions: Sequence[str], answers: Sequence[str]) -> list[Grade]:
        right = Exact(marker=self.mark, strict=True)(completions=completions, answer=list(answers))
        texts = [marked(answer_part(completion), self.mark) for completion in completions]
        return [Grade(bool(score), plain(text) if text else None) for score, text in zip(right, texts, strict=True)]

    def same(self, one: str, other: str) -> bool:
        return one == other


def bare(text: str) -> str:
    r"""A text answer without dress: no `\text{}`, white space, dollars, final dot or capitals.

    >>> bare(r"$\text{Evelyn}$."), bare(r"\mathrm{ evelyn }")
    ('evelyn', 'evelyn')
    """
    text = re.sub(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}", r"\1", text)
    return re.sub(r"[\s$]|\\[,;!: ]|\.$", "", text.strip()).casefold()
