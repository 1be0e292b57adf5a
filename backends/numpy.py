"""Primitives on numpy arrays; statistics run in float64."""

import functools
from collections.abc import Callable, Iterator
from math import inf, sqrt
from typing import Any

import numpy as np

from . import scan
from .kernels import COMPILED, compiled

xp = np

STATIC = False

GROUP_AXIS = 0  # so that numpy's inner loops are long

REORDERS = True

_FEW = 8_192
"""Numbers up to which a product of BLAS waits for no threads."""


def kind(x: Any) -> str:
    return str(x.dtype.kind)


def device(x: Any) -> None:
    return None


def traced(x: Any) -> bool:
    return False


transformed = traced


def on_host(x: Any) -> bool:
    return True


def lent(x: Any) -> None:
    return None


def on_gpu(*words: Any) -> bool:
    return False


def extent(x: Any) -> tuple[float, float]:
    return (float(x.min()), float(x.max())) if x.size else (0.0, 0.0)


def norm(x: Any) -> float:
    if not x.flags.c_contiguous or x.itemsize < 4:
        return inf
    return sqrt(squares(x.reshape(-1)))


def squares(x: Any) -> float:
    """The sum of the squares of (N,) numbers, which says sooner than they do that all of them are finite."""
    if len(x) <= _FEW:
        return float(np.vdot(x, x))
    rows = x[: len(x) // _FEW * _FEW].reshape(-1, _FEW)
    with np.errstate(over="ignore"):
        return float(np.vecdot(rows, rows).sum()) + squares(x[rows.size :])


def largest(x: Any) -> float:
    return float(np.finfo(x.dtype).max)


def to_numpy(x: Any) -> Any:
    return x


def from_numpy(x: Any, like: Any) -> Any:
    return x


def finite(words: list[Any]) -> Any:
    return functools.reduce(np.logical_and, map(np.isfinite, words))


def finite_rows(words: list[Any], mask: Any) -> Any:
    return (finite(words) | ~mask).all(1)


def stop_gradient(x: Any) -> Any:
    return x


def wide_dtype(x: Any) -> Any:
    return np.dtype(np.float64)


def working(x: Any) -> Any:
    return x.astype(np.float64, copy=False)


wide = working


def result_dtype(x: Any) -> Any:
    return x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)


def cast(x: Any, dtype: Any, bounded: bool = False) -> Any:
    if x.dtype == dtype:
        return x
    if bounded and dtype.itemsize > 2:
        return x.astype(dtype)
    with np.errstate(over="ignore"):
        result = x.astype(dtype)
    return np.nan_to_num(result, copy=False) if np.isinf(result).any() else result


def running_count(mask: Any) -> Any:
    return np.cumsum(mask, -1, dtype=np.int32)  # a sixth of the time of 64 bits


def sums_before(x: Any) -> Any:
    sums = np.zeros((len(x) + 1, *x.shape[1:]), x.dtype)
    np.cumsum(x, 0, out=sums[1:])
    return sums


def selected(x: Any, mask: Any) -> Any:
    bits = mask.astype(f"i{x.itemsize}")  # 1 or 0 times what is read as an integer: no branch for each number,
    bits *= x.view(bits.dtype)  # which takes `where` ten times as long on a mask with many holes
    return bits.view(x.dtype)


def filled(x: Any, where: Any, number: float) -> Any:
    return np.where(where, number, x)


def full(shape: tuple[int, ...], value: float, like: Any) -> Any:
    return np.full(shape, value, like.dtype)


def arange(count: int, like: Any) -> Any:
    return np.arange(count)


def index(x: Any) -> Any:
    return x.astype(np.intp)


def segment(reduction: str, x: Any, slots: Any, count: int) -> Any:
    if reduction == "sum":
        if x.ndim == 2:
            return np.stack([segment(reduction, column, slots, count) for column in x.T], 1)
        return np.bincount(slots, weights=x, minlength=count)
    ufunc, neutral = (np.minimum, np.inf) if reduction == "min" else (np.maximum, -np.inf)
    result = np.full(count, neutral, x.dtype)
    ufunc.at(result, slots, x)
    return result


def blocks(x: Any, size: int) -> Any:
    return np.ascontiguousarray(x.reshape(-1, size).T)


def rows(view: Any) -> Any:
    return view.T.reshape(-1)


def reduced(reduction: str, view: Any) -> Any:
    if reduction == "norm":
        return np.sqrt((view * view).sum(axis=0, keepdims=True))
    return getattr(view, reduction)(axis=0, keepdims=True)


def over_rows(function: Callable[[Any], Any], rows: Any, tile: int) -> Any:
    return np.concatenate([function(rows[start : start + tile]) for start in range(0, len(rows), tile)])


def fused(function: Callable[..., Any], settings: int = 1) -> Callable[..., Any]:
    def quiet(*arguments: Any) -> Any:
        with np.errstate(over="ignore"):
            return function(*arguments)

    return quiet


def either(condition: Callable[[], Any], quick: Callable[[], Any], general: Callable[[], Any], like: Any) -> Any:
    return quick() if condition() else general()


