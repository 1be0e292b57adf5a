"""Advantages of tokens on a GPU: one launch, or two for few long rows; every state is float32, whatever the inputs are.

G_t, what token t and all later ones are worth, is a linear recurrence backwards in time:

    G_t = r_t + d_t * G_{t+1} + (discount * (1 - lambda) * V_{t+1} if token t + 1 is trained else 0)

where d_t is discount * lambda if token t + 1 is trained and 1 else. Such steps compose to steps of the same form, so
that a chunk of time is scanned in parallel. Decays are carried as logarithms, which add up: products of a rounded
0.9999 would be off by ever more with each token.
"""

from math import log2
from typing import Any

import torch
import triton
import triton.language as tl

__all__ = ["advantages"]

_BLOCK = 2048
"""Steps that are scanned at once, eight a thread. This and the two below are reckoned, not measured."""

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
    decay = discount * lambda_
    log_decay = log2(decay) if decay else -1e4  # of which 2 to the power is zero, and multiples are numbers
    settings = discount * (1 - lambda_), log_decay

    block = min(_BLOCK, triton.next_power_of_2(steps))
    chunks = triton.cdiv(steps, block)
    pieces = min(_PROGRAMS // rows, chunks // _CHUNKS)
    length = triton.cdiv(chunks, pieces) * block if pieces > 2 else chunks * block  # two would only read twice
    pieces = triton.cdiv(steps, length)
    shape = {"BLOCK": block, "num_warps": max(1, block // 256)}
    with torch.cuda.device_of(mask):
        spans = None
        if pieces > 1:
            spans = torch.empty((4, rows, pieces), dtype=torch.float32, device=mask.device)
            _spans[rows, pieces](*words, spans, *strides, steps, length, *settings, **shape)
        _advantages[rows, pieces](
            *words, spans, out, *strides, steps, length, *settings, PIECES=triton.next_power_of_2(pieces), **shape
        )
    return out


@triton.jit
def _compose(log_later, later, log_decay, own):
    """A step before one that is later: decays multiply, and the own part is added to what is left of the later one."""
    return log_decay + log_later, own + tl.exp2(log_decay) * later


@triton.jit
def _clean(rewards, mask, place, steps):
    """Rewards that count, which on masked tokens are the finite ones, and whether each token is trained."""
    inside = place < steps
    on = tl.load(mask + place, mask=inside, other=0) != 0
    reward = tl.load(rewards + place, mask=inside, other=0).to(tl.float32)
    return tl.where(on | (tl.abs(reward) < float("inf")), reward, 0.0), on


@triton.jit
def _scanned(rewards, values, mask, place, steps, keep, log_decay):
    """Logarithm of the decay up to the end of a chunk, G as if nothing came after it, values, and what is trained."""
    x, on = _clean(rewards, mask, place, steps)
    later = place + 1 < steps
    hands_on = tl.load(mask + place + 1, mask=later, other=0) != 0
    value = tl.zeros_like(x)
    if values is not None:
        value = tl.load(values + place, mask=place < steps, other=0).to(tl.float32)
        next_value = tl.load(values + place + 1, mask=later, other=0).to(tl.float32)  # again, from the cache
        x += tl.where(hands_on, keep * next_value, 0.0)
    decays, x = tl.associative_scan((tl.where(hands_on, log_decay, 0.0), x), 0, _compose, reverse=True)
    return decays, x, value, on


@triton.jit
def _beginning(rewards, mask, start, stop, BLOCK: tl.constexpr):
    """The first trained place from `start` on, `stop` if there is none, and the sum of the rewards before it."""
    first = stop
    ahead = 0.0
    while (start < stop) & (first == stop):
        place = start + tl.arange(0, BLOCK)
        x, on = _clean(rewards, mask, place, stop)
        first = tl.min(tl.where(on, place, stop))
        ahead += tl.sum(tl.where(place < first, x, 0.0))
        start += BLOCK
    return first, ahead


@triton.jit
def _spans(
    rewards,
    values,
    mask,
    spans,
    rewards_row,
    values_row,
    mask_row,
    steps,
    length,
    keep,
    log_decay,
    BLOCK: tl.constexpr,
):
    """What a piece of a row does to what comes after it, its rewards ahead, and whether any of its tokens is trained."""
    row, piece = tl.program_id(0).to(tl.int64), tl.program_id(1)
    rewards += row * rewards_row
    mask += row * mask_row
    if values is not None:
        values += row * values_row
    start, lane = piece * length, tl.arange(0, BLOCK)
    log_piece = 0.0
    own = 0.0
    for back in range(length // BLOCK):
        place = start + length - (back + 1) * BLOCK + lane
        logs, x, _, _ = _scanned(rewards, values, mask, place, steps, keep, log_decay)
        own = tl.sum(tl.where(lane == 0, x + tl.exp2(logs) * own, 0.0))
        log_piece += tl.sum(tl.where(lane == 0, logs, 0.0))
    stop = tl.minimum(start + length, steps)
    first, ahead = _beginning(rewards, mask, start, stop, BLOCK)

    pieces = tl.num_programs(1)
    table = tl.num_programs(0) * pieces
    spans += row * pieces + piece
    tl.store(spans, log_piece)
    tl.store(spans + table, own)
    tl.store(spans + 2 * table, ahead)
    tl.store(spans + 3 * table, (first < stop).to(tl.float32))


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
    steps,
    length,
    keep,
    log_decay,
    BLOCK: tl.constexpr,
    PIECES: tl.constexpr,
):
    """Advantages of a piece of a row, chunk by chunk from its end, on from what the later pieces come to."""
    row, piece = tl.program_id(0).to(tl.int64), tl.program_id(1)
    rewards += row * rewards_row
    mask += row * mask_row
    out += row * steps
    if values is not None:
        values += row * values_row
    start, lane = piece * length, tl.arange(0, BLOCK)
    first, ahead = _beginning(rewards, mask, start, tl.minimum(start + length, steps), BLOCK)
    carry = 0.0
    if spans is not None:
        pieces = tl.num_programs(1)
        table = tl.num_programs(0) * pieces
        spans += row * pieces
        other = tl.arange(0, PIECES)
        before, after = other < piece, (other > piece) & (other < pieces)
        between = tl.load(spans + other - 1, mask=after & (other > piece + 1), other=0.0)
        own = tl.load(spans + table + other, mask=after, other=0.0)
        carry = tl.sum(own * tl.exp2(tl.cumsum(between, 0)))
        ahead += tl.sum(tl.load(spans + 2 * table + other, mask=before, other=0.0))
        trained = tl.sum(tl.load(spans + 3 * table + other, mask=before, other=0.0))
        ahead = tl.where(trained > 0, 0.0, ahead)

    for back in range(length // BLOCK):
        place = start + length - (back + 1) * BLOCK + lane
        logs, x, value, on = _scanned(rewards, values, mask, place, steps, keep, log_decay)
        x += tl.exp2(logs) * carry
        carry = tl.sum(tl.where(lane == 0, x, 0.0))
        result = x - value + tl.where(place == first, ahead, 0.0)  # rewards ahead of the first trained token are its own
        tl.store(out + place, tl.where(on, result, 0.0), mask=place < steps)
