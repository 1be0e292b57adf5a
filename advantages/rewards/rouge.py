"""ROUGE-L (Lin, 2004): how much of a reference solution a response retraces, word by word, in order."""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ..core.settings import Text, check_fields
from .checks import column, installed
from .texts import reasoning_part, text_of

__all__ = ["Rouge", "RougeL", "rouge_l"]


class Rouge(NamedTuple):
    """Share of the response's words, and of the reference's, in the longest common subsequence; harmonic mean."""

    precision: float
    recall: float
    f1: float


def rouge_l(reference: str, response: str, *, stemmer: bool = False) -> Rouge:
    """ROUGE-L of two texts, equal to the rouge-score package's, hundreds of times faster on long texts.

        precision = lcs / words of the response,    recall = lcs / words of the reference

    Words are runs of a-z and 0-9 in lower case; letters of other scripts separate words, as in ROUGE-1.5.5.

    Args:
        reference: the solution to retrace.
        response: the text to score.
        stemmer: strip endings of words longer than three letters (Porter); needs the rouge-score package.

    >>> rouge_l("add 3 and 4", "3 and 4 make 7")
    Rouge(precision=0.6, recall=0.75, f1=0.6666666666666665)
    """
    return _score(_words(reference, stemmer), _words(response, stemmer))


def _words(text: str, stemmer: bool) -> list[str]:
    words = re.findall("[a-z0-9]+", text.lower())
    return [stem for word in words for stem in _stems(word)] if stemmer else words


@functools.cache
def _tokenizer() -> Any:
    from rouge_score.tokenizers import DefaultTokenizer

    return DefaultTokenizer(use_stemmer=True)


@functools.lru_cache(65_536)
def _stems(word: str) -> tuple[str, ...]:
    return tuple(_tokenizer().tokenize(word))


def _score(reference: Sequence[str], response: Sequence[str]) -> Rouge:
    from rapidfuzz.distance import LCSseq

    if not reference or not response:
        return Rouge(0.0, 0.0, 0.0)
    common = LCSseq.similarity(reference, response)
    precision, recall = common / len(response), common / len(reference)
    return Rouge(precision, recall, 2 * precision * recall / (precision + recall) if common else 0.0)


@dataclass(frozen=True, kw_only=True)
class RougeL:
    """ROUGE-L of a response against its reference solution, between 0 and 1.

    Here LamPO's dense auxiliary reward (arXiv:2605.21235, withdrawn; its coefficient lambda_sem is the weight). A row
    whose solution has no words is unscored: name the component in `optional` of `Rewards` where only some prompts
    have solutions.

    Args:
        measure: "f1", "precision" or "recall".
        part: "reasoning" compares what precedes the answer on both sides (`reasoning_part`); "whole" compares all.
        marker: what precedes the answer where there are no think tags, such as "####".
        stemmer: strip endings of words, as rouge-score can.
        column: column with the reference solutions.

    Raises:
        ImportError: rapidfuzz is not installed, or, for the stemmer, rouge-score.

    >>> reward = RougeL(marker="#", measure="recall")
    >>> reward(completions=["3 + 4 = 7 # 7", "it is # 7"], solution=["3 + 4 = 7 # 7"] * 2)
    [1.0, 0.0]
    """

    __name__ = "rouge_l"

    measure: Literal["precision", "recall", "f1"] = "f1"
    part: Literal["reasoning", "whole"] = "reasoning"
    marker: Text | None = None
    stemmer: bool = False
    column: Text = "solution"

    def __post_init__(self) -> None:
        installed("rouge_l", "rapidfuzz", "rapidfuzz")
        check_fields(self, self.__name__)
        if self.stemmer:
            installed("rouge_l", "rouge_score", "rouge-score")

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns that it needs."""
        return (self.column,)

    def __call__(self, *, completions: Any, **columns: Any) -> list[float | None]:
        """One score per completion."""
        solutions = column("rouge_l", self.column, columns, len(completions))
        for row, solution in enumerate(solutions):
            if not isinstance(solution, str | None):
                raise TypeError(f"rouge_l: the solution of response {row} is a {type(solution).__name__}; pass a text")
        references = {solution: self._words(solution) for solution in set(solutions) if solution is not None}
        return [
            float(getattr(_score(references[solution], self._words(text_of(completion))), self.measure))
            if references.get(solution)
            else None
            for completion, solution in zip(completions, solutions, strict=True)
        ]

    def _words(self, whole: str) -> list[str]:
        return _words(whole if self.part == "whole" else reasoning_part(whole, self.marker), self.stemmer)
