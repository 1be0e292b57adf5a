"""Is a mathematical answer equal to the expected one, however it is written: math-verify, with a deadline."""

import functools
import logging
from dataclasses import dataclass
from typing import Any

from .checks import column, flag, installed, text
from .isolated import Isolated
from .texts import answer_part, marked, text_of

__all__ = ["Grader", "Math", "UnreadableAnswerError"]


class UnreadableAnswerError(ValueError):
    """The expected answer of a row is not mathematics."""


@dataclass(frozen=True, kw_only=True)
class Math:
    r"""1 where math-verify finds the answer equal to the expected one, else 0.

    It understands boxed answers, fractions, decimals, percentages, units, sets, intervals, matrices and equations.
    What follows the reasoning (`answer_part`) is graded, and in it the last answer that is boxed or called final,
    else the last one; a response from which none can be read is wrong. An expected answer is LaTeX with or without
    its dollars, and is parsed once. A row whose expected answer is None is unscored, and so is, with a warning, one
    whose expected answer cannot be parsed, or whose grading takes too long (`9^{9^{9^9}}`), since nobody knows
    whether that response is right.

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

    marker: str | None = "####"
    strict: bool = False
    seconds: float = 10.0
    workers: int = 1
    column: str = "answer"

    def __post_init__(self) -> None:
        installed("math", "math_verify", "math-verify")
        text("math", "marker", self.marker, optional=True)
        flag("math", "strict", self.strict)
        text("math", "column", self.column)
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
        graded = self._isolated(
            completions=[answer_part(text_of(completions[row])) for row in rows],
            answer=[self._expected(str(expected[row])) for row in rows],
        )
        for row, score in zip(rows, graded, strict=True):
            scores[row] = score
        return scores

    def _expected(self, answer: str) -> str:
        found = marked(answer, self.marker)
        return answer if found is None else found


@dataclass(frozen=True, kw_only=True)
class Grader:
    """What a worker process does for `Math`."""

    __name__ = "math"

    strict: bool

    def prepare(self) -> None:
        """Import math-verify, so that the time this takes is not the first response's."""
        import math_verify

        logging.getLogger(math_verify.__name__).setLevel(logging.ERROR)  # it warns of being without a time limit

    def __call__(self, *, completions: list[str], answer: list[str]) -> list[float]:
        """One score per completion.

        Raises:
            UnreadableAnswerError: an expected answer is not mathematics.
        """
        return [self.score(*row) for row in zip(completions, answer, strict=True)]

    def score(self, response: str, answer: str) -> float:
        """1 where the answer that is read from a response equals the expected one, else 0."""
        from math_verify import verify

        return float(verify(self.expected(answer), self.read(response), timeout_seconds=None))

    def expected(self, answer: str) -> list[Any]:
        """An expected answer as math-verify reads it.

        Raises:
            UnreadableAnswerError: it is not mathematics.
        """
        return _parsed(answer)

    def read(self, response: str) -> list[Any]:
        """The answer of a response as math-verify reads it: the expression, and its text; none where it finds none."""
        from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

        latex = LatexExtractionConfig(boxed_match_priority=0, try_extract_without_anchor=not self.strict)
        return list(parse(response, [latex] if self.strict else [latex, ExprExtractionConfig()], parsing_timeout=0))


@functools.lru_cache(4096)
def _parsed(answer: str) -> list[Any]:
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    # Undelimited LaTeX would be searched for numbers: 10^{5} would be read as 10.
    delimited = answer.count("$") > 1 or any(sign in answer for sign in (r"\boxed", r"\(", r"\["))
    found = parse(
        answer if delimited else rf"\boxed{{{answer}}}",
        [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()],
        parsing_timeout=0,
    )
    if all(isinstance(form, str) for form in found):
        raise UnreadableAnswerError(f"the expected answer {answer!r} cannot be parsed")
    return list(found)
