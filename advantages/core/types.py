"""Type hints that fit every array library: an array in, an array of the same library out."""

from collections.abc import Hashable, Sequence
from typing import Any, Literal, Protocol, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray

from .groups import Groups

__all__ = [
    "A",
    "Array",
    "BatchOptions",
    "GroupOptions",
    "Ids",
    "RowOptions",
    "Singleton",
    "StepOptions",
    "Vector",
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

Ids = Array | Sequence[Hashable] | Groups | int
"""One id per row: integers, strings, UUIDs, tuples, as an array, a list, or `Groups` made from them; or the number
of neighbouring rows that make up each group."""

Vector = NDArray[np.float64]
"""What formulas of the spec work on: one group's, or one response's, numbers."""


Singleton = Literal["zero", "raw", "error"]


class RowOptions(TypedDict, total=False):
    """Words that every estimator understands, because the call takes care of them."""

    valid: Any
    trained: Any
    trajectories: Ids
    strict: bool


class BatchOptions(RowOptions, total=False):
    """Words of estimators in which one row matters to another."""

    across: Any


class GroupOptions(BatchOptions, total=False):
    """Words that estimators over groups understand."""

    singleton: Singleton
    min_scored: int


class StepOptions(TypedDict, total=False):
    """Words of estimators whose rows are the steps of rollouts."""

    valid: Any
    trained: Any
    strict: bool
    across: Any
    singleton: Singleton
    min_scored: int
