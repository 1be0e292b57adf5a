"""The sigmoid between intervals of a line, as Chebyshev series: what makes pairwise sums linear in the group.

A line is cut into bins `WIDTH` wide. Between two bins the sigmoid of a difference is smooth, so that it is a double
series of `ORDER` polynomials in either place: points first become `ORDER` moments of their bin, bins act on bins, and
a point reads what its bin received (a one-dimensional fast multipole method). The error is below 1e-7 of the sum of
the weights: the sigmoid's nearest pole is pi away, and rho = pi/2 + sqrt(1 + pi^2/4) to the power -14 is 3e-8.
"""

import functools
from typing import Any

import numpy as np

__all__ = ["ORDER", "REACH", "WIDTH", "line_sums", "series"]

WIDTH = 4.0
ORDER = 14
REACH = 5
"""Bins on either side that act by their series; beyond, the sigmoid is 0 or 1 to 2e-9."""

_BINS = 2048  # that are worked on at once, in 5 MiB

_FAR = (REACH + 2) * WIDTH
"""A gap that is as good as any larger one."""


@functools.cache
def series() -> Any:
    """(2 REACH + 1, ORDER, ORDER) coefficients c of sigmoid(x_i - x_j) = sum over k, l of c[b, k, l] T_k(u_j) T_l(u_i),
    where j is in the bin b - REACH bins above that of i, and u is the place in the bin, from -1 to 1.
    """
    angles = (np.arange(ORDER) + 0.5) * np.pi / ORDER
    place = np.cos(angles) * WIDTH / 2
    offset = np.arange(-REACH, REACH + 1)[:, None, None] * WIDTH
    values = 0.5 + 0.5 * np.tanh(0.5 * (place[None, None, :] - place[None, :, None] - offset))
    transform = np.cos(np.arange(ORDER)[:, None] * angles) * 2 / ORDER
    transform[0] /= 2
    return np.ascontiguousarray(transform @ values @ transform.T)


def line_sums(backend: Any, weights: Any, values: Any, scores: Any, slots: Any, temperature: float) -> Any:
    """(N,) y_i = sum over j in i's slot of w_j (v_i - v_j) sigmoid((s_i - s_j) / temperature).

    A fixed number of operations, and a few more for every 2,048 bins; `weights` may be None. It reads values: for
    arrays on the host.

    All slots lie on one line, so far apart that none acts on another, and empty stretches are cut short.
    """
    xp, coefficients = backend.xp, backend.from_numpy(series(), scores)
    order = xp.argsort(scores)
    order = order[xp.argsort(slots[order], stable=True)]
    values, scores, slots = values[order], scores[order], slots[order]

    apart = slots[1:] != slots[:-1]
    gaps = xp.where(apart, 2 * _FAR, xp.clip((scores[1:] - scores[:-1]) / temperature, None, _FAR))
    line = xp.concatenate([xp.zeros_like(scores[:1]), xp.cumsum(gaps / WIDTH, 0)])
    bins = xp.floor(line)
    start = slots[:1] == slots[:1]
    new = xp.concatenate([start, bins[1:] != bins[:-1]])
    first = xp.argwhere(new)[:, 0]
    heads = xp.argwhere(xp.concatenate([start, apart]))[:, 0]
    heads = heads[xp.searchsorted(heads, first, side="right") - 1]
    bin_of, bins = xp.cumsum(new, 0) - 1, bins[first]

    angle = xp.arccos(xp.clip(2 * (line - xp.floor(line)) - 1, -1.0, 1.0))
    terms = xp.cos(angle[:, None] * backend.arange(ORDER, scores))
    weighted = terms if weights is None else terms * weights[order][:, None]
    before = xp.cumsum(xp.stack([weighted, weighted * values[:, None]]), 1)
    before = xp.concatenate([xp.zeros_like(before[:, :1]), before], 1)  # sums over all points before a point
    edges = xp.concatenate([first, 0 * first[:1] + len(line)])
    moments = before[:, edges[1:]] - before[:, edges[:-1]]
    moments = xp.concatenate([moments, xp.zeros_like(moments[:, :1])], 1)  # of no bin

    count = len(bins)
    wanted = bins[:, None] + (backend.arange(2 * REACH + 1, scores) - REACH)
    near = xp.clip(xp.searchsorted(bins, wanted), None, count - 1)
    near = xp.where(bins[near] == wanted, near, count)
    matrix = coefficients.reshape(-1, ORDER)
    field = xp.concatenate(
        [moments[:, near[k : k + _BINS]].reshape(2, -1, len(matrix)) @ matrix for k in range(0, count, _BINS)], 1
    )
    beyond = first[xp.searchsorted(bins, bins - REACH)]  # points before this one count in full
    field[:, :, 0] += before[:, beyond, 0] - before[:, heads, 0]
    found = xp.zeros_like(values)
    found[order] = ((values[:, None] * field[0][bin_of] - field[1][bin_of]) * terms).sum(-1)
    return found
