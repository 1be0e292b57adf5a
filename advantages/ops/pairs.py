"""Words about pairs: what one response is beside each other one of its group."""

from collections.abc import Callable
from typing import Any, Literal

from ..backends import backend_of
from ..core.groups import Groups
from ..core.types import Ids
from .elementwise import at_least

__all__ = ["pair_reduce", "scores_of"]

_PAIRS = 1 << 18  # pairs held at once, measured in benchmarks/pairs.py


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
        (N,) sums or maxima, 0 without others. At most `2 ** 18` pairs are held in memory at once, whatever the
        size of a group.

    >>> import numpy as np
    >>> pair_reduce("sum", lambda r_i, r_j: r_i - r_j, (np.array([1.0, 0.0, 4.0]),), ["a", "a", "b"])
    array([ 1., -1.,  0.])
    """
    groups = groups if isinstance(groups, Groups) else Groups(groups)
    backend = backend_of(columns[0])
    xp = backend.xp
    columns = tuple(backend.working(column) for column in columns)
    count = len(groups)
    if not count:
        return columns[0]
    every_row = backend.arange(count, columns[0])

    def total(rows: Any, partners: Any, counts: Any) -> Any:
        if groups.scored is not None:
            counts = counts & groups.scored[partners]
        pairs = function(*(c[rows][:, None] for c in columns), *(c[partners] for c in columns))
        if reduction == "sum":
            return xp.where(counts, pairs, 0.0).sum(-1)
        return xp.where(counts.any(-1), xp.amax(xp.where(counts, pairs, -float("inf")), -1), 0.0)

    if groups.size is not None:
        size = groups.size
        place = backend.arange(size, columns[0])[None, :]

        def in_block(rows: Any) -> Any:
            partners = (rows // size * size)[:, None] + place
            return total(rows, partners, partners != rows[:, None])

        return backend.over_rows(in_block, every_row, max(1, _PAIRS // size))

    slots = groups.slots_like(columns[0])
    if not groups.on_host:  # sizes are unknown: compare with every row, and select

        def anywhere(rows: Any) -> Any:
            partners = every_row[None, :]
            return total(rows, partners, (slots[rows][:, None] == slots[None, :]) & (partners != rows[:, None]))

        return backend.over_rows(anywhere, every_row, max(1, _PAIRS // count))

    order, starts, sizes, back = (
        groups.like(name, getattr(groups.members, name), columns[0]) for name in ("order", "starts", "sizes", "back")
    )
    sums = []
    for number, (width, bucket) in enumerate(groups.members.buckets):
        place = backend.arange(width, columns[0])[None, :]

        def in_table(rows: Any, place: Any = place) -> Any:
            slot = slots[rows]
            partners = order[xp.clip(starts[slot][:, None] + place, None, count - 1)]
            return total(rows, partners, (place < sizes[slot][:, None]) & (partners != rows[:, None]))

        sums.append(
            backend.over_rows(in_table, groups.like(f"bucket {number}", bucket, columns[0]), max(1, _PAIRS // width))
        )
    return xp.concatenate(sums)[back]