def narrow(x: Any) -> Any:
    return x


def sigmoid(x: Any) -> Any:
    np.exp(np.negative(x, out=x), out=x)  # infinity is right where this overflows, and `fused` is quiet about it
    x += 1.0
    return np.reciprocal(x, out=x)


def contiguous(x: Any) -> Any:
    return np.ascontiguousarray(x)


def reverse_scan(decay: Any, x: Any) -> Any:
    time_major, decay = np.array(x.T, order="C"), np.ascontiguousarray(decay.T)
    for t in range(len(time_major) - 2, -1, -1):
        time_major[t] += decay[t] * time_major[t + 1]
    return time_major.T


def advantages(rewards: Any, values: Any, mask: Any, discount: Any, lambda_: Any) -> Any:
    kernels = compiled("tokens") if rewards.size >= COMPILED else None
    out = np.empty(rewards.shape, _scan_dtype(rewards))
    if kernels is None:
        return scan.by_tiles(rewards, values, mask, discount, lambda_, out, np.float64)
    kernels.advantages(*_words(rewards, values, mask), discount, lambda_, out)
    return out


def advantages_and_moments(rewards: Any, values: Any, mask: Any, discount: Any, lambda_: Any) -> tuple[Any, Any]:
    kernels = compiled("tokens") if rewards.size >= COMPILED else None
    if kernels is None:
        return advantages(rewards, values, mask, discount, lambda_), None
    out = np.empty(rewards.shape, _scan_dtype(rewards))
    return out, kernels.advantages_and_moments(*_words(rewards, values, mask), discount, lambda_, out)


def _scan_dtype(rewards: Any) -> Any:
    return rewards.dtype if rewards.dtype in (np.float32, np.float64) else np.dtype(np.float64)


def _words(*words: Any) -> Iterator[Any]:
    return (None if x is None else _contiguous(x) for x in words)


def row_moments(x: Any, mask: Any) -> tuple[Any, Any, Any, Any]:
    kernels = compiled("tokens") if x.size >= COMPILED else None
    if kernels is not None:
        return tuple(kernels.row_moments(_contiguous(x), _contiguous(mask)))
    return tuple(scan.in_tiles(_row_moments, 8, np.empty((len(x), 4)), x, mask).T)


def _row_moments(x: Any, mask: Any) -> Any:
    count = np.count_nonzero(mask, 1)
    if not x.shape[1]:
        return np.stack([count] * 4, 1)
    first = np.where(count > 0, x[np.arange(len(x)), mask.argmax(1)], x.dtype.type(0))
    above = selected(x - first[:, None], mask).astype(np.float64, copy=False)
    total, squares = above.sum(1), np.vecdot(above, above)
    if x.itemsize < 8 and not np.isfinite(total).all():  # a distance was larger than any number of this precision
        return _row_moments(x.astype(np.float64), mask)
    mean = total / count.clip(1)
    return np.stack([count, first, mean, (squares - total * mean).clip(0.0)], 1)


def centered(x: Any, scored: Any, order: Any, place: Any, size: int, others: bool, ddof: int, epsilon: float) -> None:
    return None


def whitened_alike(x: Any, mask: Any, ddof: int, epsilon: Any) -> None:
    return None


def whitened(x: Any, mask: Any, origin: Any, mean: Any, scale: Any, own: bool = False) -> Any:
    kernels = compiled("tokens") if x.size >= COMPILED else None
    out = x if own else np.empty(x.shape, x.dtype)
    if kernels is not None:
        kernels.whitened(_contiguous(x), _contiguous(mask), float(origin), float(mean), float(scale), out)
        return out
    whitened = functools.partial(_whitened, *map(x.dtype.type, (origin, mean, scale)))
    return scan.in_tiles(whitened, x.itemsize, out, x, mask)


def _whitened(origin: Any, mean: Any, scale: Any, x: Any, mask: Any) -> Any:
    white = x - origin  # one temporary, which stays in cache
    white -= mean
    white *= scale
    return selected(white, mask)


def _contiguous(x: Any) -> Any:
    """`x` as kernels read it: in rows, and in a dtype that they are compiled for."""
    return np.ascontiguousarray(x, x.dtype if x.dtype in (np.float32, np.float64, np.bool_) else np.float64)


def powers(base: float, most: int, like: Any) -> Any:
    return _powers(base, most)


@functools.lru_cache(maxsize=4)
def _powers(base: float, most: int) -> Any:
    table = np.power(base, np.arange(most + 1.0))
    table.flags.writeable = False
    return table


def sum_of(x: Any, factor: float, y: Any) -> Any:
    return x + factor * y


def sums_after(x: Any) -> Any:
    later = np.zeros_like(x)
    np.cumsum(x[..., :0:-1], -1, out=later[..., -2::-1])
    return later


def add_at(x: Any, columns: Any, numbers: Any) -> Any:
    x[np.arange(len(x)), columns] += numbers
    return x


def gather(x: Any, across: Any) -> Any:
    return across(x)


def rank(across: Any) -> None:
    return None
