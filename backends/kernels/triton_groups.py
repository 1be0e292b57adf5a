"""Statistics of groups on a GPU: one launch, in which some groups are read side by side, in double precision."""

from typing import Any

import torch
import triton
import triton.language as tl

__all__ = ["centered"]

_TILE = 1_024
"""Numbers that one program reads at once: of one large group, or of many small ones; reckoned, not measured."""


def centered(
    x: Any, order: Any, edges: Any, size: int, largest: int, scored: Any, others: bool, ddof: int, epsilon: float
) -> Any:
    """(N,) x above its group's mean, and divided by the group's deviation plus `epsilon` if ddof >= 0.

    In the dtype of `x`, of which what is too large becomes the largest number; 0 for rows that are not scored.

    Args:
        x: (N,) float32 or float64.
        order: (N,) rows by group, or None where they stand so.
        edges: (P + 1,) where each group begins in that order, or None where all have `size` rows.
        size: rows of every group, or 0.
        largest: rows of the largest group.
        scored: (N,) bool rows that enter the statistics, or None where all do.
        others: whether the mean is of the other members.
        ddof: of the deviation; -1 for none.
        epsilon: added to the deviation.
    """
    count = len(x) // size if size else len(edges) - 1
    found = torch.empty_like(x, memory_format=torch.contiguous_format)
    members = min(_TILE, triton.next_power_of_2(largest))
    groups = max(1, _TILE // members)
    with torch.cuda.device_of(x):
        _centered[(triton.cdiv(count, groups),)](
            x.contiguous(),
            order,
            edges,
            None if scored is None else scored.contiguous(),
            found,
            count,
            size,
            ddof,
            min(epsilon, 1e38),
            others,
            ddof >= 0,
            groups,
            members,
        )
    return found


@triton.jit
def _members(x, order, scored, begin, end, start, MEMBERS: tl.constexpr):
    """The next members of some groups: their rows, which of them are there, which are scored, and their numbers."""
    place = begin + start + tl.arange(0, MEMBERS)[None, :]
    there = place < end
    rows = place if order is None else tl.load(order + place, mask=there, other=0)
    counts = there if scored is None else there & tl.load(scored + rows, mask=there, other=0).to(tl.int1)
    return rows, there, counts, tl.load(x + rows, mask=counts, other=0.0).to(tl.float64)


@triton.jit
def _centered(
    x,
    order,
    edges,
    scored,
    found,
    count,
    size,
    ddof,
    epsilon,
    OTHERS: tl.constexpr,
    SCALED: tl.constexpr,
    GROUPS: tl.constexpr,
    MEMBERS: tl.constexpr,
):
    group = tl.program_id(0) * GROUPS + tl.arange(0, GROUPS)[:, None]
    known = group < count
    if edges is None:
        begin = tl.where(known, group * size, 0)
        end = tl.where(known, begin + size, 0)
    else:
        begin = tl.load(edges + group, mask=known, other=0)
        end = tl.load(edges + group + 1, mask=known, other=0)
    longest = tl.max(end - begin)

    lowest = tl.full((GROUPS, 1), float("inf"), tl.float64)  # distances from a member: zero among equals
    many = tl.zeros((GROUPS, 1), tl.float64)
    for start in range(0, longest, MEMBERS):
        _, _, counts, number = _members(x, order, scored, begin, end, start, MEMBERS)
        lowest = tl.minimum(lowest, tl.min(tl.where(counts, number, float("inf")), 1, keep_dims=True))
        many += tl.sum(counts.to(tl.float64), 1, keep_dims=True)
    lowest = tl.where(many > 0.0, lowest, 0.0)
    total = tl.zeros((GROUPS, 1), tl.float64)
    for start in range(0, longest, MEMBERS):
        _, _, counts, number = _members(x, order, scored, begin, end, start, MEMBERS)
        total += tl.sum(tl.where(counts, number - lowest, 0.0), 1, keep_dims=True)
    mean = total / tl.maximum(many, 1.0)

    factor = many / tl.maximum(many - 1.0, 1.0) if OTHERS else tl.full((GROUPS, 1), 1.0, tl.float64)
    if SCALED:
        squares = tl.zeros((GROUPS, 1), tl.float64)
        for start in range(0, longest, MEMBERS):
            _, _, counts, number = _members(x, order, scored, begin, end, start, MEMBERS)
            gap = tl.where(counts, number - lowest - mean, 0.0)
            squares += tl.sum(gap * gap, 1, keep_dims=True)
        std = tl.sqrt(squares / tl.maximum(many - ddof, 1.0))
        factor = factor / tl.where(std > 0.0, std + epsilon, 1.0)
    for start in range(0, longest, MEMBERS):
        rows, there, counts, number = _members(x, order, scored, begin, end, start, MEMBERS)
        above = tl.where(counts, (number - lowest - mean) * factor, 0.0)
        if found.dtype.element_ty == tl.float32:
            above = tl.minimum(tl.maximum(above, -3.4028234663852886e38), 3.4028234663852886e38)
        tl.store(found + rows, above.to(found.dtype.element_ty), mask=there)
