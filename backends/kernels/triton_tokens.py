"""Advantages of tokens on a GPU: one launch, or two for few long rows; every state is float32, whatever the inputs are.

Backwards in time, what token t hands on to the one before it is a linear recurrence:

    y_t = discount * ((1 - lambda) * V_t + lambda * (r_t + y_{t+1})) where t is trained, and r_t + y_{t+1} elsewhere

Such steps compose to steps of the same form. A thread composes eight of them, a scan the threads of a chunk of time,
and a loop the chunks. Decays are carried as logarithms, which add up: products of a rounded 0.9999 would be off by ever
more with each token.
"""

from math import log2
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
    """(N, T) float32: see `Backend.advantages`. Tensors of any dtype, in any layout; no value is looked at."""
    rows, steps = mask.shape
    words = [x if x is None or x.stride(1) == 1 else x.contiguous() for x in (rewards, values, mask)]
    strides = [0 if x is None else x.stride(0) for x in words]
    out = torch.empty((rows, steps), dtype=torch.float32, device=mask.device)
    if not out.numel():
        return out
    decay = discount * lambda_
    # 2 to the power of a logarithm of no decay is 1, but a sum of them is below zero where any token is trained.
    log_decay = min(log2(decay), -1e-30) if decay else -1e4
    settings = steps, discount * (1 - lambda_), decay, log_decay

    lanes = min(_LANES, triton.next_power_of_2(triton.cdiv(steps, _STEPS)))
    chunks = triton.cdiv(steps, lanes * _STEPS)
    pieces = min(_PROGRAMS // rows, chunks // _CHUNKS)
    chunks = triton.cdiv(chunks, pieces) if pieces > 2 else chunks  # each piece is read twice
    pieces = triton.cdiv(steps, chunks * lanes * _STEPS)
    shape = {"LANES": lanes, "STEPS": _STEPS, "num_warps": max(1, lanes // 32)}
    with torch.cuda.device_of(mask):
        spans = None
        if pieces > 1:
            spans = torch.empty((2, rows, pieces), dtype=torch.float32, device=mask.device)
            _spans[rows, pieces](*words, spans, *strides, chunks, *settings, **shape)
        _advantages[rows, pieces](
            *words, spans, out, *strides, chunks, *settings, PIECES=triton.next_power_of_2(pieces), **shape
        )
    return out


@triton.jit
def _compose(log_later, later, log_rest_later, rest_later, log_own, own, log_rest, rest):
    """Two runs of steps are one, which makes of what comes after it this; and this without its first step."""
    return (
        log_own + log_later,
        own + tl.exp2(log_own) * later,
        log_rest + log_later,
        rest + tl.exp2(log_rest) * later,
    )


@triton.jit
def _clean(rewards, mask, place, stop):
    """Whether each token is trained, and the rewards that count: on other tokens, the finite ones."""
    inside = place < stop
    on = tl.load(mask + place, mask=inside, other=0) != 0
    reward = tl.load(rewards + place, mask=inside, other=0).to(tl.float32)
    return on, tl.where(on | (tl.abs(reward) < float("inf")), reward, 0.0)


@triton.jit
def _column(x, here):
    """Of (LANES, STEPS) the column that is `here`: a register, where a thread holds its lane's steps."""
    return tl.sum(tl.where(here, x, 0.0), 1)


@triton.jit
def _chunk(
    rewards, values, mask, start, carry, steps, keep, decay, log_decay, LANES: tl.constexpr, STEPS: tl.constexpr
):
    """From y beyond a chunk: places, what is trained, r_t + y_{t+1}, V_t, the chunk's first y, and its log decay."""
    lane, step = tl.arange(0, LANES), tl.arange(0, STEPS)[None, :]
    place = start + ((LANES - 1 - lane) * STEPS)[:, None] + step  # later lanes are earlier in time
    on, reward = _clean(rewards, mask, place, steps)
    value = tl.zeros_like(reward)
    if values is not None:
        value = tl.where(on, tl.load(values + place, mask=place < steps, other=0).to(tl.float32), 0.0)
    own = tl.where(on, keep * value + decay * reward, reward)
    decays = tl.where(on, decay, 1.0)

    y = tl.zeros((LANES,), tl.float32)
    for back in tl.static_range(STEPS):
        here = step == STEPS - 1 - back
        y = _column(own, here) + _column(decays, here) * y
    logs = tl.sum(tl.where(on, log_decay, 0.0), 1)
    none = tl.zeros_like(y)
    logs, y, log_later, later = tl.associative_scan((logs, y, none, none), 0, _compose)

    y = later + tl.exp2(log_later) * carry
    received = tl.zeros_like(own)
    for back in tl.static_range(STEPS):
        here = step == STEPS - 1 - back
        received = tl.where(here, y[:, None], received)
        y = _column(own, here) + _column(decays, here) * y
    is_first = lane == LANES - 1
    first, log_chunk = tl.sum(tl.where(is_first, y, 0.0)), tl.sum(tl.where(is_first, logs, 0.0))
    return place, on, reward + received, value, first, log_chunk


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
    keep,
    decay,
    log_decay,
    LANES: tl.constexpr,
    STEPS: tl.constexpr,
):
    """(2, N, P) each piece of a row as one step: the logarithm of its decay, and what it hands on of its own."""
    row, piece = tl.program_id(0).to(tl.int64), tl.program_id(1)
    rewards += row * rewards_row
    mask += row * mask_row
    if values is not None:
        values += row * values_row
    own = 0.0
    logs = 0.0
    for back in range(chunks):
        start = ((piece + 1) * chunks - 1 - back) * (LANES * STEPS)
        _, _, _, _, own, log_chunk = _chunk(
            rewards, values, mask, start, own, steps, keep, decay, log_decay, LANES, STEPS
        )
        logs += log_chunk
    spans += row * tl.num_programs(1) + piece
    tl.store(spans, logs)
    tl.store(spans + tl.num_programs(0) * tl.num_programs(1), own)


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
    keep,
    decay,
    log_decay,
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

    first = stop  # trained token, which gets the rewards ahead of it
    ahead = 0.0
    at = start
    while (at < stop) & (first == stop):
        place = at + tl.arange(0, LANES * STEPS)
        on, reward = _clean(rewards, mask, place, stop)
        first = tl.min(tl.where(on, place, stop))
        ahead += tl.sum(tl.where(place < first, reward, 0.0))
        at += LANES * STEPS

    carry = 0.0
    if spans is not None:
        logs = spans + row * tl.num_programs(1)
        own = logs + tl.num_programs(0) * tl.num_programs(1)
        other = tl.arange(0, PIECES)
        before, later = other < piece, (other > piece) & (other < tl.num_programs(1))
        between = tl.load(logs + other - 1, mask=later & (other > piece + 1), other=0.0)
        carry = tl.sum(tl.load(own + other, mask=later, other=0.0) * tl.exp2(tl.cumsum(between, 0)))
        ahead += tl.sum(tl.load(own + other, mask=before, other=0.0))  # plain sums, where nothing before is trained
        ahead = tl.where(tl.sum(tl.load(logs + other, mask=before, other=0.0)) < 0, 0.0, ahead)

    for back in range(chunks):
        start = ((piece + 1) * chunks - 1 - back) * (LANES * STEPS)
        place, on, worth, value, carry, _ = _chunk(
            rewards, values, mask, start, carry, steps, keep, decay, log_decay, LANES, STEPS
        )
        gap = worth - value + tl.where(place == first, ahead, 0.0)
        tl.store(out + place, tl.where(on, gap, 0.0), mask=place < steps)
