"""Statistics of the whole batch, which may be spread over ranks."""

from math import inf, isfinite
from typing import Any, Literal, NamedTuple

import numpy as np

from ..backends import Backend, backend_of
from ..core.types import A, Array
from .elementwise import at_least
from .tokens import ones_where

__all__ = ["Moments", "Weight", "masked_mean", "moments", "whiten", "whitened_advantages"]

Weight = Literal["tokens", "responses"]
"""What counts once: a response, or each of its tokens."""


class Moments(NamedTuple):
    """Mergeable statistics: `count` numbers with mean `origin + mean`, and `m2`, their squared distances from it.

    The origin is one of the numbers, so that equal ones have a `mean` and an `m2` of exactly zero.
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
        filled = self.count > 0
        count = self.count.sum()
        origin = _lowest(backend, self.origin, filled)
        means = backend.xp.where(filled, self.origin, origin) - origin + self.mean  # of an empty shard: 0
        mean = (self.count * means).sum() / at_least(count, 1.0)
        off = means - mean
        return Moments(count, origin, mean, (self.m2 + self.count * off * off).sum())


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
    x = backend.working(backend.stop_gradient(x))
    return _of_library(backend, _moments(backend, x, mask, weight, across, counts)[0], x)


def _of_library(backend: Backend, found: Moments, like: Any) -> Moments:
    if backend_of(found.count) is backend:
        return found
    return Moments(*(backend.from_numpy(np.asarray(some), like) for some in found))


def _moments(
    backend: Backend, x: Any, mask: Any, weight: str, across: Any, counts: Any, rows: Moments | None = None
) -> tuple[Moments, Any]:
    """Scalars, of numpy where all is at hand on the host, and where a number counts."""
    if counts is not None:
        here, counted = _weighted(backend, x, counts), counts > 0
    else:
        rows, counted = _rows(backend, x, mask, rows)
        here = _weighed(rows, weight if len(x.shape) == 2 else "tokens").merged()
    if across is None:
        return here, counted
    mine = backend_of(here.count).xp.stack(list(here))
    there = backend.gather(mine if backend_of(mine) is backend else backend.from_numpy(mine, x), across)
    return Moments(*(there[:, k] for k in range(4))).merged(), counted


def _rows(backend: Backend, x: Any, mask: Any, rows: Moments | None) -> tuple[Moments, Any]:
    """Statistics of each response, (N,), and where a number counts: under the mask, and finite.

    Those of a vector are of one row. On the host, they tell whether all is finite, which is not asked before. Those
    under the mask may be known.
    """
    if mask is not None and backend.on_host(x) and backend.on_host(mask):
        rows = rows or _row_moments(backend, x, mask)
        if isfinite(float(rows.mean.sum())):
            return rows, mask
    finite = backend.xp.abs(x) < inf
    counted = finite if mask is None else mask & finite
    return _row_moments(backend, x, counted), counted


def _row_moments(backend: Backend, x: Any, mask: Any) -> Moments:
    return Moments(*(backend.row_moments(x, mask) if len(x.shape) == 2 else backend.row_moments(x[None], mask[None])))


def _weighed(rows: Moments, weight: str) -> Moments:
    if weight == "tokens":
        return rows
    return rows._replace(count=rows.count.clip(None, 1.0), m2=rows.m2 / at_least(rows.count, 1.0))


def _weighted(backend: Backend, x: Any, counts: Any) -> Moments:
    mask = counts > 0
    x = backend.xp.where(mask, x, 0.0)
    count = counts.sum()
    origin = _lowest(backend, x, mask)
    mean = (counts * (x - origin)).sum() / at_least(count, 1.0)
    return Moments(count, origin, mean, (counts * (x - origin - mean) ** 2).sum())


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
    return backend.xp.nan_to_num(low, nan=0.0, posinf=0.0, neginf=0.0)


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
    return _whitened(x, mask, weight, ddof, epsilon, across, counts)


def _whitened(
    x: Any,
    mask: Any,
    weight: str,
    ddof: int,
    epsilon: Any,
    across: Any,
    counts: Any = None,
    rows: Moments | None = None,
    own: bool = False,
) -> Any:
    """See `whiten`; with statistics of rows that may be known, and in the memory of x if that is our `own`."""
    backend = backend_of(x)
    working = backend.stop_gradient(x)
    if (
        counts is not None or backend.kind(x) != "f" or working.dtype.itemsize < 4
    ):  # rows of floats are widened tile by tile
        working = backend.working(working)
    if across is None and counts is None and weight == "tokens":
        white = backend.whitened_alike(working, mask, ddof, epsilon)
        if white is not None:
            return backend.cast(white, backend.result_dtype(x))
    found, counted = _moments(backend, working, mask, weight, across, counts, rows)
    if hasattr(epsilon, "dtype"):  # perhaps traced, which no scalar of numpy can meet
        found = _of_library(backend, found, working)
    std = found.std(ddof)
    xp = backend_of(std).xp
    differ = std > 0
    scale = differ / xp.where(differ, std + epsilon, 1.0)
    table = len(x.shape) == 2
    white = backend.whitened(
        working if table else working[None],
        counted if table else counted[None],
        found.origin,
        found.mean,
        scale,
        own,
    )
    return backend.cast(white if table else white[0], backend.result_dtype(x))


def whitened_advantages(
    token_rewards: A,
    values: Array | None,
    mask: Array,
    *,
    discount: float = 1.0,
    lambda_: float = 1.0,
    weight: Weight = "tokens",
    ddof: int = 1,
    epsilon: float = 1e-6,
    across: Any = None,
) -> A:
    """(N, T) `whiten` of `lambda_advantages`, or of `discounted_returns` where values are None, in fewer passes.

    The statistics of a row are formed while it lies in the cache, and whitened numbers take the place of raw ones.

    Args:
        token_rewards: (N, T) reward attributed to each token.
        values: (N, T) the critic's values, or None: all are zero.
        mask: (N, T) bool, trained tokens.
        discount: per trained token.
        lambda_: see `lambda_advantages`; without values, a second factor of the discount.
        weight: statistics over "tokens" or over "responses", see `moments`.
        ddof: 1 for the sample deviation, 0 for the population's.
        epsilon: added to the deviation.
        across: how to reach the other ranks, see `moments`.

    Returns:
        Array of the shape, library, device and dtype of `token_rewards`.

    >>> import numpy as np
    >>> rewards, mask = np.array([[0.0, 1.0], [0.0, -1.0]]), np.ones((2, 2), bool)
    >>> whitened_advantages(rewards, None, mask, epsilon=0.0).round(3)
    array([[ 0.866,  0.866],
           [-0.866, -0.866]])
    """
    backend = backend_of(token_rewards)
    advantages, known = backend.advantages_and_moments(token_rewards, values, mask, discount, lambda_)
    rows = None if known is None else Moments(*known)
    white = _whitened(advantages, mask, weight, ddof, epsilon, across, rows=rows, own=True)
    return backend.cast(white, backend.result_dtype(token_rewards))


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
