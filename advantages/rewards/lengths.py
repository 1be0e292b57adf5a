"""Rewards of length, counted in tokens, never in characters."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from ..core.settings import Count, Finite, Setting, Text, Whole, check_fields
from .checks import column, needs_of, scores_of, taken
from .names import resolve

__all__ = ["CosineLength", "Overlong"]


def _lengths(who: str, name: str, columns: dict[str, Any], rows: int) -> list[int]:
    """Tokens of each response, from a column of counts or of token ids."""
    lengths = []
    for row, entry in enumerate(column(who, name, columns, rows)):
        if isinstance(entry, (str, bytes)) or not (isinstance(entry, Integral) or hasattr(entry, "__len__")):
            raise TypeError(
                f"{who}: column {name!r} has a {type(entry).__name__} for response {row}; "
                "pass the number of its tokens, or their ids"
            )
        lengths.append(int(entry) if isinstance(entry, Integral) else len(entry))
    return lengths


@dataclass(frozen=True, kw_only=True)
class Overlong:
    """The soft overlong punishment of DAPO (Yu et al., 2025, arXiv:2503.14476, equation 13), from 0 down to -1.

        0                                    where l <= max_length - buffer
        (max_length - buffer - l) / buffer   up to max_length
        -1                                   beyond

    It is clipped at -1 however long the response is, and does not depend on its siblings or on other rewards.

    Args:
        max_length: tokens from which on the punishment is full.
        buffer: tokens over which it grows; 0: there is none up to `max_length`.
        column: column with the token ids of each response, as TRL passes them, or with their number.

    >>> Overlong(max_length=100, buffer=20)(completions=["..."] * 4, completion_ids=[80, 90, 100, 9000])
    [0.0, -0.5, -1.0, -1.0]
    """

    __name__ = "overlong"

    max_length: Count
    buffer: Whole
    column: Text = "completion_ids"

    def __post_init__(self) -> None:
        check_fields(self, self.__name__)
        if self.buffer > self.max_length:
            raise ValueError(f"overlong: buffer is {self.buffer} but max_length {self.max_length}; pass a smaller one")

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns that it needs."""
        return (self.column,)

    def __call__(self, *, completions: Any, **columns: Any) -> list[float | None]:
        """One score per completion."""
        return [self._score(length) for length in _lengths("overlong", self.column, columns, len(completions))]

    def _score(self, length: int) -> float:
        free = self.max_length - self.buffer
        if length <= free:
            return 0.0
        return max(-1.0, (free - length) / self.buffer) if self.buffer else -1.0


@dataclass(frozen=True, kw_only=True)
class CosineLength:
    """The cosine reward (Yeo et al., 2025, arXiv:2502.03373): right and short is best, wrong and short is worst.

        end + (start - end) * (1 + cos(pi * l / max_length)) / 2

    with (start, end) = `right` for a right response, `wrong` for a wrong one, and `exceeded` where l >= max_length.
    Defaults are the authors'. It rewards correctness itself, so it stands in the place of the verifier.

    Args:
        verifier: says which responses are right, by a score above 0: a reward function or the name of one. A response
            that it leaves unscored is unscored here.
        max_length: tokens from which on a response has exceeded.
        right: reward of a right response without tokens, and with `max_length`.
        wrong: the same of a wrong one.
        exceeded: reward of a response that long, right or wrong; None: `right` and `wrong` go on at their end.
        column: column with the token ids of each response, or with their number.

    >>> reward = CosineLength(verifier="exact", max_length=100)
    >>> reward(completions=["7", "7", "8", "8"], answer=["7"] * 4, completion_ids=[50, 100, 50, 0])
    [1.5, -10.0, -5.0, -10.0]
    """

    __name__ = "cosine_length"

    verifier: str | Callable[..., Any]
    max_length: Count
    right: tuple[float, float] = (2.0, 1.0)
    wrong: tuple[float, float] = (-10.0, 0.0)
    exceeded: Finite | None = -10.0
    column: Text = "completion_ids"

    def __post_init__(self) -> None:
        if isinstance(self.verifier, str):
            object.__setattr__(self, "verifier", resolve(self.verifier))
        if not callable(self.verifier):
            raise TypeError(f"cosine_length: verifier is a {type(self.verifier).__name__}; pass a reward function")
        check_fields(self, self.__name__)
        for name in ("right", "wrong"):
            ends = getattr(self, name)
            if not isinstance(ends, (tuple, list)) or len(ends) != 2:
                raise TypeError(f"cosine_length: {name} is {ends!r}; pass two numbers, for no tokens and max_length")
            for end in ends:
                Setting(Finite).check_plain(self.__name__, name, end)

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns that it needs, the verifier's included."""
        return (self.column, *needs_of(self._verify))

    @property
    def failures(self) -> dict[str, int]:
        """Responses that the verifier left unscored, by what happened."""
        return getattr(self._verify, "failures", {})

    @property
    def _verify(self) -> Callable[..., Any]:
        return self.verifier  # type: ignore[return-value]  # a name has been resolved

    def __call__(self, *, completions: Any, **columns: Any) -> list[float | None]:
        """One score per completion."""
        lengths = _lengths("cosine_length", self.column, columns, len(completions))
        given = taken(self._verify, {"completions": completions, **columns})
        verdicts = scores_of("cosine_length: the verifier", self._verify(**given), len(completions))
        return [
            None if math.isnan(verdict) else self._score(verdict > 0, length)
            for verdict, length in zip(verdicts, lengths, strict=True)
        ]

    def _score(self, right: bool, length: int) -> float:
        if self.exceeded is not None and length >= self.max_length:
            return float(self.exceeded)
        start, end = self.right if right else self.wrong
        return end + (start - end) * (1 + math.cos(math.pi * min(1.0, length / self.max_length))) / 2
