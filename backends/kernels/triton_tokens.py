"""Advantages of tokens on a GPU: one launch, or two for few long rows.

Backwards in time, what token t hands on to the one before it is a linear recurrence:

    y_t = discount * ((1 - lambda) * V_t + lambda * (r_t + y_{t+1})) where t is trained, and r_t + y_{t+1} elsewhere

Such steps compose to steps of the same form. A thread walks through eight of them, a scan composes the threads of a
chunk of time, and a loop the chunks. States are in double precision, as in the kernels for a host: a rounded 0.9999 is
off by ever more with each token, and a scan waits for memory longer than for arithmetic.
"""

from typing import Any

import torch
import triton
import triton.language as tl

__all__ = ["advantages"]

_STEPS = 8
"""Neighbouring steps of a thread. This and the numbers below are reckoned, not measured."""

_LANES = 256
"""Threads of a program; with their steps, a chunk of time."""

_PROGRAMS = 256
"""Programs that fill a GPU. Fewer rows are cut into pieces of time; the numbers do not depend on the GPU."""

_CHUNKS = 2
"""Chunks that a piece has at least."""


def advantages(rewards: Any, values: Any, mask: Any, discount: float, lambda_: float) -> Any:
    """(N, T) float32, or float64 where a word is: see `Backend.advantages`. No value is looked at."""
    rows, steps = mask.shape
    words = [x if x is None or x.stride(1) == 1 else x.contiguous() for x in (rewards, values, mask)]
    strides = [0 if x is None else x.stride(0) for x in words]
    double = any(x is not None and x.dtype == torch.float64 for x in words)
    out = torch.empty((rows, steps), dtype=torch.float64 if double else torch.float32, device=mask.device)
    if not out.numel():
        return out

    lanes = min(_LANES, triton.next_power_of_2(triton.cdiv(steps, _STEPS)))
    chunks = triton.cdiv(steps, lanes * _STEPS)
    pieces = min(_PROGRAMS // rows, chunks // _CHUNKS)
    chunks = triton.cdiv(chunks, pieces) if pieces > 2 else chunks  # each piece is read twice
    pieces = triton.cdiv(steps, chunks * lanes * _STEPS)
    settings = chunks, steps, float(discount * (1 - lambda_)), float(discount * lambda_)
    shape = {"LANES": lanes, "STEPS": _STEPS, "num_warps": max(1, lanes // 32)}
    with torch.cuda.device_of(mask):
        spans = None
        if pieces > 1:
            spans = torch.empty((3, rows, pieces), dtype=torch.float64, device=mask.device)
            _spans[rows, pieces](*words, spans, *strides, *settings, **shape)
        _advantages[rows, pieces](
            *words, spans, out, *strides, *settings, PIECES=triton.next_power_of_2(pieces), **shape
        )
    return out


@triton.jit
def _compose(later_decay, later, later_decay_rest, later_rest, decay, own, decay_rest, rest):
    """A run of steps, and one that is later, as one run: what it hands on, and what without its first step."""
    return decay * later_decay, own + decay * later, decay_rest * later_decay, rest + decay_rest * later


@triton.jit
def _clean(rewards, mask, place, stop):
    """Whether each token is trained, and the rewards that count: on other tokens, the finite ones."""
    inside = place < stop
    on = tl.load(mask + place, mask=inside, other=0) != 0
    reward = tl.load(rewards + place, mask=inside, other=0).to(tl.float64)
    return on, tl.where(on | (tl.abs(reward) < float("inf")), reward, 0.0)


@triton.jit
def _column(x, here):
    """Of (LANES, STEPS) the column that is `here`: a register, where a thread holds its lane's steps."""
    return tl.sum(tl.where(here, x, 0.0), 1)


@triton.jit
def _chunk(rewards, values, mask, start, carry, steps, keep, decay, LANES: tl.constexpr, STEPS: tl.constexpr):
    """From y beyond a chunk: places, what is trained, r_t + y_{t+1}, V_t, the chunk's first y, and its decay."""
    lane, step = tl.arange(0, LANES), tl.arange(0, STEPS)[None, :]
    place = start + ((LANES - 1 - lane) * STEPS)[:, None] + step  # later lanes are earlier in time
    on, reward = _clean(rewards, mask, place, steps)
    value = tl.zeros_like(reward)
    if values is not None:
        value = tl.where(on, tl.load(values + place, mask=place < steps, other=0).to(tl.float64), 0.0)
    own = tl.where(on, keep * value + decay * reward, reward)
    decays = tl.where(on, tl.full((LANES, STEPS), decay, tl.float64), 1.0)

    y = tl.zeros((LANES,), tl.float64)
    run = y + 1.0
    none, whole = y, run
    for back in tl.static_range(STEPS):
        here = step == STEPS - 1 - back
        y = _column(own, here) + _column(decays, here) * y
        run *= _column(decays, here)
    run, y, run_later, later = tl.associative_scan((run, y, whole, none), 0, _compose)

    y = later + run_later * carry
    received = tl.zeros_like(own)
    for back in tl.static_range(STEPS):
        here = step == STEPS - 1 - back
        received = tl.where(here, y[:, None], received)
        y = _column(own, here) + _column(decays, here) * y
    first = lane == LANES - 1
    y, run = tl.sum(tl.where(first, y, 0.0)), tl.sum(tl.where(first, run, 0.0))
    return place, on, reward + received, value, y, run


@triton.jit
def _spans(
    rewards,
    values,
    mask,
    spans,
    rewards_row,
    values_row,
    mask_row,
    chunks,
    steps,
    keep: tl.float64,
    decay: tl.float64,
    LANES: tl.constexpr,
    STEPS: tl.constexpr,
):
    """(3, N, P) each piece of a row as one step: its decay, what it hands on of its own, and its trained tokens."""
    row, piece = tl.program_id(0).to(tl.int64), tl.program_id(1)
    rewards += row * rewards_row
    mask += row * mask_row
    if values is not None:
        values += row * values_row
    own = tl.zeros((), tl.float64)
    run = own + 1.0
    trained = own
    for back in range(chunks):
        start = ((piece + 1) * chunks - 1 - back) * (LANES * STEPS)
        _, on, _, _, own, chunk = _chunk(rewards, values, mask, start, own, steps, keep, decay, LANES, STEPS)
        run *= chunk
        trained += tl.sum(on.to(tl.int32))
    table = tl.num_programs(0) * tl.num_programs(1)
    spans += row * tl.num_programs(1) + piece
    tl.store(spans, run)
    tl.store(spans + table, own)
    tl.store(spans + 2 * table, trained)


@triton.jit
def _advantages(
    rewards,
    values,
    mask,
    spans,
    out,
    rewards_row,
    values_row,
    mask_row,
    chunks,
    steps,
    keep: tl.float64,
    decay: tl.float64,
    PIECES: tl.constexpr,
    LANES: tl.constexpr,
    STEPS: tl.constexpr,
):
    """Advantages of a piece of a row, chunk by chunk from its end, on from what the later pieces hand on."""
    row, piece = tl.program_id(0).to(tl.int64), tl.program_id(1)
    rewards += row * rewards_row
    mask += row * mask_row
    out += row * steps
    if values is not None:
        values += row * values_row
    start = piece * chunks * (LANES * STEPS)
    stop = tl.minimum(start + chunks * (LANES * STEPS), steps)

    first = stop  # the first trained token, which gets the rewards ahead of it
    carry = tl.zeros((), tl.float64)
    ahead = carry
    while (start < stop) & (first == stop):
        place = start + tl.arange(0, LANES * STEPS)
        on, reward = _clean(rewards, mask, place, stop)
        first = tl.min(tl.where(on, place, stop))
        ahead += tl.sum(tl.where(place < first, reward, 0.0))
        start += LANES * STEPS

    if spans is not None:
        pieces = tl.num_programs(1)
        table = tl.num_programs(0) * pieces
        other = tl.arange(0, PIECES)
        spans += row * pieces + other
        before, later = other < piece, (other > piece) & (other < pieces)
        between = tl.cumprod(tl.load(spans - 1, mask=later & (other > piece + 1), other=1.0), 0)
        carry = tl.sum(between * tl.load(spans + table, mask=later, other=0.0))
        ahead += tl.sum(tl.load(spans + table, mask=before, other=0.0))  # sums of rewards, where none is trained
        ahead = tl.where(tl.sum(tl.load(spans + 2 * table, mask=before, other=0.0)) > 0, 0.0, ahead)

    for back in range(chunks):
        start = ((piece + 1) * chunks - 1 - back) * (LANES * STEPS)
        place, on, worth, value, carry, _ = _chunk(
            rewards, values, mask, start, carry, steps, keep, decay, LANES, STEPS
        )
        gap = worth - value + tl.where(place == first, ahead, 0.0)
        tl.store(out + place, tl.where(on, gap, 0.0), mask=place < steps)
