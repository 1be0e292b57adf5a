"""Compiled loops over groups: each group is read while it lies in the cache, in double precision."""

from typing import Any

import numpy as np

from . import in_parts, jit

__all__ = ["centered"]

_DOUBLE = np.dtype(np.float64)
_LEAST = 65_536  # rows that are worth a thread


def centered(x: Any, edges: Any, size: int, others: bool, ddof: int, epsilon: float, out: Any) -> float:
    """Into `out`, (N,): x above its group's mean, and divided by the group's deviation plus `epsilon` if ddof >= 0.

    Args:
        x: (N,) numbers, those of the first group first.
        edges: (P + 1,) where each group begins, or an empty array where all have `size` rows.
        size: rows of every group, or 0.
        others: whether the mean is of the other members.
        ddof: of the deviation; -1 for none.
        epsilon: added to the deviation.
        out: (N,).

    Returns:
        The sum of all squares of x, not finite where a number is not: it costs nothing here.
    """
    count = len(x) // size if size else len(edges) - 1
    if len(x) < 2 * _LEAST:
        return float(_centered(0, count, x, edges, size, others, ddof, epsilon, out))
    least = max(1, _LEAST * count // len(x))
    return sum(in_parts(_centered, count, x, edges, size, others, ddof, epsilon, out, least=least))


def _sums_of(x: Any) -> tuple[float, float, float]:
    """A number to measure from, the sum of the distances from it, and the sum of squares."""
    # Sums in double lose nothing of float32: there the mean of equals is each of them without an origin, too.
    first = np.float64(x[0]) if x.dtype == _DOUBLE else 0.0
    total, squares = 0.0, 0.0
    for row in range(len(x)):
        number = np.float64(x[row])
        total += number - first
        squares += number * number
    return first, total, squares


def _squared_gaps_of(x: Any, first: float, mean: float) -> float:
    total = 0.0
    for row in range(len(x)):
        gap = np.float64(x[row]) - first - mean
        total += gap * gap
    return total


_sums, _squared_gaps = jit(_sums_of, sums=True), jit(_squared_gaps_of, sums=True)


@jit
def _centered(
    start: int, stop: int, x: Any, edges: Any, size: int, others: bool, ddof: int, epsilon: float, out: Any
) -> float:
    found = 0.0
    for group in range(start, stop):
        begin, end = (group * size, group * size + size) if size else (edges[group], edges[group + 1])
        if begin == end:
            continue
        here, into = x[begin:end], out[begin:end]  # indices from 0 up, which a compiler knows how to do side by side
        first, total, squares = _sums(here)
        found += squares
        count = end - begin
        mean, factor = total / count, 1.0
        if others:
            factor = count / max(count - 1, 1)
        if ddof >= 0:
            std = np.sqrt(_squared_gaps(here, first, mean) / max(count - ddof, 1))
            factor = factor / (std + epsilon) if std > 0.0 else 1.0
        for row in range(len(here)):
            into[row] = (np.float64(here[row]) - first - mean) * factor
    return found
