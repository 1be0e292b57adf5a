"""Primitives on JAX arrays; statistics run in at least float32, and every shape is static."""

import functools
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import scan

xp = jnp

STATIC = True

GROUP_AXIS = -1

REORDERS = False


def kind(x: Any) -> str:
    if jnp.issubdtype(x.dtype, jnp.floating):  # bfloat16 has another letter in numpy
        return "f"
    return str(x.dtype.kind)


def device(x: Any) -> None:
    return None


def traced(x: Any) -> bool:
    return isinstance(x, jax.core.Tracer)


transformed = traced


def on_host(x: Any) -> bool:
    return not traced(x) and x.is_fully_addressable and all(d.platform == "cpu" for d in x.devices())


def lent(x: Any) -> None:
    return None


def on_gpu(*words: Any) -> bool:
    return False


def extent(x: Any) -> tuple[float, float]:
    return (float(x.min()), float(x.max())) if x.size else (0.0, 0.0)


def norm(x: Any) -> float:
    return float("inf")


def largest(x: Any) -> float:
    return float(jnp.finfo(x.dtype).max)  # type: ignore[no-untyped-call]


def to_numpy(x: Any) -> Any:
    return np.asarray(x)


def from_numpy(x: Any, like: Any) -> Any:
    return jnp.asarray(x)


def finite(words: list[Any]) -> Any:
    return functools.reduce(jnp.logical_and, map(jnp.isfinite, words))


def finite_rows(words: list[Any], mask: Any) -> Any:
    return (finite(words) | ~mask).all(1)


def stop_gradient(x: Any) -> Any:
    return jax.lax.stop_gradient(x)


def wide_dtype(x: Any) -> Any:
    return x.dtype if x.dtype == jnp.float64 else jnp.dtype(jnp.float32)


def working(x: Any) -> Any:
    return x.astype(wide_dtype(x))


wide = working


def result_dtype(x: Any) -> Any:
    return x.dtype if kind(x) == "f" else jnp.result_type(float)


def cast(x: Any, dtype: Any, bounded: bool = False) -> Any:
    if x.dtype == dtype:
        return x
    most = float(jnp.finfo(dtype).max)  # type: ignore[no-untyped-call]
    if bounded and most > 1e30:
        return x.astype(dtype)
    return jnp.clip(x, -most, most).astype(dtype)


def running_count(mask: Any) -> Any:
    return jnp.cumsum(mask, -1)


def sums_before(x: Any) -> Any:
    return jnp.pad(jnp.cumsum(x, 0), ((1, 0), *((0, 0),) * (x.ndim - 1)))


def selected(x: Any, mask: Any) -> Any:
    return jnp.where(mask, x, 0.0)


def filled(x: Any, where: Any, number: float) -> Any:
    return jnp.where(where, number, x)


def full(shape: tuple[int, ...], value: float, like: Any) -> Any:
    return jnp.full(shape, value, like.dtype)


def arange(count: int, like: Any) -> Any:
    return jnp.arange(count)


def index(x: Any) -> Any:
    return x.astype(jnp.int32)


def segment(reduction: str, x: Any, slots: Any, count: int) -> Any:
    # As many segments as rows, whatever the number of groups: a batch with other groups compiles nothing anew.
    return getattr(jax.ops, "segment_" + reduction)(x, slots, num_segments=max(count, x.shape[0]))


def blocks(x: Any, size: int) -> Any:
    return x.reshape(-1, size)


def rows(view: Any) -> Any:
    return view.reshape(-1)


def reduced(reduction: str, view: Any) -> Any:
    if reduction == "norm":
        return jnp.sqrt((view * view).sum(axis=-1, keepdims=True))
    return getattr(view, reduction)(axis=-1, keepdims=True)


