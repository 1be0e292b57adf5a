"""Compiled loops over groups: each group is read while it lies in the cache, in double precision."""

from typing import Any

import numpy as np

from . import in_parts, jit

__all__ = ["centered"]

_LEAST = 65_536  # rows that are worth a thread


def centered(x: Any, edges: Any, size: int, others: bool, ddof: int, epsilon: float, out: Any) -> None:
    """Into `out`, (N,): x above its group's mean, and divided by the group's deviation plus `epsilon` if ddof >= 0.

    Args:
        x: (N,) numbers, those of the first group first.
        edges: (P + 1,) where each group begins, or an empty array where all have `size` rows.
        size: rows of every group, or 0.
        others: whether the mean is of the other members.
        ddof: of the deviation; -1 for none.
        epsilon: added to the deviation.
        out: (N,).
    """
    count = len(x) // size if size else len(edges) - 1
    if len(x) < 2 * _LEAST:
        _centered(0, count, x, edges, size, others, ddof, epsilon, out)
        return
    in_parts(_centered, count, x, edges, size, others, ddof, epsilon, out, least=max(1, _LEAST * count // len(x)))


def _gaps(x: Any, first: float) -> float:
    total = 0.0
    for row in range(len(x)):
        total += np.float64(x[row]) - first
    return total


def _squares(x: Any, first: float, mean: float) -> float:
    total = 0.0
    for row in range(len(x)):
        gap = np.float64(x[row]) - first - mean
        total += gap * gap
    return total


_sum_of_gaps, _sum_of_squares = jit(_gaps, sums=True), jit(_squares, sums=True)


@jit
def _centered(
    start: int, stop: int, x: Any, edges: Any, size: int, others: bool, ddof: int, epsilon: float, out: Any
) -> None:
    for group in range(start, stop):
        begin, end = (group * size, group * size + size) if size else (edges[group], edges[group + 1])
        if begin == end:
            continue
        here, into = x[begin:end], out[begin:end]  # indices from 0 up, which a compiler knows how to do side by side
        # Sums in double lose nothing of float32: there the mean of equals is each of them without an origin, too.
        count, first = end - begin, 0.0 if x.itemsize == 4 else np.float64(x[begin])
        mean, factor = _sum_of_gaps(here, first) / count, 1.0
        if others:
            factor = count / max(count - 1, 1)
        if ddof >= 0:
            std = np.sqrt(_sum_of_squares(here, first, mean) / max(count - ddof, 1))
            factor = factor / (std + epsilon) if std > 0.0 else 1.0
        for row in range(len(here)):
            into[row] = (np.float64(here[row]) - first - mean) * factor
