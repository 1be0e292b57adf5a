"""Primitives on numpy arrays; statistics run in float64."""

from collections.abc import Callable
from typing import Any

import numpy as np

xp = np

TILE: int | None = 32_768
"""Rows that an estimator works on at a time where groups are independent blocks: temporaries of this size are reused,
larger ones are mapped and faulted in anew, which takes longer than the arithmetic (benchmarks/groups.py)."""


def kind(x: Any) -> str:
    """numpy's letter for the kind of dtype: f(loat), i(nteger), u(nsigned), b(ool), ..."""
    return str(x.dtype.kind)


def device(x: Any) -> None:
    return None


def traced(x: Any) -> bool:
    """Whether the values of `x` do not exist yet, because a compiler or a transformation is looking at its shape."""
    return False


def on_host(x: Any) -> bool:
    """Whether reading the values of `x` costs no device synchronisation."""
    return True


def all_finite(x: Any) -> bool:
    """Whether every number is known to be finite; reads the values, so only for an `x` on the host."""
    return bool(np.isfinite(x).all())


def to_numpy(x: Any) -> Any:
    return x


def from_numpy(x: Any, like: Any) -> Any:
    return x


def stop_gradient(x: Any) -> Any:
    return x


def working(x: Any) -> Any:
    """`x` in the precision that statistics are formed in."""
    return x.astype(np.float64, copy=False)


def result_dtype(x: Any) -> Any:
    """The floating dtype of advantages made from rewards `x`."""
    return x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)


def cast(x: Any, dtype: Any) -> Any:
    return x.astype(dtype, copy=False)


def full(shape: tuple[int, ...], value: float, like: Any) -> Any:
    return np.full(shape, value, like.dtype)


def arange(count: int, like: Any) -> Any:
    return np.arange(count)


def index(x: Any) -> Any:
    """`x` as integers that can index."""
    return x.astype(np.intp)


def segment(reduction: str, x: Any, slots: Any, count: int) -> Any:
    """Reduce (N,) `x` to (count,): the "sum", "min" or "max" over the rows of each slot."""
    if reduction == "sum":
        return np.bincount(slots, weights=x, minlength=count)
    ufunc, neutral = (np.minimum, np.inf) if reduction == "min" else (np.maximum, -np.inf)
    result = np.full(count, neutral, x.dtype)
    ufunc.at(result, slots, x)
    return result


def blocks(function: Callable[..., Any], columns: tuple[Any, ...], size: int) -> Any:
    """Apply `function(each, *views)` to (N,) columns cut into groups of `size` neighbouring rows.

    A view has one axis over groups and one inside the group; `each(reduction, view)` reduces the latter (by
    "sum", "min", "max" or "first") and keeps it for broadcasting. It comes first here, so that numpy's inner loops
    are long.
    """

    def each(reduction: str, view: Any) -> Any:
        if reduction == "first":
            return view[:1]
        return getattr(view, reduction)(axis=0, keepdims=True)

    views = [np.ascontiguousarray(column.reshape(-1, size).T) for column in columns]
    return np.broadcast_to(function(each, *views), views[0].shape).T.reshape(-1)


def over_rows(function: Callable[[Any], Any], rows: Any, tile: int) -> Any:
    """`function(rows)` on at most `tile` of the (R,) row numbers at a time, joined along the first axis."""
    return np.concatenate([function(rows[start : start + tile]) for start in range(0, len(rows), tile)])


def reverse_scan(decay: Any, x: Any) -> Any:
    """y[:, t] = x[:, t] + decay[:, t] * y[:, t + 1], with zero beyond the end."""
    time_major, decay = np.array(x.T, order="C"), np.ascontiguousarray(decay.T)
    for t in range(len(time_major) - 2, -1, -1):
        time_major[t] += decay[t] * time_major[t + 1]
    return time_major.T


def gather(x: Any, across: Any) -> Any:
    """Stack a (k,) statistic of every rank to (R, k)."""
    return across(x)