def over_rows(function: Callable[[Any], Any], rows: Any, tile: int) -> Any:
    count = rows.shape[0]
    if count <= tile:
        return function(rows)
    padded = jnp.pad(rows, (0, -count % tile)).reshape(-1, tile)
    if not traced(rows):  # a loop of JAX's is compiled for every new function, single operations are not
        return jnp.concatenate([function(part) for part in padded])[:count]
    result = jax.lax.map(function, padded)
    return result.reshape(-1, *result.shape[2:])[:count]


@functools.cache
def fused(function: Callable[..., Any], settings: int = 1) -> Callable[..., Any]:
    return jax.jit(function, static_argnums=tuple(range(5 - settings, 5)))


def either(condition: Callable[[], Any], quick: Callable[[], Any], general: Callable[[], Any], like: Any) -> Any:
    return jax.lax.cond(condition(), quick, general)


def narrow(x: Any) -> Any:
    return x


def sigmoid(x: Any) -> Any:
    return 0.5 + 0.5 * jnp.tanh(0.5 * x)


def contiguous(x: Any) -> Any:
    return x


@jax.jit  # or each call would compile its loop anew
def reverse_scan(decay: Any, x: Any) -> Any:
    if not x.shape[1]:
        return x
    return jax.lax.platform_dependent(decay, x, cpu=_by_steps, default=_by_doubling)


def _by_steps(decay: Any, x: Any) -> Any:
    def step(later: Any, here: tuple[Any, Any]) -> tuple[Any, Any]:
        received = here[1] + here[0] * later
        return received, received

    return jax.lax.scan(step, jnp.zeros_like(x[:, 0]), (decay.T, x.T), reverse=True)[1].T


def _by_doubling(decay: Any, x: Any) -> Any:
    def join(later: tuple[Any, Any], earlier: tuple[Any, Any]) -> tuple[Any, Any]:
        return earlier[0] * later[0], earlier[1] + earlier[0] * later[1]

    return jax.lax.associative_scan(join, (decay, x), reverse=True, axis=1)[1]


_LONG, _STRETCH = 8_192, 256
"""Steps from which a batch is turned over by stretches, and those of a stretch (benchmarks/scan.py)."""


def advantages(rewards: Any, values: Any, mask: Any, discount: Any, lambda_: Any) -> Any:
    return _advantages(working(rewards), None if values is None else working(values), mask, discount, lambda_)


def advantages_and_moments(rewards: Any, values: Any, mask: Any, discount: Any, lambda_: Any) -> tuple[Any, None]:
    return advantages(rewards, values, mask, discount, lambda_), None


def _advantages(rewards: Any, values: Any, mask: Any, discount: Any, lambda_: Any) -> Any:
    if isinstance(discount, (int, float)) and isinstance(lambda_, (int, float)):
        return _compiled(float(discount), float(lambda_))(rewards, values, mask)
    return _scanned(rewards, values, mask, discount, lambda_)


def _scanned(rewards: Any, values: Any, mask: Any, discount: Any, lambda_: Any) -> Any:
    def in_blocks(rewards: Any, values: Any, mask: Any) -> Any:
        return scan.advantages(sys.modules[__name__], rewards, values, mask, discount, lambda_)

    def by_steps(rewards: Any, values: Any, mask: Any) -> Any:
        return _advantages_by_steps(rewards, values, mask, discount, lambda_)

    return jax.lax.platform_dependent(rewards, values, mask, cpu=by_steps, default=in_blocks)


