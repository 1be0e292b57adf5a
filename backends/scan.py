"""Advantages of tokens by few large operations, in the functions that numpy, torch and JAX have in common.

Time is cut into blocks. Inside one, y_t = x_t + d_t * y_{t+1} with d_t in {c, 1} is the sum over later s of
x_s * c^(n_s - n_t), n the trained tokens so far: numbers scaled by c^n, summed, and scaled back. What comes from later
blocks is the same recurrence over blocks, whose decays are powers of c again. Powers come from one table.
"""

from collections.abc import Callable
from math import exp, log
from typing import Any

import numpy as np

from .kernels import in_parts

__all__ = ["advantages", "by_tiles", "in_tiles"]

_BLOCK = 64  # steps; longer blocks do more arithmetic than they save passes (benchmarks/scan.py)
_BLOCKS = 16  # blocks whose decays make one square
_LEAST = 8  # steps, below which blocks do not pay
_RANGE = {4: 20.0, 8: 200.0}  # how far powers may fall in a block, as a logarithm, by the bytes of a number
_TILE = 2**18  # bytes: temporaries stay in a core's cache and in memory that the allocator keeps (benchmarks/scan.py)


def in_tiles(function: Callable[..., Any], itemsize: int, out: Any, *words: Any) -> Any:
    """Into `out`, (N, ...): `function` of some rows of (N, T) words of numpy at a time, tiles side by side in threads.

    `itemsize` is that of the numbers that the function works with.

    A thread waits for the others once, at its end; a library that shares each operation among threads waits at each
    operation, as long as a busy machine takes to let the last of them run.
    """
    rows, steps = words[0].shape
    tile = max(1, _TILE // itemsize // max(1, steps))

    def part(start: int, stop: int) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            for first in range(start, stop, tile):
                some = slice(first, min(first + tile, stop))
                out[some] = function(*(None if x is None else x[some] for x in words))

    in_parts(part, rows, least=tile)
    return out


def by_tiles(rewards: Any, values: Any, mask: Any, discount: Any, lambda_: Any, out: Any, dtype: Any) -> Any:
    """Into `out`, (N, T): `advantages` of arrays of numpy, worked on in `dtype`.

    Looks at masks, and at rewards outside them.
    """
    from . import numpy as backend

    def tile(rewards: Any, values: Any, mask: Any) -> Any:
        rewards = rewards.astype(dtype, copy=False)
        values = None if values is None else values.astype(dtype, copy=False)
        return backend.cast(_tile(backend, rewards, values, mask, discount, lambda_), out.dtype)

    return in_tiles(tile, np.dtype(dtype).itemsize, out, rewards, values, mask)


def _tile(backend: Any, rewards: Any, values: Any, mask: Any, discount: Any, lambda_: Any) -> Any:
    if mask.all():
        return advantages(backend, rewards, values, None, discount, lambda_)
    inside = backend.selected(rewards, mask)
    if np.count_nonzero(inside) == np.count_nonzero(rewards):  # none outside, nor anything that is not finite
        starts = np.count_nonzero(mask[:, 1:] > mask[:, :-1], 1) + mask[:, 0]
        return advantages(
            backend,
            rewards,
            values,
            mask,
            discount,
            lambda_,
            clean=inside,
            holes=bool((starts > 1).any()),
            ahead=False,
        )
    return advantages(backend, rewards, values, mask, discount, lambda_, ahead=not mask[:, 0].all())


def advantages(
    backend: Any,
    rewards: Any,
    values: Any,
    mask: Any,
    discount: Any,
    lambda_: Any,
    *,
    clean: Any = None,
    holes: bool = True,
    ahead: bool = True,
) -> Any:
    """(N, T) see `Backend.advantages`.

    A mask of None holds everywhere. What is known of the batch saves work: `clean` are the rewards that count,
    `holes` says whether a masked token may lie between trained ones or have a reward, and `ahead` whether one that lies
    before a first trained token may have one.
    """
    xp = backend.xp
    if 0 in rewards.shape:
        return xp.zeros_like(rewards)
    decay = discount * lambda_
    block = _block(decay, rewards.dtype.itemsize)
    if mask is None and block is None:
        mask = backend.full(rewards.shape, 1.0, rewards) > 0
    if clean is None:
        clean = rewards if mask is None else xp.nan_to_num(rewards, nan=0.0, posinf=0.0, neginf=0.0)
    known = values if values is None or mask is None else backend.selected(values, mask)
    if block is None:
        to_come = _by_steps(backend, clean, known, mask, discount, lambda_)
    else:
        on = None if mask is None or not holes else mask
        to_come = _by_blocks(backend, clean, known, on, decay, lambda_, block)
    to_come += rewards
    result = to_come if known is None else to_come - known
    if mask is None:
        return result
    if ahead:
        result = _with_those_ahead(backend, result, clean, mask)
    return backend.selected(result, mask)


def _block(decay: Any, itemsize: int) -> int | None:
    """Steps in a block, so that powers times small numbers stay normal numbers; None where that leaves too few."""
    if not isinstance(decay, float) or decay < exp(-_RANGE[itemsize] / _LEAST):
        return None
    block = _BLOCK
    while -log(decay) * block > _RANGE[itemsize]:
        block //= 2
    return block


def _by_steps(backend: Any, clean: Any, known: Any, mask: Any, discount: Any, lambda_: Any) -> Any:
    """What a token before each token would receive, for any decay: hardly any, or one that a compiler traces."""
    xp = backend.xp
    own = lambda_ * clean if known is None else (1 - lambda_) * known + lambda_ * clean
    x = xp.where(mask, discount * own, clean)
    received = backend.reverse_scan(xp.where(mask, xp.zeros_like(x) + discount * lambda_, 1.0), x)
    return xp.concatenate([received[:, 1:], xp.zeros_like(received[:, :1])], 1)


def _by_blocks(backend: Any, clean: Any, known: Any, on: Any, decay: float, lambda_: float, block: int) -> Any:
    xp = backend.xp
    rows, steps = clean.shape
    # A trained token hands on discount * ((1 - lambda) V_t + lambda r_t): this in units of the decay, which n_t counts.
    is_own = known is not None and lambda_ != 1
    x = _cut(backend, backend.sum_of(clean, (1 - lambda_) / lambda_, known) if is_own else clean, block)
    powers = backend.powers(decay, x.shape[1] * block, clean)  # numpy's are float64, and so is what it carries
    table = backend.cast(powers, clean.dtype, True)
    if on is None:
        counts: Any = np.broadcast_to(np.arange(1, block + 1), (1, x.shape[1], block))
        ends = counts[:, :, -1]
    else:
        counts = backend.running_count(_cut(backend, on, block))
        ends = counts[:, :, -1]
    weights = xp.take(table, counts)
    x = x * weights
    later = powers[ends] * _later(backend, _received(backend, powers, ends, x.sum(-1)))
    to_come = backend.sums_after(x)
    to_come += later[:, :, None]
    to_come /= weights
    return to_come.reshape(rows, -1)[:, :steps]


def _received(backend: Any, powers: Any, counts: Any, x: Any) -> Any:
    """(N, B) the recurrence over blocks that hold x and `counts` trained tokens."""
    rows, blocks = x.shape
    if blocks <= _BLOCKS:
        return _square(backend, powers, counts, x)[0]
    counts, x = _cut(backend, counts, _BLOCKS), _cut(backend, x, _BLOCKS)
    inside, before = _square(backend, powers, counts, x)
    ends = counts.sum(-1)
    later = _later(backend, _received(backend, powers, ends, inside[:, :, 0]))
    inside += powers[ends[:, :, None] - before] * later[:, :, None]
    return inside.reshape(rows, -1)[:, :blocks]


def _square(backend: Any, powers: Any, counts: Any, x: Any) -> tuple[Any, Any]:
    """The recurrence along the last axis by the decays between any two places, and the counts before each place."""
    before = backend.xp.cumsum(counts, -1) - counts
    between = before[..., None, :] - before[..., :, None]
    decays = backend.xp.triu(powers[between])  # a negative index gives a number that is not used
    return (decays * x[..., None, :]).sum(-1), before


def _later(backend: Any, x: Any) -> Any:
    return backend.xp.concatenate([x[:, 1:], backend.full(x[:, :1].shape, 0.0, x)], 1)


def _cut(backend: Any, x: Any, block: int) -> Any:
    """(N, B, block) time in blocks, filled up with zeros."""
    rows, steps = x.shape
    if steps % block:
        x = backend.xp.concatenate([x, backend.full((rows, -steps % block), 0.0, x)], 1)
    return x.reshape(rows, -1, block)


def _with_those_ahead(backend: Any, result: Any, clean: Any, mask: Any) -> Any:
    """Rewards ahead of the first trained token are its own; without one they go to a token that does not count."""
    steps = mask.shape[1]
    ahead = backend.running_count(mask) == 0
    first = ahead.sum(1)
    found = backend.selected(clean, ahead).sum(1)
    return backend.add_at(result, first.clip(0, steps - 1), found)
