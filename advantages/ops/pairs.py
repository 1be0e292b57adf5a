"""Words about pairs: what one response is beside each other one of its group."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from ..backends import Backend, backend_of
from ..backends.kernels import compiled
from ..core.groups import Groups
from ..core.types import Ids
from .chebyshev import WIDTH, line_sums, series
from .elementwise import at_least, unless, where
from .groupwise import group_centered, group_count, group_max, group_min, sorted_rows

__all__ = ["light_pairs", "pair_reduce", "scores_of", "sigmoid_sums"]

_PAIRS = 1 << 16
"""Pairs that are held at once, so that they stay in the cache, where that makes at most 8 tiles; else up to eight
times as many, and as many on an accelerator. Measured in benchmarks/pairs.py."""

_FEW = 1 << 14
"""Pairs up to which numpy's calls, each of which costs less than one of torch's, take less time than torch's; measured
in benchmarks/pairs.py."""

_LINE = 256
"""Members from which sums over bins beat sums over pairs in plain torch and numpy; measured in benchmarks/pairs.py."""

_LONG = 512
"""The same where shapes must not depend on values; measured in benchmarks/pairs.py."""

_NARROW = 12
"""Members below which rows of groups make poor inner loops; measured in benchmarks/pairs.py."""


def light_pairs(most: int) -> bool:
    """Whether sums over at most so many pairs are better done in numpy's memory: they are compiled, or so few that
    their number is nothing beside the calls. Else torch's exponentials take a quarter of the time of numpy's.
    """
    return most <= _FEW or compiled("pairs") is not None


def scores_of(who: str, logprobs: Any, lengths: Any, reduction: str) -> Any:
    """(N,) what a policy's preference between two responses is read from: log-probability, by "sum" or per token.

    Raises:
        TypeError: the mean is asked for, and there are no lengths.
    """
    if reduction == "sum":
        return logprobs
    if lengths is None:
        raise TypeError(f'{who}: reduction="mean" needs lengths; pass the number of trained tokens per response')
    return logprobs / at_least(lengths, 1)


def sigmoid_sums(values: Any, scores: Any, groups: Ids, *, temperature: Any = 1.0, misranked: bool = False) -> Any:
    """Sum of the gaps to the others in a response's group, each weighted by a sigmoid of the scores.

        y_i = sum over j in i's group of (v_i - v_j) * sigmoid((s_i - s_j) / temperature)

    Groups may be large: from some hundred members on this takes time in proportion to the members, not to the pairs,
    unless the temperature is an array. The error is then below 1e-7 of the largest gap times the members.

    Args:
        values: (N,) floats v of any size; equal ones in a group give exactly zero.
        scores: (N,) floats s, of any spread.
        groups: (N,) ids; rows that do not count are no partners.
        temperature: a positive number, in the unit of the scores.
        misranked: weigh by sigmoid(-sign(v_i - v_j) * (s_i - s_j) / temperature), which is large where the scores
            contradict the values. Time then grows a little faster than the members with compiled kernels; without,
            in proportion to the members where each group has two values and values can be read, else to the pairs.

    Returns:
        (N,) sums, 0 for rows that do not count. On a host at most 16 MiB are held at once, however large a group is.

    >>> import numpy as np
    >>> sigmoid_sums(np.array([1.0, 0.0, 4.0]), np.zeros(3), ["a", "a", "b"])
    array([ 0.5, -0.5,  0. ])
    """
    groups = Groups.of(groups)
    backend = backend_of(values)
    if not len(groups):
        return backend.wide(values)
    unscored = groups.unscored
    values, scores = (unless(unscored, backend.wide(x), 0.0) for x in (values, scores))
    given = [x for x in (values, scores, groups.scored) if x is not None]
    fixed = isinstance(temperature, (int, float))
    readable = fixed and groups.on_host and backend.on_host(scores)
    if fixed and backend.on_gpu(*given) and (kernels := compiled("pairs", "triton")):
        table = None if groups.size is not None else _in_order(groups, scores)
        total = kernels.sigmoid_sums(
            values, scores, float(temperature), groups.size or 0, table, groups.scored, misranked=misranked
        )
    elif readable and (kernels := compiled("pairs")):
        total = _by_kernels(kernels, values, scores, groups, temperature, misranked)
    elif fixed and _are_large(groups, backend) and (not misranked or (readable and _two_valued(values, groups))):
        total = backend.fused(_by_line, 2)(values, scores, groups, temperature, misranked)
    else:
        total = backend.fused(_over_all_pairs)(values, scores, groups, temperature, misranked)
    return unless(unscored, total, 0.0)


def _by_kernels(kernels: Any, values: Any, scores: Any, groups: Groups, temperature: float, misranked: bool) -> Any:
    backend = backend_of(values)
    total = kernels.sigmoid_sums(
        *(np.ascontiguousarray(backend.to_numpy(x), np.float64) for x in (values, scores)),
        float(temperature),
        *groups.layout,
        np.empty(0, bool) if groups.scored is None else backend.to_numpy(groups.scored),
        series(),
        WIDTH,
        misranked=misranked,
    )
    return backend.from_numpy(total, scores)


def _by_line(values: Any, scores: Any, groups: Groups, temperature: float, misranked: bool) -> Any:
    backend, values = backend_of(values), group_centered(values, groups)
    if backend.on_host(values):  # where double precision costs little, it leaves the series' error alone
        double = backend.from_numpy(np.ones(1), values)
        values, scores = values * double, scores * double
    total = line_sums(backend, sorted_rows(scores, groups, stable=False), groups, values, scores, temperature)
    if misranked:  # of two values, where sigmoid(-x) = 1 - sigmoid(x) turns the sums of the upper one
        total = where(values > 0, values * group_count(values, groups) - total, total)
    return total


def _are_large(groups: Groups, backend: Backend) -> bool:
    """Whether sums over bins beat sums over pairs, by all that is known of the groups' sizes."""
    if backend.STATIC or not groups.on_host:  # the program must be the same for groups of about this size
        return groups.bound >= _LONG
    return groups.largest >= _LINE


