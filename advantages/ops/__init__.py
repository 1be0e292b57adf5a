"""The words that estimators are written in: groups, pairs, tokens, and statistics of the whole batch.

Every word runs on numpy, torch and JAX arrays, eagerly and compiled, and selects with `where`: what does not count
may hold NaN or infinity. Statistics are formed in at least float32, measured from a member of the set so that equal
numbers deviate by exactly zero.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from ..backends import backend_of
from ..core.groups import Groups
from ..core.types import A, Array, Ids
from ..core.validation import check_arrays

__all__ = [
    "Moments",
    "at_least",
    "carried_rewards",
    "discounted_returns",
    "group_centered",
    "group_count",
    "group_mean",
    "group_std",
    "group_sum",
    "group_zscore",
    "log_sigmoid",
    "masked_mean",
    "moments",
    "namespace",
    "outcome",
    "pair_reduce",
    "reverse_scan",
    "sequence_logprobs",
    "shifted",
    "sigmoid",
    "to_tokens",
    "where",
    "whiten",
]

_PAIRS = 1 << 18  # pairs held at once, measured in benchmarks/pairs.py

Weight = Literal["tokens", "responses"]

_ROWS = (("N",),)
_TOKENS = (("N", "T"),)


def namespace(x: Any) -> Any:
    """The module with the elementwise functions for `x`: numpy, torch or jax.numpy."""
    return backend_of(x).xp


def where(condition: Any, x: Any, otherwise: Any) -> Any:
    """`x` where `condition` holds, else `otherwise`; `None` is a condition that holds everywhere."""
    return x if condition is None else backend_of(condition).xp.where(condition, x, otherwise)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), without overflow, and with sigmoid(x) + sigmoid(-x) = 1 exactly."""
    return 0.5 + 0.5 * backend_of(x).xp.tanh(0.5 * x)


def log_sigmoid(x: Any) -> Any:
    """log(sigmoid(x)), exact where the sigmoid itself would vanish."""
    xp = backend_of(x).xp
    return xp.clip(x, None, 0.0) - xp.log1p(xp.exp(-xp.abs(x)))


# Groups


class _Within:
    """Reductions over the scored members of each group, broadcast back to the members."""

    def __init__(self, reduce: Callable[[str, Any], Any], scored: Any, size: int | None = None) -> None:
        self.reduce, self.scored = reduce, scored
        self.full = size if scored is None else None
        """Rows of every group, where groups are equal blocks and all rows count."""

    def sum(self, view: Any) -> Any:
        return self.reduce("sum", where(self.scored, view, 0.0))

    def count(self, view: Any) -> Any:
        """Scored members; a plain number where it is the same for all groups."""
        return self.full if self.full is not None else self.sum(backend_of(view).xp.ones_like(view))

    def anchor(self, view: Any) -> Any:
        """Some scored member of the group."""
        if self.full is not None:
            return self.reduce("first", view)
        return self.reduce("min", where(self.scored, view, float("inf")))

    def gap(self, view: Any) -> Any:
        """Distance from a member: exactly zero in a group of equals, before anything is rounded."""
        return where(self.scored, view - self.anchor(view), 0.0)

    def mean(self, view: Any) -> Any:
        return self.sum(view) / at_least(self.count(view), 1.0)

    def centered(self, view: Any) -> Any:
        gap = self.gap(view)
        return where(self.scored, gap - self.mean(gap), 0.0)

    def std(self, centered: Any, ddof: int) -> Any:
        variance = self.sum(centered * centered) / at_least(self.count(centered) - ddof, 1.0)
        return backend_of(variance).xp.sqrt(variance)


def at_least(count: Any, least: float) -> Any:
    """`count`, or `least` where it is smaller: a denominator that is never zero."""
    if isinstance(count, int):
        return max(count, least)
    return backend_of(count).xp.clip(count, least, None)


