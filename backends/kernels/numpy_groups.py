"""The loops over groups in plain numpy, for small batches and where numba is missing."""

from typing import Any

import numpy as np

__all__ = ["centered"]

_TILE = 33_000
"""Rows at a time: temporaries of this size are reused, larger ones are mapped and faulted in anew. Not a power of two,
whose columns would all lie in the same lines of the cache."""
_LONG = 16
"""Rows of a group from which the inner loop may run along it; below, it runs over groups (benchmarks/groups.py)."""


def centered(x: Any, edges: Any, size: int, others: bool, ddof: int, epsilon: float, out: Any) -> None:
    """Into `out`, (N,): what `numba_groups.centered` gives."""
    if not size:
        _ragged(x, edges, others, ddof, epsilon, out)
        return
    step = max(1, _TILE // size) * size
    for start in range(0, len(x), step):
        rows, into = x[start : start + step].reshape(-1, size), out[start : start + step].reshape(-1, size)
        if size >= _LONG:
            axis, sums, gaps = 1, "ij,ij->i", rows.astype(np.float64)
        else:
            axis, sums, gaps, into = 0, "ij,ij->j", np.array(rows.T, np.float64, order="C"), into.T
        if x.itemsize == 8:  # sums in double lose nothing of float32: there an origin gains nothing
            gaps -= (gaps[:, :1] if axis else gaps[:1]).copy()
        mean = gaps.sum(axis, keepdims=True)
        mean /= size
        if ddof < 0 and not others:
            np.subtract(gaps, mean, out=into, casting="same_kind")
            continue
        gaps -= mean
        factor = size / max(size - 1, 1) if others else 1.0
        if ddof >= 0:
            scale = _scale(np.einsum(sums, gaps, gaps), max(size - ddof, 1), epsilon)
            factor = factor / (scale[:, None] if axis else scale)
        np.multiply(gaps, factor, out=into, casting="same_kind")


def _ragged(x: Any, edges: Any, others: bool, ddof: int, epsilon: float, out: Any) -> None:
    sizes = np.diff(edges)
    starts, sizes = edges[:-1][sizes > 0], sizes[sizes > 0]  # a sum over no rows would be the next group's first
    if not len(starts):
        return
    gaps = x.astype(np.float64)
    if x.itemsize == 8:
        gaps -= np.repeat(x[starts], sizes)
    gaps -= np.repeat(np.add.reduceat(gaps, starts) / sizes, sizes)
    if others:
        gaps *= np.repeat(sizes / np.maximum(sizes - 1, 1), sizes)
    if ddof >= 0:
        squares = np.add.reduceat(gaps * gaps, starts)
        gaps /= np.repeat(_scale(squares, np.maximum(sizes - ddof, 1), epsilon), sizes)
    out[...] = gaps


def _scale(squares: Any, counts: Any, epsilon: float) -> Any:
    """Deviations plus epsilon; 1 for equals, whose distances are zero already."""
    std = np.sqrt(squares / counts)
    return np.where(std > 0.0, std + epsilon, 1.0)
