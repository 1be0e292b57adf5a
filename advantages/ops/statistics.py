"""Statistics of the whole batch, which may be spread over ranks."""

from typing import Any, Literal, NamedTuple

from ..backends import Backend, backend_of
from ..core.types import A, Array
from .elementwise import at_least
from .tokens import ones_where

__all__ = ["Moments", "Weight", "masked_mean", "moments", "whiten"]

Weight = Literal["tokens", "responses"]


class Moments(NamedTuple):
    """Mergeable statistics: `count` numbers with mean `origin + mean`, and `m2`, their squared distances from it.

    The origin is the smallest number, so that equal numbers have a `mean` and an `m2` of exactly zero.
    """

    count: Any
    origin: Any
    mean: Any
    m2: Any

    def std(self, ddof: int = 1) -> Any:
        return backend_of(self.m2).xp.sqrt(self.m2 / at_least(self.count - ddof, 1.0))

    def merged(self) -> "Moments":
        """One set of statistics from those of R shards, stacked along the first axis."""
        backend = backend_of(self.count)
        xp = backend.xp
        filled = self.count > 0
        count = self.count.sum()
        origin = _lowest(backend, self.origin, filled)
        means = xp.where(filled, self.origin - origin + self.mean, 0.0)
        mean = (self.count * means).sum() / at_least(count, 1.0)
        m2 = xp.where(filled, self.m2 + self.count * (means - mean) ** 2, 0.0).sum()
        return Moments(count, origin, mean, m2)


def moments(x: Any, mask: Any = None, *, weight: Weight = "tokens", across: Any = None, counts: Any = None) -> Moments:
    """Count, mean and squared deviation of a batch that may be spread over ranks.

    Args:
        x: (N,) or (N, T) numbers.
        mask: bool, of the shape of `x`: what counts.
        weight: what the statistics count: "tokens", each alike, or "responses", each alike whatever its length.
        across: how to reach the other ranks: None for none, a torch process group, the name of a JAX axis, or a
            function that stacks a (k,) array of every rank to (R, k). Ranks may hold different numbers of rows,
            or none; the result is that of the unsharded batch.
        counts: how often each number counts, of the shape of `x`, instead of a mask and a weight.

    Returns:
        `Moments` of scalar arrays in at least float32.
    """
    backend = backend_of(x)
    xp = backend.xp
    x = backend.working(backend.stop_gradient(x))
    if counts is None:
        mask = xp.isfinite(x) if mask is None else mask & xp.isfinite(x)
        counts = _counts(mask, x, weight)
    else:
        mask = counts > 0
    x = xp.where(mask, x, 0.0)
    count = counts.sum()
    origin = _lowest(backend, x, mask)
    mean = (counts * (x - origin)).sum() / at_least(count, 1.0)
    here = Moments(count, origin, mean, (counts * (x - origin - mean) ** 2).sum())
    if across is None:
        return here
    there = backend.gather(xp.stack(list(here)), across)
    return Moments(*(there[:, k] for k in range(4))).merged()


def _counts(mask: Any, like: Any, weight: str) -> Any:
    ones = ones_where(mask, like)
    if weight == "responses" and len(mask.shape) == 2:
        return ones / at_least(ones.sum(1)[:, None], 1.0)
    return ones


def _lowest(backend: Backend, x: Any, mask: Any) -> Any:
    """() the smallest number that counts, or 0 where none does."""
    if 0 in x.shape:
        return x.sum()
    low = backend.xp.where(mask, x, float("inf")).min()
    return backend.xp.where(backend.xp.isfinite(low), low, 0.0)


def whiten(
    x: A,
    mask: Array | None = None,
    *,
    weight: Weight = "tokens",
    ddof: int = 1,
    epsilon: float = 1e-6,
    across: Any = None,
    counts: Any = None,
) -> A:
    """`x` shifted and scaled to mean 0 and deviation 1 over what counts, and 0 elsewhere.

        (x - mean) / (std + epsilon)

    Equal numbers become exactly 0, and so does a single one. A non-finite number does not count.

    Args:
        x: (N,) or (N, T) numbers.
        mask: bool, of the shape of `x`; None: everything counts.
        weight: statistics over "tokens" or over "responses", see `moments`.
        ddof: 1 for the sample deviation, 0 for the population's.
        epsilon: added to the deviation.
        across: how to reach the other ranks, see `moments`.
        counts: how often each number counts, of the shape of `x`, instead of a mask and a weight.

    Returns:
        Array of the shape, library, device and dtype of `x`.

    >>> import numpy as np
    >>> whiten(np.array([1.0, 3.0, 9.0]), np.array([True, True, False]), epsilon=0.0).round(3)
    array([-0.707,  0.707,  0.   ])
    """
    backend = backend_of(x)
    xp = backend.xp
    working = backend.working(backend.stop_gradient(x))
    if counts is not None:
        counted = counts > 0
    else:
        counted = xp.isfinite(working) if mask is None else mask & xp.isfinite(working)
    found = moments(working, counted, weight=weight, across=across, counts=counts)
    std = found.std(ddof)
    centered = xp.where(counted, working, found.origin) - found.origin - found.mean
    white = xp.where(counted, centered / xp.where(std > 0, std + epsilon, 1.0), 0.0)
    return backend.cast(white, backend.result_dtype(x))


def masked_mean(x: A, mask: Array, *, weight: Weight = "tokens") -> A:
    """() mean of `x` over what counts: over all "tokens" alike, or over "responses" of each one's own mean.

    >>> import numpy as np
    >>> x, mask = np.array([[1.0, 1.0], [4.0, np.nan]]), np.array([[True, True], [True, False]])
    >>> float(masked_mean(x, mask)), float(masked_mean(x, mask, weight="responses"))
    (2.0, 2.5)
    """
    backend = backend_of(x)
    x = backend.working(x)
    counts = _counts(mask, x, weight)
    return (counts * backend.xp.where(mask, x, 0.0)).sum() / at_least(counts.sum(), 1.0)
