"""Compiled loops over groups: each group is read while it lies in the cache, in double precision."""

from typing import Any

import numpy as np

from . import in_parts, jit

__all__ = ["centered"]

_LEAST = 65_536  # rows that are worth a thread


def centered(x: Any, edges: Any, size: int, ddof: int, epsilon: float, out: Any) -> None:
    """Into `out`, (N,): x above its group's mean, and divided by the group's deviation plus `epsilon` if ddof >= 0.

    Args:
        x: (N,) numbers, those of the first group first.
        edges: (P + 1,) where each group begins, or an empty array where all have `size` rows.
        size: rows of every group, or 0.
        ddof: of the deviation; -1 for none.
        epsilon: added to the deviation.
        out: (N,).
    """
    count = len(x) // size if size else len(edges) - 1
    least = max(1, _LEAST * count // max(1, len(x)))
    in_parts(_centered, count, x, edges, size, ddof, epsilon, out, least=least)


@jit
def _centered(start: int, stop: int, x: Any, edges: Any, size: int, ddof: int, epsilon: float, out: Any) -> None:
    for group in range(start, stop):
        begin, end = (group * size, group * size + size) if size else (edges[group], edges[group + 1])
        if begin == end:
            continue
        first = np.float64(x[begin])
        total = 0.0
        for row in range(begin, end):
            total += np.float64(x[row]) - first
        mean, factor = total / (end - begin), 1.0
        if ddof >= 0:
            squares = 0.0
            for row in range(begin, end):
                gap = np.float64(x[row]) - first - mean
                squares += gap * gap
            std = np.sqrt(squares / max(end - begin - ddof, 1))
            factor = 1.0 / (std + epsilon) if std > 0.0 else 1.0
        for row in range(begin, end):
            out[row] = (np.float64(x[row]) - first - mean) * factor