def _two_valued(values: Any, groups: Groups) -> bool:
    least, most = group_min(values, groups), group_max(values, groups)
    known = (values == least) | (values == most)
    return bool((known if groups.scored is None else known | ~groups.scored).all())


def _over_all_pairs(values: Any, scores: Any, groups: Groups, temperature: Any, misranked: bool) -> Any:
    backend = backend_of(values)

    def total(mine: tuple[Any, ...], theirs: tuple[Any, ...], counts: Any, axis: int) -> Any:
        gaps, leads = mine[0] - theirs[0], mine[1] - theirs[1]
        if not (isinstance(temperature, (int, float)) and temperature == 1):
            leads /= temperature
        if misranked:
            leads = backend.xp.where(gaps < 0, leads, -leads)
        gaps *= backend.sigmoid(backend.narrow(leads))
        if counts is not None:
            gaps *= counts
        return gaps.sum(axis)

    return _over_pairs(total, (values, scores), groups)


def pair_reduce(
    reduction: Literal["sum", "max"], function: Callable[..., Any], columns: tuple[Any, ...], groups: Ids
) -> Any:
    """Sum, or largest value, of a function of two responses over the others in a response's group.

        y_i = sum over j != i, in i's group, of function(a_i, b_i, ..., a_j, b_j, ...)

    Args:
        reduction: "sum", or "max".
        function: elementwise; gets every column twice, broadcastable against each other: first for i, then for j.
        columns: the (N,) arrays a, b, ...
        groups: (N,) ids; rows that do not count are no partners.

    Returns:
        (N,) sums or maxima, 0 without others. At most `2 ** 19` pairs are held in memory at once, whatever the
        size of a group. For a sum of gaps weighted by a sigmoid, `sigmoid_sums` is faster.

    >>> import numpy as np
    >>> pair_reduce("sum", lambda r_i, r_j: r_i - r_j, (np.array([1.0, 0.0, 4.0]),), ["a", "a", "b"])
    array([ 1., -1.,  0.])
    """
    groups = Groups.of(groups)
    backend = backend_of(columns[0])
    xp = backend.xp
    columns = tuple(backend.working(column) for column in columns)
    if not len(groups):
        return columns[0]

    def total(mine: tuple[Any, ...], theirs: tuple[Any, ...], counts: Any, axis: int) -> Any:
        counts = mine[-1] != theirs[-1] if counts is None else counts & (mine[-1] != theirs[-1])
        pairs = function(*mine[:-1], *theirs[:-1])
        if reduction == "sum":
            return xp.where(counts, pairs, 0.0).sum(axis)
        return xp.where(counts.any(axis), xp.amax(xp.where(counts, pairs, -float("inf")), axis), 0.0)

    return _over_pairs(total, (*columns, backend.arange(len(groups), columns[0])), groups)


