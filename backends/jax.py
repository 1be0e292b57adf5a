"""Primitives on JAX arrays; statistics run in at least float32, and every shape is static."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

xp = jnp

TILE: int | None = None


def kind(x: Any) -> str:
    """numpy's letter for the kind of dtype: f(loat), i(nteger), u(nsigned), b(ool), c(omplex)."""
    if jnp.issubdtype(x.dtype, jnp.floating):  # bfloat16 has another letter in numpy
        return "f"
    return str(x.dtype.kind)


def device(x: Any) -> None:
    return None  # JAX moves or refuses arrays of different devices by rules of its own


def traced(x: Any) -> bool:
    """Whether the values of `x` do not exist yet, because a compiler or a transformation is looking at its shape."""
    return isinstance(x, jax.core.Tracer)


def on_host(x: Any) -> bool:
    """Whether reading the values of `x` costs no device synchronisation."""
    return not traced(x) and x.is_fully_addressable and all(d.platform == "cpu" for d in x.devices())


def all_finite(x: Any) -> bool:
    """Whether every number is known to be finite; reads the values, so only for an `x` on the host."""
    return bool(jnp.isfinite(x).all())


def to_numpy(x: Any) -> Any:
    import numpy as np

    return np.asarray(x)


def from_numpy(x: Any, like: Any) -> Any:
    return jnp.asarray(x)


def stop_gradient(x: Any) -> Any:
    return jax.lax.stop_gradient(x)


def working(x: Any) -> Any:
    """`x` in the precision that statistics are formed in."""
    return x if x.dtype == jnp.float64 else x.astype(jnp.float32)


def result_dtype(x: Any) -> Any:
    """The floating dtype of advantages made from rewards `x`."""
    return x.dtype if kind(x) == "f" else jnp.result_type(float)


def cast(x: Any, dtype: Any) -> Any:
    return x.astype(dtype)


def full(shape: tuple[int, ...], value: float, like: Any) -> Any:
    return jnp.full(shape, value, like.dtype)


def arange(count: int, like: Any) -> Any:
    return jnp.arange(count)


def index(x: Any) -> Any:
    """`x` as integers that can index."""
    return x.astype(jnp.int32)


def segment(reduction: str, x: Any, slots: Any, count: int) -> Any:
    """Reduce (N,) `x` to (count,): the "sum", "min" or "max" over the rows of each slot."""
    return getattr(jax.ops, "segment_" + reduction)(x, slots, num_segments=count)


def blocks(function: Callable[..., Any], columns: tuple[Any, ...], size: int) -> Any:
    """Apply `function(each, *views)` to (N,) columns cut into groups of `size` neighbouring rows.

    A view has one axis over groups and one inside the group; `each(reduction, view)` reduces the latter (by
    "sum", "min", "max" or "first") and keeps it for broadcasting.
    """

    def each(reduction: str, view: Any) -> Any:
        if reduction == "first":
            return view[:, :1]
        return getattr(view, reduction)(axis=-1, keepdims=True)

    views = [column.reshape(-1, size) for column in columns]
    return jnp.broadcast_to(function(each, *views), views[0].shape).reshape(-1)


def over_rows(function: Callable[[Any], Any], rows: Any, tile: int) -> Any:
    """`function(rows)` on at most `tile` of the (R,) row numbers at a time, joined along the first axis."""
    count = rows.shape[0]
    if count <= tile:
        return function(rows)
    padded = jnp.pad(rows, (0, -count % tile)).reshape(-1, tile)
    return jax.lax.map(function, padded).reshape(-1)[:count]


def reverse_scan(decay: Any, x: Any) -> Any:
    """y[:, t] = x[:, t] + decay[:, t] * y[:, t + 1], with zero beyond the end."""

    def join(later: tuple[Any, Any], earlier: tuple[Any, Any]) -> tuple[Any, Any]:
        return earlier[0] * later[0], earlier[1] + earlier[0] * later[1]

    if not x.shape[1]:
        return x
    return jax.lax.associative_scan(join, (decay, x), reverse=True, axis=1)[1]


def gather(x: Any, across: Any) -> Any:
    """Stack a (k,) statistic of every rank to (R, k); `across` is an axis name or a function that does it."""
    return across(x) if callable(across) else jax.lax.all_gather(x, across)