def _within(function: Callable[[_Within, Any], Any], x: Any, groups: Ids) -> Any:
    """`function(within, view)`: views are two-dimensional where groups are equal blocks, so that no index is needed."""
    groups = groups if isinstance(groups, Groups) else Groups(groups)
    backend = backend_of(x)
    x = where(groups.scored, backend.working(x), 0.0)
    if groups.size is not None:
        columns = (x,) if groups.scored is None else (x, groups.scored)
        return backend.blocks(
            lambda reduce, view, scored=None: function(_Within(reduce, scored, groups.size), view), columns, groups.size
        )
    slots = groups.slots_like(x)
    return function(
        _Within(lambda reduction, view: backend.segment(reduction, view, slots, groups.count)[slots], groups.scored), x
    )


def group_count(x: A, groups: Ids) -> A:
    """(N,) scored members of each row's group, as floats; 1 for a row that does not count, so that it divides.

    >>> import numpy as np
    >>> group_count(np.zeros(3), ["a", "b", "a"])
    array([2., 1., 2.])
    """

    groups = groups if isinstance(groups, Groups) else Groups(groups)
    if groups.size is not None and groups.scored is None:
        backend = backend_of(x)
        return backend.full((len(groups),), groups.size, backend.working(x))
    return _within(lambda within, view: where(within.scored, within.count(view), 1.0), x, groups)


def group_sum(x: A, groups: Ids) -> A:
    """(N,) sum of `x` over the scored members of each row's group."""
    return _within(lambda within, view: within.sum(view), x, groups)


def group_mean(x: A, groups: Ids) -> A:
    """(N,) mean of `x` over the scored members of each row's group.

    >>> import numpy as np
    >>> group_mean(np.array([1.0, 5.0, 3.0]), ["a", "b", "a"])
    array([2., 5., 2.])
    """
    return _within(lambda within, view: within.anchor(view) + within.mean(within.gap(view)), x, groups)


def group_centered(x: A, groups: Ids) -> A:
    """(N,) distance of `x` from its group's mean; exactly zero in a group of equals."""
    return _within(lambda within, view: within.centered(view), x, groups)


def group_std(x: A, groups: Ids, *, ddof: int = 1) -> A:
    """(N,) standard deviation of `x` in each row's group; exactly zero in a group of equals, and for a lone member."""
    return _within(lambda within, view: within.std(within.centered(view), ddof), x, groups)


def group_zscore(x: A, groups: Ids, *, epsilon: float = 1e-6, ddof: int = 1) -> A:
    """(N,) `x` centred in its group and divided by the group's deviation plus `epsilon`; exactly zero for equals."""

    def zscore(within: _Within, view: Any) -> Any:
        centered = within.centered(view)
        std = within.std(centered, ddof)
        return centered / where(std > 0, std + epsilon, 1.0)

    return _within(zscore, x, groups)


