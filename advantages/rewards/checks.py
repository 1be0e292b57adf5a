"""What reward functions share: columns and scores, checked and spoken of in sentences."""

import functools
import importlib.util
import inspect
import math
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = [
    "Ledger",
    "NotStartedError",
    "WrongLengthError",
    "WrongTypeError",
    "column",
    "installed",
    "name_of",
    "needs_of",
    "scores_of",
    "taken",
]

EXTRAS = ("trainer_state", "log_metric", "log_extra")
"""What reward functions get beside lists, as in TRL."""


class WrongLengthError(ValueError):
    """A reward function returned another number of scores than there are responses."""


class WrongTypeError(TypeError):
    """A reward function returned something else than numbers and None."""


class NotStartedError(RuntimeError):
    """The process of an isolated reward function did not start."""


def installed(who: str, library: str, distribution: str) -> None:
    """Let a library pass that can be imported.

    Raises:
        ImportError: it cannot.
    """
    if importlib.util.find_spec(library) is None:
        raise ImportError(f"{who}: needs {distribution}, which is not installed; pip install {distribution}")


def column(who: str, name: str, columns: Mapping[str, Any], rows: int) -> Sequence[Any]:
    """The column that a reward function needs, with one entry per response.

    Raises:
        TypeError: there is none.
        ValueError: it has another length.
    """
    if name not in columns:
        found = ", ".join(key for key in columns if key not in EXTRAS) or "none"
        raise TypeError(f"{who}: needs a column {name!r}, and the columns are {found}; pass it, or name another")
    if len(columns[name]) != rows:
        raise ValueError(f"{who}: there are {rows} completions but column {name!r} has {len(columns[name])} entries")
    values: Sequence[Any] = columns[name]
    return values


def scores_of(who: str, result: Any, rows: int) -> list[float]:
    """A reward function's result as floats, NaN where it said None.

    Raises:
        WrongTypeError: it is no sequence of numbers and None.
        WrongLengthError: it has not one entry per response.
    """
    if hasattr(result, "tolist"):
        result = result.tolist()
    if not isinstance(result, (list, tuple)):
        raise WrongTypeError(f"{who}: returned a {type(result).__name__}; return a list with one number per response")
    if len(result) != rows:
        raise WrongLengthError(f"{who}: returned {len(result)} scores for {rows} responses; return one for each")
    return [_score(who, row, score) for row, score in enumerate(result)]


def _score(who: str, row: int, score: Any) -> float:
    if score is None:
        return math.nan
    if not isinstance(score, (str, bytes)):
        try:
            return float(score)
        except OverflowError:  # an integer beyond what a float holds
            return math.inf if score > 0 else -math.inf
        except (TypeError, ValueError):
            pass
    raise WrongTypeError(
        f"{who}: returned a {type(score).__name__} for response {row}; return a number, or None for no score"
    )


def name_of(function: Callable[..., Any]) -> str:
    """What a reward function is called in messages and logs."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)


def needs_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """The columns that a reward function cannot do without: its `needs`, or its parameters without a default."""
    needs: tuple[str, ...] | None = getattr(function, "needs", None)
    if needs is not None:
        return needs
    return tuple(
        p.name
        for p in inspect.signature(function).parameters.values()
        if p.default is p.empty
        and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        and p.name not in ("prompts", "completions", *EXTRAS)
    )


def taken(function: Callable[..., Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the columns that a function has parameters for; all of them where it takes any."""
    parameters = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return dict(columns)
    return {name: values for name, values in columns.items() if name in parameters}


LONGEST_CAUSE = 500
"""Characters of what went wrong in a warning."""


class Ledger:
    """Counts the rows that were left unscored, by kind of cause, and warns of each kind once."""

    def __init__(self, who: str) -> None:
        self.who = who
        self.counts: Counter[str] = Counter()

    def add(self, kind: str, rows: int, cause: str) -> None:
        """Count rows; the first of a kind are spoken of."""
        first = kind not in self.counts
        self.counts[kind] += rows
        if first:
            are = "1 response is" if rows == 1 else f"{rows} responses are"
            warnings.warn(
                f"{self.who}: {cause[:LONGEST_CAUSE]}; {are} unscored, "
                "and further ones of this kind are counted in `failures` without a warning",
                stacklevel=2,
            )
