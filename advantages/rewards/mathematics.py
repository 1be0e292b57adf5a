"""Is a mathematical answer the expected one, however it is written: found, then compared, with a deadline."""

from dataclasses import dataclass
from typing import Any

from ..core.settings import Count, FinitePositive, Text, check_fields
from .answers.compare import equal
from .answers.engine import TooLargeError, UnreadableAnswerError, prepare
from .answers.find import find_answers
from .answers.normalise import same_text
from .checks import column, installed
from .isolated import Isolated
from .texts import answer_parts

__all__ = ["Grader", "Math", "UnreadableAnswerError"]


@dataclass(frozen=True, kw_only=True)
class Math:
    r"""1 where the answer that a response gives is the expected one, else 0.

    The answer is found in what follows the reasoning: the last box, an answer tag, what follows `marker`, or what is
    announced ("the answer is 42"), else a response that is nothing but an answer; there is none in other prose, and
    that is wrong. It may be a number, a quantity, words, a set, an interval, a matrix, an equation or an expression,
    in LaTeX or as typed; see `answers.equal` for what is equal to what. The expected answer is read in the same way.
    A row whose expected answer is None is unscored, and so is, with a warning, one whose expected answer cannot be
    read, or whose grading takes too long, since nobody knows whether that response is right.

    Grading runs in worker processes, see `Isolated`: math-verify's own time limit is a signal, which works in the
    main thread only.

    Args:
        marker: where an expected answer has it, as GSM8K's have "####", what follows it is taken.
        strict: read an answer only from LaTeX that is boxed or announced, as TRL does, not from the last number.
        seconds: the longest that grading one response may take.
        workers: processes that share the responses.
        column: column with the expected answers.

    Raises:
        ImportError: math-verify is not installed.

    >>> reward = Math()
    >>> reward(completions=[r"\boxed{\frac{2}{4}}", "It is $50\\%$.", "3"], answer=["1/2", "0.5", "2"])
    [1.0, 1.0, 0.0]
    """

    __name__ = "math"

    marker: Text | None = "####"
    strict: bool = False
    seconds: FinitePositive = 10.0
    workers: Count = 1
    column: Text = "answer"

    def __post_init__(self) -> None:
        installed("math", "math_verify", "math-verify")
        check_fields(self, self.__name__)
        grader = Isolated(Grader(strict=self.strict), seconds=self.seconds, per_row=True, workers=self.workers)
        object.__setattr__(self, "_grader", grader)

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns that it needs."""
        return (self.column,)

    @property
    def failures(self) -> dict[str, int]:
        """Responses left unscored, by what happened: see `Isolated`."""
        return self._isolated.failures

    @property
    def _isolated(self) -> Isolated:
        grader: Isolated = self.__dict__["_grader"]
        return grader

    def __call__(self, *, completions: Any, **columns: Any) -> list[float | None]:
        """One score per completion."""
        expected = column("math", self.column, columns, len(completions))
        rows = [row for row, answer in enumerate(expected) if answer is not None]
        scores: list[float | None] = [None] * len(expected)
        responses = answer_parts(completions, columns)
        graded = self._isolated.results(
            completions=[responses[row] for row in rows], answer=[str(expected[row]) for row in rows]
        )
        for row, grade in zip(rows, graded, strict=True):
            scores[row] = None if grade is None else float(grade[0])
        return scores


@dataclass(frozen=True, kw_only=True)
class Grader:
    """What a worker process does, for rewards and for evaluation: find the answer, and compare it."""

    __name__ = "math"

    marker: str | None = "####"
    strict: bool = False

    def prepare(self) -> None:
        """Import math-verify, so that the time this takes is not the first response's."""
        prepare()

    def __call__(self, *, completions: list[str], answer: list[str]) -> list[tuple[bool, str | None]]:
        """Whether each response is right, and the answer that was read from it.

        Raises:
            UnreadableAnswerError: an expected answer cannot be read.
        """
        return [self.grade(*row) for row in zip(completions, answer, strict=True)]

    def grade(self, response: str, answer: str) -> tuple[bool, str | None]:
        """Whether what follows the reasoning of a response gives the expected answer; and the answer it gives.

        Raises:
            UnreadableAnswerError: the expected answer cannot be read, and is not repeated letter for letter.
        """
        if not answer.strip():
            raise UnreadableAnswerError(f"the expected answer {answer!r} cannot be parsed: it is empty")
        if not self.strict and response.strip() == answer.strip():
            return True, self._last(find_answers(response, self.marker)) or answer.strip()
        given = find_answers(response, self.marker, strict=self.strict)
        marked = find_answers(answer, self.marker) if self._is_marked(answer) else []
        right = marked[-1] if marked else answer
        for reading in given[:-1]:  # longer readings of its extent count only where nothing is left to interpret
            if same_text(reading) == same_text(right) != "":
                return True, reading
        read = self._last(given)
        try:
            return (equal(right, given[-1]) if given else self._readable(right)), read
        except TooLargeError:
            raise
        except UnreadableAnswerError as error:
            raise UnreadableAnswerError(f"the expected answer {answer!r} cannot be parsed: {error}") from None

    def _is_marked(self, answer: str) -> bool:
        """Whether an expected answer is a worked solution, or boxed; any other is the answer as it stands."""
        return (self.marker is not None and self.marker in answer) or r"\boxed" in answer or r"\fbox" in answer

    def _readable(self, answer: str) -> bool:
        """False: no answer is wrong, if it can be said what were right."""
        return equal(answer, "") if answer.strip() else False

    def _last(self, found: list[str]) -> str | None:
        return found[-1].strip().strip("$").strip() if found else None
