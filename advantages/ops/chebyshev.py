"""The sigmoid between intervals of a line, as Chebyshev series: what makes pairwise sums linear in the group.

A line is cut into bins at most `WIDTH` temperatures wide. Between two bins the sigmoid of a difference is smooth, so
that it is a double series of `ORDER` polynomials in either place: points first become `ORDER` moments of their bin,
bins act on bins, and a point reads what its bin received (a one-dimensional fast multipole method). The error is below
1e-7 of the sum of the weights: the sigmoid's nearest pole is pi away, and rho = pi/2 + sqrt(1 + pi^2/4) to the power
-14 is 3e-8.
"""

import functools
from math import ceil, floor, log2
from typing import Any

import numpy as np

__all__ = ["ORDER", "REACH", "WIDTH", "line_sums", "series"]

WIDTH = 4.0
ORDER = 14
REACH = 5
"""Bins on either side that act by their series; beyond, the sigmoid is 0 or 1 to 2e-9."""

_AT_ONCE = 4096
"""Points at a time where each has its own bins: with 22 moments or more of 14 numbers, 10 MiB in double precision."""
_FEW = 4
"""Points to a bin from which bins are few, where shapes must not depend on values: with 2, bins that are few take a
quarter longer in JAX."""


@functools.lru_cache(maxsize=64)
def series(width: float = WIDTH, reach: int = REACH) -> Any:
    """(2 reach + 1, ORDER, ORDER) coefficients c of sigmoid(x_i - x_j) = sum over k, l of c[b, k, l] T_k(u_j) T_l(u_i),
    where j is in the bin b - reach bins above that of i, and u is the place in the bin, from -1 to 1.
    """
    angles = (np.arange(ORDER) + 0.5) * np.pi / ORDER
    place = np.cos(angles) * width / 2
    offset = np.arange(-reach, reach + 1)[:, None, None] * width
    values = 0.5 + 0.5 * np.tanh(0.5 * (place[None, None, :] - place[None, :, None] - offset))
    transform = np.cos(np.arange(ORDER)[:, None] * angles) * 2 / ORDER
    transform[0] /= 2
    return np.ascontiguousarray(transform @ values @ transform.T)


def line_sums(backend: Any, order: Any, groups: Any, values: Any, scores: Any, temperature: float) -> Any:
    """(N,) y_i = sum over scored j in i's group of (v_i - v_j) sigmoid((s_i - s_j) / temperature).

    A fixed number of operations, however many rows there are, and however they fall into groups. `order` is that of
    `sorted_rows`.
    Bins act on bins where they are few, and on each point where they are not, or where nobody may look.

    All groups lie on one line, so far apart that none acts on another, and empty stretches are cut short. A bin is as
    wide as a power of two, so that in single precision, too, the place of a score is exact.
    """
    xp, most = backend.xp, backend.largest(scores) / 16
    temperature = min(max(temperature, 1 / most), most)
    width = 2.0 ** floor(log2(WIDTH * temperature))
    reach = ceil(REACH * WIDTH * temperature / width)
    coefficients = series(width / temperature, reach).reshape(-1, ORDER).astype(f"f{scores.dtype.itemsize}")
    coefficients = backend.from_numpy(coefficients, scores)
    values, scores, slots = values[order], scores[order], groups.slots_like(scores)[order]

    place = xp.clip(scores / width, -most, most)
    left = xp.floor(place)
    gaps = xp.maximum(left[1:] - left[:-1], (scores[1:] - scores[:-1]) / width)  # what was cut has a gap, too
    gaps = backend.filled(xp.clip(gaps, None, reach + 1.0), slots[1:] != slots[:-1], reach + 1.0)
    bins = backend.sums_before(backend.index(gaps))

    half_angle = xp.arccos(xp.sqrt(place - left))  # cos(2k arccos(sqrt(u))) is T_k(2u - 1), and u is never outside
    terms = xp.cos(half_angle[:, None] * (2 * backend.arange(ORDER, scores)))
    weighted = terms if groups.scored is None else terms * groups.scored[order][:, None]
    weighted = xp.concatenate([weighted, weighted * values[:, None]], 1)
    rows = len(order)
    readable = backend.on_host(scores) and not backend.STATIC
    count = int(bins[-1]) + 1 if readable else rows * (reach + 1)  # or fewer
    few = min(count, rows // _FEW if backend.STATIC else rows)
    near = groups.like(f"bins within {reach}", np.arange(2)[:, None] + 2 * np.arange(2 * reach + 1), scores)

    def field_in(places: Any, count: int) -> Any:
        """(P, 2, ORDER) what (P,) bins below `count` receive, of numbers and of values."""
        moments = backend.segment("sum", weighted, bins + reach, count + 2 * reach).reshape(-1, ORDER)

        def acted_on(some: Any) -> Any:
            around = moments[2 * some.reshape(-1, 1, 1) + near].reshape(2 * len(some), -1)
            return (around @ coefficients).reshape(-1, 2, ORDER)

        return backend.over_rows(acted_on, places, _AT_ONCE if readable or backend.STATIC else rows)

    field = backend.either(
        lambda: bins[-1] < few,
        lambda: field_in(backend.arange(few, scores), few)[bins],
        lambda: field_in(bins, count),
        scores,
    )

    before = backend.sums_before(weighted[:, ::ORDER])  # numbers and sums of the points before a point
    beyond = before[xp.searchsorted(bins, bins - reach)] - before[xp.searchsorted(slots, slots)]
    found = ((values[:, None] * field[:, 0] - field[:, 1]) * terms).sum(-1) + values * beyond[:, 0] - beyond[:, 1]
    return backend.segment("sum", found, order, rows)  # each number back to its row