Total = Callable[[tuple[Any, ...], tuple[Any, ...], Any, int], Any]
"""What is made of pairs: the columns of i, those of j, which pairs count (None: all), and the axis that j is on."""


def _over_pairs(total: Total, columns: tuple[Any, ...], groups: Groups) -> Any:
    """(N,) `total` of the pairs inside each group, by tiles; a row is its own partner, too."""
    backend = backend_of(columns[0])
    scored = groups.scored
    if groups.size is not None and not (backend.STATIC and len(groups) * groups.size > 8 * _PAIRS):
        size = groups.size
        return _by_tiles(
            total, [c.reshape(-1, size) for c in columns], None if scored is None else scored.reshape(-1, size)
        ).reshape(-1)
    if backend.STATIC or not groups.on_host:
        return _by_rows(total, columns, groups)
    found = []
    for number, (rows, filled) in enumerate(groups.members.tables):
        at = groups.like(f"rows of table {number}", rows, columns[0])
        counts = None if filled is None else groups.like(f"filled of table {number}", filled, columns[0])
        if scored is not None:
            counts = scored[at] if counts is None else counts & scored[at]
        found.append(_by_tiles(total, [c[at] for c in columns], counts).reshape(-1))
    back = groups.like("back from tables", groups.members.back, columns[0])
    return (found[0] if len(found) == 1 else backend.xp.concatenate(found))[back]


def _by_tiles(total: Total, tables: list[Any], counts: Any) -> Any:
    """(P, G) `total` of the pairs inside each row of (P, G) tables, as views, a tile at a time."""
    backend = backend_of(tables[0])
    many, size = tables[0].shape
    most = min(max(many * size * size // 8, _PAIRS), 8 * _PAIRS) if backend.on_host(tables[0]) else 8 * _PAIRS
    if size * size > most:
        step = max(1, most // size)
        parts = [(group, slice(start, start + step)) for group in range(many) for start in range(0, size, step)]
        found = [
            total(
                tuple(table[group, None, part] for table in tables),
                tuple(table[group, :, None] for table in tables),
                None if counts is None else counts[group, :, None],
                0,
            )
            for group, part in parts
        ]
        return backend.xp.concatenate(found).reshape(many, size)
    # Whether the groups, not their members, lie along memory, where that is what makes loops long.
    across = size < _NARROW and size < many and backend.on_host(tables[0])
    axis = 0 if across else 1
    if across:
        tables = [backend.contiguous(table.T) for table in tables]
        counts = None if counts is None else counts.T
    step = max(1, most // (size * size))
    found = []
    for start in range(0, many, step):
        columns, other = tables, counts
        if many > step:
            part = (slice(None), slice(start, start + step))[axis == 1 :]
            columns, other = [table[part] for table in tables], None if counts is None else counts[part]
        found.append(
            total(
                tuple(c[None] if across else c[:, None] for c in columns),
                tuple(c[:, None] if across else c[:, :, None] for c in columns),
                None if other is None else other[:, None] if across else other[:, :, None],
                axis,
            )
        )
    joined = found[0] if len(found) == 1 else backend.xp.concatenate(found, 1 - axis)
    return joined.T if across else joined


def _by_rows(total: Total, columns: tuple[Any, ...], groups: Groups) -> Any:
    """(N,) `total` where sizes of groups are unknown or must not show in a shape: each row beside as many partners
    as the largest group may have.
    """
    backend = backend_of(columns[0])
    xp, count = backend.xp, len(groups)
    width = groups.bound
    order, first, end = _in_order(groups, columns[0])

    def of_rows(rows: Any) -> Any:
        places = first[rows] + backend.arange(width, columns[0])[:, None]
        partners = order[xp.clip(places, None, count - 1)]
        counts = places < end[rows]
        if groups.scored is not None:
            counts = counts & groups.scored[partners]
        return total(tuple(c[rows][None] for c in columns), tuple(c[partners] for c in columns), counts, 0)

    return backend.over_rows(of_rows, backend.arange(count, columns[0]), max(1, 4 * _PAIRS // width))


def _in_order(groups: Groups, like: Any) -> tuple[Any, Any, Any]:
    """(N,) rows by group, and for each row where its group begins and ends in that order; no value is looked at."""
    xp = backend_of(like).xp
    slots = groups.slots_like(like)
    order = xp.argsort(slots, stable=True)
    slots_in_order = slots[order]
    first, end = (xp.searchsorted(slots_in_order, slots, side=side) for side in ("left", "right"))
    return order, first, end
