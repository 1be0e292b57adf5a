"""Pairwise sums of sigmoids on a GPU, group by group: one launch that looks at every pair and keeps none.

A pair takes a difference of values and one of scores, which in double precision would cost a GPU the most. So numbers
are kept as the sum of two float32, whose difference is as exact as that of the doubles, rounded to float32.
"""

from math import e, log2
from typing import Any

import torch
import triton
import triton.language as tl

__all__ = ["sigmoid_sums"]

_ROWS = _PARTNERS = 64
"""Of a tile of pairs; reckoned, not measured."""


def sigmoid_sums(
    values: Any, scores: Any, temperature: float, size: int, table: Any, scored: Any, *, misranked: bool
) -> Any:
    """(N,) y_i = sum over scored j in i's group of (v_i - v_j) sigmoid((s_i - s_j) / t), for scored i.

    Args:
        values: (N,) float64; beyond 1e38 all are alike.
        scores: (N,) float64, likewise.
        temperature: that differences of scores are divided by.
        size: rows of every group where groups are blocks, else 0.
        table: three (N,) integers where they are not: rows by group, and for each row where its group begins and ends
            in that order.
        scored: (N,) bool, or None where all are.
        misranked: weigh by sigmoid(-sign(v_i - v_j) (s_i - s_j) / t) instead.
    """
    count = len(values)
    found = torch.empty_like(values)
    scale = min(log2(e) / temperature, 1e38)
    with torch.cuda.device_of(values):
        _sigmoid_sums[(triton.cdiv(count, _ROWS),)](
            values, scores, *(table or (None,) * 3), scored, found, count, size, scale, misranked, _ROWS, _PARTNERS
        )
    return found


@triton.jit
def _in_two(numbers, rows, there, origin):
    """Distances of the numbers of some rows from `origin`, each as the sum of two float32."""
    x = tl.load(numbers + rows, mask=there, other=0.0) - origin
    x = tl.minimum(tl.maximum(x, -1e38), 1e38)
    high = x.to(tl.float32)
    return high, (x - high).to(tl.float32)


@triton.jit
def _sigmoid_sums(
    values,
    scores,
    order,
    begins,
    ends,
    scored,
    found,
    count,
    size,
    scale,
    MISRANKED: tl.constexpr,
    ROWS: tl.constexpr,
    PARTNERS: tl.constexpr,
):
    """Sums of some rows that are neighbours in the order of groups, over all partners that any of them has."""
    place = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    there = place < count
    if order is None:
        rows = place
        begin = place // size * size
        end = tl.minimum(begin + size, count)
    else:
        rows = tl.load(order + place, mask=there, other=0)
        begin = tl.load(begins + rows, mask=there, other=count)
        end = tl.load(ends + rows, mask=there, other=0)
    first = tl.min(tl.where(there, begin, count))
    anchor = first if order is None else tl.load(order + first)
    v_origin, s_origin = tl.load(values + anchor), tl.load(scores + anchor)
    v, v_low = _in_two(values, rows, there, v_origin)
    s, s_low = _in_two(scores, rows, there, s_origin)

    total = tl.zeros((ROWS,), tl.float64)
    for start in range(first, tl.max(end), PARTNERS):
        other_place = start + tl.arange(0, PARTNERS)
        counts = other_place < count
        others = other_place if order is None else tl.load(order + other_place, mask=counts, other=0)
        if scored is not None:
            counts = counts & tl.load(scored + others, mask=counts, other=0)
        w, w_low = _in_two(values, others, counts, v_origin)
        t, t_low = _in_two(scores, others, counts, s_origin)
        gap = (v[:, None] - w[None, :]) + (v_low[:, None] - w_low[None, :])
        lead = (s[:, None] - t[None, :]) + (s_low[:, None] - t_low[None, :])
        if MISRANKED:
            lead = tl.where(gap < 0, lead, -lead)
        term = gap / (1.0 + tl.exp2(-scale * lead))
        pair = (other_place >= begin[:, None]) & (other_place < end[:, None]) & counts[None, :]
        total += tl.sum(tl.where(pair, term, 0.0), 1).to(tl.float64)
    tl.store(found + rows, total, mask=there)
