"""Type hints that fit every array library: an array in, an array of the same library out."""

from collections.abc import Hashable, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Protocol, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray

from .groups import Groups

__all__ = [
    "A",
    "Array",
    "BlockOptions",
    "Fraction",
    "GroupOptions",
    "Ids",
    "NonNegative",
    "Positive",
    "Range",
    "RowOptions",
    "Singleton",
    "Vector",
    "required",
]


class Array(Protocol):
    """What numpy arrays, torch tensors and JAX arrays have in common, as far as a type checker must know."""

    @property
    def shape(self) -> Any: ...

    def __getitem__(self, index: Any, /) -> Any: ...
    def __neg__(self) -> Any: ...
    def __add__(self, other: Any, /) -> Any: ...
    def __radd__(self, other: Any, /) -> Any: ...
    def __sub__(self, other: Any, /) -> Any: ...
    def __rsub__(self, other: Any, /) -> Any: ...
    def __mul__(self, other: Any, /) -> Any: ...
    def __rmul__(self, other: Any, /) -> Any: ...
    def __truediv__(self, other: Any, /) -> Any: ...
    def __lt__(self, other: Any, /) -> Any: ...
    def __gt__(self, other: Any, /) -> Any: ...


A = TypeVar("A", bound=Array)
"""The array library of a call: torch tensors in, torch tensors out."""

Ids = Array | Sequence[Hashable] | Groups
"""One id per row: integers, strings, UUIDs, tuples, as an array, a list, or `Groups` made from them."""

Vector = NDArray[np.float64]
"""What formulas of the spec work on: one group's, or one response's, numbers."""


class _Required:
    def __repr__(self) -> str:
        return "required"


required: Any = _Required()
"""Default of an input that must be passed, where an optional one stands before it."""


class Range(NamedTuple):
    """The numbers that a setting may have; the test kit draws from it and the border refuses the rest."""

    low: float
    high: float
    low_excluded: bool = False

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return False
        return (value > self.low if self.low_excluded else value >= self.low) and value <= self.high

    def __str__(self) -> str:
        if self.high < float("inf"):
            return f"a number between {self.low:g} and {self.high:g}"
        return f"a number {'above' if self.low_excluded else 'of at least'} {self.low:g}"


Positive = Annotated[float, Range(0.0, float("inf"), low_excluded=True)]
NonNegative = Annotated[float, Range(0.0, float("inf"))]
Fraction = Annotated[float, Range(0.0, 1.0)]

Singleton = Literal["zero", "raw", "error"]


class RowOptions(TypedDict, total=False):
    """Words that every estimator understands, because the border takes care of them."""

    valid: Any
    trajectories: Ids
    strict: bool


class BlockOptions(RowOptions, total=False):
    """Words of estimators over groups that say themselves what becomes of a lone response."""

    group_size: int


class GroupOptions(BlockOptions, total=False):
    """Words that estimators over groups understand."""

    singleton: Singleton
