"""Is the answer right, and is the response in form: verifiers that need no library and no patience."""

import re
from dataclasses import dataclass
from typing import Any

from ..core.settings import Text, check_fields
from .answers.letters import expected_letter, find_letter
from .answers.reasoning import Reasoning
from .checks import column
from .texts import answer_parts, marked, plain, text_of

__all__ = ["Exact", "Format", "MultipleChoice"]


@dataclass(frozen=True, kw_only=True)
class Exact:
    """1 where the answer's text is the expected one, else 0; runs of white space count as one space.

    The answer is the first line after the last marker, or the last line where there is no marker, of what follows
    the reasoning (`answer_part`). The expected answer is read alike, but is taken whole where it has no marker. A row
    whose expected answer is None or empty is unscored.

    Args:
        marker: what precedes the answer, such as "####" in GSM8K; None: the answer is the last line.
        strict: a response without the marker is wrong, whatever its last line says.
        ignore_case: compare without regard to case.
        column: column with the expected answers.

    >>> Exact(marker="####")(completions=["2 + 2\\n#### 4", "4", "#### 5"], answer=["so #### 4", "4", "4"])
    [1.0, 1.0, 0.0]
    """

    __name__ = "exact"

    marker: Text | None = None
    strict: bool = False
    ignore_case: bool = False
    column: Text = "answer"

    def __post_init__(self) -> None:
        check_fields(self, self.__name__)
        if self.strict and self.marker is None:
            raise ValueError("exact: strict is True but marker is None; pass the marker that a response must have")

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns that it needs."""
        return (self.column,)

    def __call__(self, *, completions: Any, **columns: Any) -> list[float | None]:
        """One score per completion."""
        expected = column("exact", self.column, columns, len(completions))
        return [
            self._score(response, answer)
            for response, answer in zip(answer_parts(completions, columns), expected, strict=True)
        ]

    def _score(self, response: str, answer: Any) -> float | None:
        answer = "" if answer is None else str(answer)
        found = marked(answer, self.marker)
        right = self._comparable(answer if found is None else found)
        if not right:
            return None
        given = marked(response, self.marker)
        if given is None:
            given = "" if self.strict else next(iter(response.strip().splitlines()[-1:]), "")
        return float(self._comparable(given) == right)

    def _comparable(self, answer: str) -> str:
        return plain(answer.casefold() if self.ignore_case else answer)


@dataclass(frozen=True, kw_only=True)
class MultipleChoice:
    r"""1 where the chosen letter is the expected one, else 0.

    The choice is read from what follows the reasoning, by `answers.find_letter`: the last box, an answer tag, `####`;
    else the last statement that chooses ("the answer is C", "option C is correct"); else a letter that stands alone.
    A response that names none, or two, is wrong. A row whose expected answer is not one letter is unscored.

    Args:
        letters: the letters to choose from, capitals.
        column: column with the expected letters.

    >>> MultipleChoice()(completions=["Answer: C", r"\boxed{\text{B}}", "A or D"], answer=["C", "(B)", "A"])
    [1.0, 1.0, 0.0]
    """

    __name__ = "multiple_choice"

    letters: Text = "ABCD"
    column: Text = "answer"

    def __post_init__(self) -> None:
        check_fields(self, self.__name__)
        if not re.fullmatch("[A-Z]+", self.letters) or len(set(self.letters)) < len(self.letters):
            raise ValueError(f"multiple_choice: letters is {self.letters!r}; pass capital letters, each once")

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns that it needs."""
        return (self.column,)

    def __call__(self, *, completions: Any, **columns: Any) -> list[float | None]:
        """One score per completion."""
        expected = column("multiple_choice", self.column, columns, len(completions))
        rows = zip(answer_parts(completions, columns), expected, strict=True)
        return [self._score(response, expected_letter(str(answer), self.letters)) for response, answer in rows]

    def _score(self, response: str, right: str | None) -> float | None:
        return None if right is None else float(find_letter(response, self.letters) == right)

    def choice(self, response: str) -> str | None:
        """The letter that a response chooses, or None."""
        return find_letter(Reasoning().answer(response), self.letters)


_UNTAGGED = r"(?:(?!</?think>|</?answer>).)*"
_SAID = rf"(?!\s*(?:</?think>|</?answer>|\Z)){_UNTAGGED}"

FORMATS = {
    "think": rf"\s*<think>{_UNTAGGED}</think>{_SAID}",
    "think_opened": rf"{_UNTAGGED}</think>{_SAID}",
    "think_answer": rf"\s*<think>{_UNTAGGED}</think>\s*<answer>{_SAID}</answer>\s*",
}


@dataclass(frozen=True, kw_only=True)
class Format:
    r"""1 where the whole response matches a regular expression, else 0.

    Ready-made ones, each with one pair of tags and an answer that is not blank:

    - "think": `<think>...</think>` and then the answer;
    - "think_opened": the same without `<think>`, which the chat template has put into the prompt;
    - "think_answer": `<think>...</think><answer>...</answer>`.

    Args:
        pattern: name of a ready-made one, or a regular expression, in which a dot also matches line breaks. One that
            may take exponential time belongs into `Isolated(Format(pattern=...), per_row=True)`.

    >>> Format()(completions=["<think>2 or 3?</think>2", "2"])
    [1.0, 0.0]
    >>> Format(pattern=r".*#\d+")(completions=["3+4=7#7", "7"])
    [1.0, 0.0]
    """

    __name__ = "format"
    needs = ()

    pattern: Text = "think"

    def __post_init__(self) -> None:
        check_fields(self, self.__name__)
        try:
            self._compiled()
        except re.error as error:
            raise ValueError(
                f"format: pattern {self.pattern!r} is no regular expression ({error}); "
                f"correct it, or pass one of {', '.join(FORMATS)}"
            ) from None

    def __call__(self, *, completions: Any, **columns: Any) -> list[float | None]:
        """One score per completion."""
        pattern = self._compiled()
        return [float(pattern.fullmatch(text_of(completion)) is not None) for completion in completions]

    def _compiled(self) -> re.Pattern[str]:
        return re.compile(FORMATS.get(self.pattern, self.pattern), re.DOTALL)