def _advantages_by_steps(rewards: Any, values: Any, mask: Any, discount: Any, lambda_: Any) -> Any:
    """One loop over time: on a CPU a step costs less than the passes that blocks need (benchmarks/scan.py).

    Steps are columns, and loops want rows. A long batch is turned over by stretches, while they lie in the cache.
    """
    rows, steps = rewards.shape
    if not steps:
        return jnp.zeros_like(rewards)
    values = jnp.zeros_like(rewards) if values is None else values

    def step(received: Any, here: Any) -> tuple[Any, Any]:
        reward, value, trained = here
        received += _finite_or_zero(reward)
        handed = jnp.where(trained, discount * ((1 - lambda_) * value + lambda_ * received), received)
        return handed, jnp.where(trained, received - value, 0.0)

    def stretch(start: Any, length: int, received: Any, found: Any) -> tuple[Any, Any]:
        words = (jax.lax.dynamic_slice_in_dim(x, start, length, 1).T for x in (found, values, mask))
        received, advantages = jax.lax.scan(step, received, tuple(words), reverse=True)
        return received, jax.lax.dynamic_update_slice_in_dim(found, advantages.T, start, 1)

    count, rest = divmod(steps, _STRETCH) if steps >= _LONG else (0, steps)
    found = rewards.astype(jnp.result_type(rewards, values))  # which gives way to the advantages
    end = 0 * _finite_or_zero(found[:, 0])  # like the words: shard_map keeps account of the axes they differ along
    state = stretch(count * _STRETCH, rest, end, found) if rest else (end, found)
    if count:
        state = jax.lax.fori_loop(0, count, lambda k, now: stretch((count - 1 - k) * _STRETCH, _STRETCH, *now), state)
    _, found = state
    first = jnp.where(mask.any(1), mask.argmax(1), steps)
    ahead = jnp.where(jnp.arange(steps) < first[:, None], _finite_or_zero(rewards), 0.0).sum(1)
    return found.at[jnp.arange(rows), first].add(ahead, mode="drop")


def _finite_or_zero(x: Any) -> Any:
    return jnp.where(jnp.isfinite(x), x, 0.0)


@functools.lru_cache(maxsize=64)
def _compiled(discount: float, lambda_: float) -> Any:
    """Eager JAX would hold every intermediate array."""
    return jax.jit(lambda rewards, values, mask: _scanned(rewards, values, mask, discount, lambda_))


def row_moments(x: Any, mask: Any) -> tuple[Any, Any, Any, Any]:
    found = _row_moments(x, mask)
    if on_host(x) and on_host(mask):
        count, low, mean, squares = (np.asarray(some, np.float64) for some in found)
        return count, low, mean, squares
    return found


@jax.jit
def _row_moments(x: Any, mask: Any) -> tuple[Any, Any, Any, Any]:
    count = mask.sum(1).astype(x.dtype)
    low = jnp.where(count > 0, jnp.where(mask, x, jnp.inf).min(1, initial=jnp.inf), 0.0)
    above = jnp.where(mask, x - low[:, None], 0.0)
    mean = above.sum(1) / count.clip(1.0)
    return count, low, mean, (jnp.where(mask, above - mean[:, None], 0.0) ** 2).sum(1)


def centered(x: Any, scored: Any, order: Any, place: Any, size: int, others: bool, ddof: int, epsilon: float) -> None:
    return None


def whitened_alike(x: Any, mask: Any, ddof: int, epsilon: Any) -> None:
    return None


def whitened(x: Any, mask: Any, origin: Any, mean: Any, scale: Any, own: bool = False) -> Any:
    return _whitened(x, mask, origin, mean, scale)


@jax.jit
def _whitened(x: Any, mask: Any, origin: Any, mean: Any, scale: Any) -> Any:
    return jnp.where(mask, (x - origin - mean) * scale, 0.0)


def powers(base: float, most: int, like: Any) -> Any:
    return jnp.asarray(np.power(base, np.arange(most + 1.0)), like.dtype)


def sum_of(x: Any, factor: float, y: Any) -> Any:
    return x + factor * y


def sums_after(x: Any) -> Any:
    after = jnp.tril(jnp.ones((x.shape[-1], x.shape[-1]), x.dtype), -1)
    return jnp.matmul(x, after, precision="highest")


def add_at(x: Any, columns: Any, numbers: Any) -> Any:
    return x.at[jnp.arange(x.shape[0]), columns].add(numbers)


def gather(x: Any, across: Any) -> Any:
    return across(x) if callable(across) else jax.lax.all_gather(x, across)


def rank(across: Any) -> Any:
    return None if callable(across) else jax.lax.axis_index(across)