def pair_reduce(
    reduction: Literal["sum", "max"], function: Callable[..., Any], columns: tuple[Any, ...], groups: Ids
) -> Any:
    """Sum, or largest value, of a function of two responses over the others in a response's group.

        y_i = sum over j != i, in i's group, of function(a_i, b_i, ..., a_j, b_j, ...)

    Args:
        reduction: "sum", or "max".
        function: elementwise; gets every column twice, broadcastable against each other: first for i, then for j.
        columns: the (N,) arrays a, b, ...
        groups: (N,) ids; rows that do not count are no partners.

    Returns:
        (N,) sums or maxima, 0 without others. At most `2 ** 18` pairs are held in memory at once, whatever the
        size of a group.

    >>> import numpy as np
    >>> pair_reduce("sum", lambda r_i, r_j: r_i - r_j, (np.array([1.0, 0.0, 4.0]),), ["a", "a", "b"])
    array([ 1., -1.,  0.])
    """
    groups = groups if isinstance(groups, Groups) else Groups(groups)
    backend = backend_of(columns[0])
    xp = backend.xp
    columns = tuple(backend.working(column) for column in columns)
    count = len(groups)
    if not count:
        return columns[0]
    every_row = backend.arange(count, columns[0])

    def total(rows: Any, partners: Any, counts: Any) -> Any:
        if groups.scored is not None:
            counts = counts & groups.scored[partners]
        pairs = function(*(c[rows][:, None] for c in columns), *(c[partners] for c in columns))
        if reduction == "sum":
            return xp.where(counts, pairs, 0.0).sum(-1)
        return xp.where(counts.any(-1), xp.amax(xp.where(counts, pairs, -float("inf")), -1), 0.0)

    if groups.size is not None:
        size = groups.size
        place = backend.arange(size, columns[0])[None, :]

        def in_block(rows: Any) -> Any:
            partners = (rows // size * size)[:, None] + place
            return total(rows, partners, partners != rows[:, None])

        return backend.over_rows(in_block, every_row, max(1, _PAIRS // size))

    slots = groups.slots_like(columns[0])
    if not groups.on_host:  # sizes are unknown: compare with every row, and select

        def anywhere(rows: Any) -> Any:
            partners = every_row[None, :]
            return total(rows, partners, (slots[rows][:, None] == slots[None, :]) & (partners != rows[:, None]))

        return backend.over_rows(anywhere, every_row, max(1, _PAIRS // count))

    order, starts, sizes, back = (
        groups.like(name, getattr(groups.members, name), columns[0]) for name in ("order", "starts", "sizes", "back")
    )
    sums = []
    for number, (width, bucket) in enumerate(groups.members.buckets):
        place = backend.arange(width, columns[0])[None, :]

        def in_table(rows: Any, place: Any = place) -> Any:
            slot = slots[rows]
            partners = order[xp.clip(starts[slot][:, None] + place, None, count - 1)]
            return total(rows, partners, (place < sizes[slot][:, None]) & (partners != rows[:, None]))

        sums.append(
            backend.over_rows(in_table, groups.like(f"bucket {number}", bucket, columns[0]), max(1, _PAIRS // width))
        )
    return xp.concatenate(sums)[back]


# Tokens


def reverse_scan(decay: A, x: A) -> A:
    """(N, T) the linear recurrence that runs backwards in time: y_t = x_t + decay_t * y_{t+1}, zero beyond the end.

    >>> import numpy as np
    >>> reverse_scan(np.full((1, 3), 0.5), np.array([[0.0, 0.0, 4.0]]))
    array([[1., 2., 4.]])
    """
    return backend_of(x).reverse_scan(decay, x)


def shifted(x: A) -> A:
    """(N, T) `x` one token later, with zero beyond the end: y_t = x_{t+1}."""
    xp = backend_of(x).xp
    return xp.concatenate([x[:, 1:], xp.zeros_like(x[:, :1])], 1)


def to_tokens(advantages: A, mask: Array) -> A:
    """(N, T) each response's advantage on its trained tokens, and 0 elsewhere.

    >>> import numpy as np
    >>> to_tokens(np.array([2.0, -1.0]), np.array([[True, True, False], [True, False, True]]))
    array([[ 2.,  2.,  0.],
           [-1.,  0., -1.]])
    """
    check_arrays("to_tokens", {"advantages": advantages, "mask": mask}, {"advantages": _ROWS})
    return where(_flags(mask), advantages[:, None], 0.0)


def carried_rewards(token_rewards: A, mask: Array) -> A:
    """(N, T) rewards on trained tokens: one on a masked token moves to the last trained token before it.

    Rewards ahead of the first trained token move to that token, so that no reward is lost while a response has a
    trained token. A non-finite number on a masked token is padding and counts as no reward.

    >>> import numpy as np
    >>> carried_rewards(np.array([[0.0, 0.0, 1.0]]), np.array([[True, True, False]]))
    array([[0., 1., 0.]])
    """
    check_arrays("carried_rewards", {"token_rewards": token_rewards, "mask": mask})
    backend = backend_of(token_rewards)
    xp = backend.xp
    mask = _flags(mask)
    rewards = _finite_rewards(backend.working(token_rewards), mask)
    if backend.on_host(rewards) and not bool(xp.any(where(mask, 0.0, rewards) != 0)):
        return where(mask, rewards, 0.0)
    zeros = xp.zeros_like(rewards)
    waiting = backend.reverse_scan(where(mask, zeros, 1.0), where(mask, 0.0, rewards))
    first = mask & (xp.cumsum(mask, 1) == 1)
    return where(mask, rewards + shifted(waiting), 0.0) + where(first, waiting[:, :1], 0.0)


def _finite_rewards(rewards: Any, mask: Any) -> Any:
    return where(mask | backend_of(rewards).xp.isfinite(rewards), rewards, 0.0)


def outcome(token_rewards: A, mask: Array) -> A:
    """(N,) the reward of each response: the sum over its tokens, where one on a masked token still counts.

    A non-finite number on a masked token is padding and counts as no reward; one on a trained token makes the
    response unscored, and its outcome non-finite.

    >>> import numpy as np
    >>> outcome(np.array([[0.5, 0.0, 1.0]]), np.array([[True, True, False]]))
    array([1.5])
    """
    check_arrays("outcome", {"token_rewards": token_rewards, "mask": mask})
    return _finite_rewards(backend_of(token_rewards).working(token_rewards), _flags(mask)).sum(1)


def discounted_returns(token_rewards: A, mask: Array, *, discount: float = 1.0) -> A:
    """(N, T) reward-to-go of each trained token: G_t = r_t + discount * G_{t+1}.

    Time steps over masked tokens, at no discount; a reward on one belongs to the last trained token before it.

    >>> import numpy as np
    >>> discounted_returns(np.array([[0.0, 0.0, 0.0, 1.0]]), np.array([[True, False, True, False]]), discount=0.5)
    array([[0.5, 0. , 1. , 0. ]])
    """
    rewards = carried_rewards(token_rewards, mask)
    mask = _flags(mask)
    decay = where(mask, backend_of(rewards).xp.zeros_like(rewards) + discount, 1.0)
    return where(mask, reverse_scan(decay, rewards), 0.0)


def sequence_logprobs(token_logprobs: A, mask: Array, *, reduction: Literal["sum", "mean"] = "sum") -> A:
    """(N,) log-probability of each response, from those of its trained tokens, in at least float32.

    Args:
        token_logprobs: (N, T) nats.
        mask: (N, T) bool.
        reduction: "sum", or "mean" per trained token; a response without one has 0.

    >>> import numpy as np
    >>> sequence_logprobs(np.array([[-1.0, -3.0, np.nan]]), np.array([[True, True, False]]), reduction="mean")
    array([-2.])
    """
    check_arrays("sequence_logprobs", {"token_logprobs": token_logprobs, "mask": mask})
    if reduction not in ("sum", "mean"):
        raise ValueError(f'sequence_logprobs: reduction is {reduction!r}; pass "sum" or "mean"')
    mask = _flags(mask)
    logprobs = backend_of(token_logprobs).working(token_logprobs)
    total = where(mask, logprobs, 0.0).sum(1)
    return total if reduction == "sum" else total / at_least(_ones(mask, logprobs).sum(1), 1.0)


def _flags(mask: Any) -> Any:
    return mask if backend_of(mask).kind(mask) == "b" else mask != 0


def _ones(mask: Any, like: Any) -> Any:
    return where(mask, backend_of(like).xp.ones_like(like), 0.0)


# Statistics of the whole batch


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
        xp = backend_of(self.count).xp
        filled = self.count > 0
        count = self.count.sum()
        origin = _lowest(self.origin, filled)
        means = xp.where(filled, self.origin - origin + self.mean, 0.0)
        mean = (self.count * means).sum() / at_least(count, 1.0)
        m2 = xp.where(filled, self.m2 + self.count * (means - mean) ** 2, 0.0).sum()
        return Moments(count, origin, mean, m2)


def moments(x: Any, mask: Any = None, *, weight: Weight = "tokens", across: Any = None) -> Moments:
    """Count, mean and squared deviation of a batch that may be spread over ranks.

    Args:
        x: (N,) or (N, T) numbers.
        mask: bool, of the shape of `x`: what counts.
        weight: what the statistics count: "tokens", each alike, or "responses", each alike whatever its length.
        across: how to reach the other ranks: None for none, a torch process group, the name of a JAX axis, or a
            function that stacks a (k,) array of every rank to (R, k). Ranks may hold different numbers of rows,
            or none; the result is that of the unsharded batch.

    Returns:
        `Moments` of scalar arrays in at least float32.
    """
    _check("moments", x, mask, weight)
    backend = backend_of(x)
    xp = backend.xp
    x = backend.working(backend.stop_gradient(x))
    mask = xp.isfinite(x) if mask is None else _flags(mask) & xp.isfinite(x)
    x, weights = xp.where(mask, x, 0.0), _weights(mask, x, weight)
    count = weights.sum()
    origin = _lowest(x, mask)
    mean = (weights * (x - origin)).sum() / at_least(count, 1.0)
    here = Moments(count, origin, mean, (weights * (x - origin - mean) ** 2).sum())
    if across is None:
        return here
    there = backend.gather(xp.stack(list(here)), across)
    return Moments(*(there[:, k] for k in range(4))).merged()


def _check(who: str, x: Any, mask: Any, weight: str) -> None:
    check_arrays(who, {"x": x}, {"x": (("N",), ("N", "T"))})
    check_arrays(who, {"x": x, "mask": mask}, dict.fromkeys(("x", "mask"), _ROWS if len(x.shape) == 1 else _TOKENS))
    if weight not in ("tokens", "responses"):
        raise ValueError(f'{who}: weight is {weight!r}; pass "tokens" or "responses"')


def _weights(mask: Any, like: Any, weight: str) -> Any:
    ones = _ones(mask, like)
    if weight == "responses" and len(mask.shape) == 2:
        return ones / at_least(ones.sum(1)[:, None], 1.0)
    return ones


def _lowest(x: Any, mask: Any) -> Any:
    """() the smallest number that counts, or 0 where none does."""
    xp = backend_of(x).xp
    if 0 in x.shape:
        return x.sum()
    low = xp.where(mask, x, float("inf")).min()
    return xp.where(xp.isfinite(low), low, 0.0)


def whiten(
    x: A,
    mask: Array | None = None,
    *,
    weight: Weight = "tokens",
    ddof: int = 1,
    epsilon: float = 1e-6,
    across: Any = None,
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

    Returns:
        Array of the shape, library, device and dtype of `x`.

    >>> import numpy as np
    >>> whiten(np.array([1.0, 3.0, 9.0]), np.array([True, True, False]), epsilon=0.0).round(3)
    array([-0.707,  0.707,  0.   ])
    """
    _check("whiten", x, mask, weight)
    backend = backend_of(x)
    xp = backend.xp
    working = backend.working(backend.stop_gradient(x))
    counts = xp.isfinite(working) if mask is None else _flags(mask) & xp.isfinite(working)
    found = moments(working, counts, weight=weight, across=across)
    std = found.std(ddof)
    centered = xp.where(counts, working, found.origin) - found.origin - found.mean
    white = xp.where(counts, centered / xp.where(std > 0, std + epsilon, 1.0), 0.0)
    return backend.cast(white, backend.result_dtype(x))


def masked_mean(x: A, mask: Array, *, weight: Weight = "tokens") -> A:
    """() mean of `x` over what counts: over all "tokens" alike, or over "responses" of each one's own mean.

    >>> import numpy as np
    >>> x, mask = np.array([[1.0, 1.0], [4.0, np.nan]]), np.array([[True, True], [True, False]])
    >>> float(masked_mean(x, mask)), float(masked_mean(x, mask, weight="responses"))
    (2.0, 2.5)
    """
    _check("masked_mean", x, mask, weight)
    mask, x = _flags(mask), backend_of(x).working(x)
    weights = _weights(mask, x, weight)
    return (weights * where(mask, x, 0.0)).sum() / at_least(weights.sum(), 1.0)
