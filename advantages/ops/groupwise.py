"""Words about groups: what is reduced over the members of a group is given back to each of them."""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from ..backends import backend_of
from ..backends.kernels import compiled, numpy_groups
from ..core.groups import Groups
from ..core.once import once
from ..core.types import A, Ids
from .elementwise import at_least, unless, where
from .refusals import few
from .unseen import Unseen

__all__ = [
    "FLOATS",
    "Grouped",
    "Ordered",
    "above_log_mean_exp",
    "group_above_others",
    "group_centered",
    "group_count",
    "group_lead",
    "group_max",
    "group_mean",
    "group_min",
    "group_ranks",
    "group_std",
    "group_std_of_others",
    "group_sum",
    "group_zscore",
    "made_groups",
    "small_groups",
    "sorted_rows",
    "unlikely",
]

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
"""What plain loops over memory read."""
_COMPILED = 64
"""Rows from which a compiled loop is faster than one in numpy (benchmarks/groups.py)."""


class Grouped:
    """Numbers seen by group: every reduction runs over the scored members, and is given back to all members.

    Where groups are equal blocks, `view` has an axis over groups and one inside the group, so that no index is
    needed, and what is reduced broadcasts by itself; elsewhere it is the rows as they stand. What a method gives is
    such a view, too, until `rows` makes rows of it.

    Args:
        x: (N,) numbers, or (N, T) for groups of cells.
        groups: (N,) ids, or `Groups`, whose `scored` says which rows enter the statistics.
    """

    def __init__(self, x: Any, groups: Ids) -> None:
        x = x.seen() if type(x) is Unseen else x
        self.groups = groups if isinstance(groups, Groups) else made_groups(groups, x.shape[0])
        self.backend = backend_of(x)
        self.size = self.groups.size
        self.scattered = False
        self.tables = self.backend.REORDERS and self.groups.on_host and not self.backend.transformed(x)
        if self.size is None and self.tables:
            self.size = self.groups.members.size
            self.scattered = self.size is not None
        self.given, self.shape = x, tuple(x.shape)
        self.made: dict[str, Any] = {}
        self.dtype = self.backend.wide_dtype(x)
        self.exact = self.backend.kind(x) == "f" and x.dtype.itemsize < self.dtype.itemsize == 8
        """Whether sums lose nothing, for they have twice the digits of what is summed: equal numbers are their mean."""

    @once
    def scored(self) -> Any:
        """Where a view is scored, or None where it is everywhere."""
        return self._of_groups("scored", lambda: self._viewed(self.groups.scored))

    @once
    def unscored(self) -> Any:
        """Where a view is not scored, or None."""
        return self._of_groups("unscored", lambda: ~self.scored)

    def _of_groups(self, name: str, make: Callable[[], Any]) -> Any:
        if self.groups.scored is None:
            return None
        return self.groups.remembered((f"view of {name}", self.backend.xp.__name__, self.size, self.scattered), make)

    @once
    def as_given(self) -> Any:
        """The numbers, in the precision that statistics are formed in."""
        return self._viewed(self.backend.wide(self.given))

    @once
    def view(self) -> Any:
        """The numbers, in that precision; 0 where nothing is scored."""
        return self.kept(self.as_given)

    def kept(self, view: Any, otherwise: float = 0.0) -> Any:
        """A view where it is scored, and elsewhere a number."""
        return unless(self.unscored, view, otherwise)

    def _viewed(self, x: Any) -> Any:
        if x is None:
            return None
        if self.size is None:
            return x.reshape(-1)
        if self.scattered:
            x = x.reshape(-1)[self.groups.like("order", self.groups.members.order, x)]
        return self.backend.blocks(x, self.size)

    def rows(self, view: Any) -> Any:
        """A view as the rows that it was made of."""
        if not hasattr(view, "shape") or prod(view.shape) != prod(self.shape):  # one number a group, or one number
            view = view + self.backend.xp.zeros_like(self.view)
        if self.size is not None:
            view = self.backend.rows(view)
        if self.scattered:
            view = view[self.groups.like("place", self.groups.members.place, view)]
        return view if view.shape == self.shape else view.reshape(self.shape)

    def each(self, reduced: Any) -> Any:
        """One number a group, for each member, or broadcastable to the members."""
        if self.size is not None or isinstance(reduced, (int, float)):
            return reduced
        return reduced[self.groups.slots_like(self.given)]

    def reduced(self, reduction: str, view: Any) -> Any:
        """The "sum", "min" or "max" over all members, scored or not: one number a group."""
        if self.size is not None:
            return self.backend.reduced(reduction, view)
        return self.backend.segment(reduction, view, self.groups.slots_like(view), self.groups.count)

    def sum(self, view: Any) -> Any:
        """The sum over the scored members."""
        return self.each(self.reduced("sum", self.kept(view)))

    def min(self, view: Any) -> Any:
        """The least of the scored members; infinity where none is."""
        return self.each(self.reduced("min", self.kept(view, float("inf"))))

    def max(self, view: Any) -> Any:
        """The greatest of the scored members; -infinity where none is."""
        return self.each(self.reduced("max", self.kept(view, -float("inf"))))

    @property
    def count(self) -> Any:
        """Scored members; a plain number where it is the same for all groups."""
        return self.each(self.counts)

    @once
    def counts(self) -> Any:
        """Scored members: one number a group, or a plain number."""
        if self.scored is not None and self.size is not None:
            return self.backend.xp.sum(self.scored, axis=self.backend.GROUP_AXIS, keepdims=True, dtype=self.dtype)
        if self.scored is not None:
            return self.reduced("sum", self.backend.cast(self.scored, self.dtype, True))
        if self.size is not None:
            return self.size
        if self.tables:
            sizes = self.groups.like("sizes", self.groups.members.sizes, self.given)
            return self.backend.cast(sizes, self.dtype, True)
        return self.reduced("sum", self.backend.xp.ones_like(self.view))

    def anchor(self, view: Any) -> Any:
        """Some scored member of each group."""
        if self.scored is None and self.size is not None:
            return view[:1] if self.backend.GROUP_AXIS == 0 else view[:, :1]
        if self.scored is None and self.tables:
            return view[self.groups.like("first", self.groups.members.first, view)]
        return self.min(view)

    def gap(self, view: Any) -> Any:
        """Distance from a member: exactly zero in a group of equals, before anything is rounded."""
        return self.kept(view - self.anchor(view))

    def mean(self, view: Any) -> Any:
        """The mean of the scored members."""
        return self.each(self.reduced("sum", self.kept(view)) / at_least(self.counts, 1))

    def centered(self) -> Any:
        """Distance from the mean. Gaps are large where the range is, and so is their rounding: hence the second mean,
        wherever they are not in float64."""
        centered = self.view if self.exact else self.gap(self.as_given)
        for _ in range(1 if centered.dtype.itemsize == 8 else 2):  # what is not scored is zero in all of them
            mean = self.reduced("sum", centered) / at_least(self.counts, 1)
            centered = self.kept(centered - self.each(mean))
        return centered

    def std(self, centered: Any, ddof: int, epsilon: float | None = None) -> Any:
        """The deviation of what is centred already; exactly zero in a group of equals.

        With an `epsilon` it is what to divide by: the deviation plus `epsilon`, which is not zero.
        """
        if self.size is not None:
            norm = self.backend.reduced("norm", centered)
        else:
            norm = self.backend.xp.sqrt(self.reduced("sum", centered * centered))
        std = norm / at_least(self.counts - ddof, 1) ** 0.5
        if epsilon is None:
            return self.each(std)
        known = isinstance(epsilon, (int, float)) and epsilon > 1e-30  # which single precision does not round to zero
        return self.each(std + epsilon if known else where(std > 0, std + epsilon, 1.0))


def made_groups(ids: Any, rows: int) -> Groups:
    """`Groups` from ids, or from the number of neighbouring rows that make up each group."""
    return Groups.of_size(ids, rows) if isinstance(ids, int) else Groups(ids)


def group_count(x: A, groups: Ids) -> Any:
    """(N,) scored members of each row's group, as floats; 1 for a row that does not count, so that it divides.

    A plain number where groups are equal blocks, all of whose members count.

    >>> import numpy as np
    >>> group_count(np.zeros(3), ["a", "b", "a"])
    array([2., 1., 2.])
    >>> group_count(np.zeros(4), 2)
    2
    """
    groups = groups if isinstance(groups, Groups) else made_groups(groups, x.shape[0])
    if groups.size is not None and groups.scored is None:
        return groups.size
    backend = backend_of(x)

    def counted() -> Any:
        g = Grouped(x, groups)
        return g.rows(g.kept(g.count, 1.0))

    return groups.remembered(("count", backend.xp.__name__, backend.wide_dtype(x), backend.device(x)), counted)


def group_sum(x: A, groups: Ids) -> A:
    """(N,) sum of `x` over the scored members of each row's group."""
    g = Grouped(x, groups)
    return g.rows(g.sum(g.view))


def group_min(x: A, groups: Ids) -> A:
    """(N,) least `x` of the scored members of each row's group; 0 for a row that does not count."""
    g = Grouped(x, groups)
    return g.rows(g.kept(g.min(g.view)))


def group_max(x: A, groups: Ids) -> A:
    """(N,) greatest `x` of the scored members of each row's group; 0 for a row that does not count."""
    g = Grouped(x, groups)
    return g.rows(g.kept(g.max(g.view)))


def group_mean(x: A, groups: Ids) -> A:
    """(N,) mean of `x` over the scored members of each row's group; 0 where none is scored.

    >>> import numpy as np
    >>> group_mean(np.array([1.0, 5.0, 3.0]), ["a", "b", "a"])
    array([2., 5., 2.])
    """
    g = Grouped(x, groups)
    anchor = g.anchor(g.view)
    anchor = where(None if g.scored is None else anchor < float("inf"), anchor, 0.0)  # a group without a scored member
    return g.rows(anchor + g.mean(g.gap(g.view)))


def group_centered(x: A, groups: Ids) -> A:
    """(N,) distance of `x` from its group's mean; exactly zero in a group of equals."""
    groups = groups if isinstance(groups, Groups) else made_groups(groups, x.shape[0])
    if (found := _by_loops(x, groups)) is not None:
        return found
    g = Grouped(x, groups)
    return g.rows(g.centered())


def group_above_others(x: A, groups: Ids) -> A:
    """(N,) distance of `x` from the mean of the others in its group; exactly zero in a group of equals, and alone.

    >>> import numpy as np
    >>> group_above_others(np.array([1.0, 0.0, 0.0]), ["a", "a", "a"])
    array([ 1. , -0.5, -0.5])
    """
    groups = groups if isinstance(groups, Groups) else made_groups(groups, x.shape[0])
    if (found := _by_loops(x, groups, others=True)) is not None:
        return found
    g = Grouped(x, groups)
    return g.rows(g.centered() * g.each(g.counts / at_least(g.counts - 1, 1)))


def group_std(x: A, groups: Ids, *, ddof: int = 1) -> A:
    """(N,) standard deviation of `x` in each row's group; exactly zero in a group of equals, and for a lone member."""
    g = Grouped(x, groups)
    return g.rows(g.std(g.centered(), ddof))


def group_zscore(x: A, groups: Ids, *, epsilon: float = 1e-6, ddof: int = 1) -> A:
    """(N,) `x` centred in its group and divided by the group's deviation plus `epsilon`; exactly zero for equals."""
    groups = groups if isinstance(groups, Groups) else made_groups(groups, x.shape[0])
    known = isinstance(epsilon, (int, float))
    if known and (found := _by_loops(x, groups, ddof=ddof, epsilon=epsilon)) is not None:
        return found
    g = Grouped(x, groups)
    centered = g.centered()
    centered /= g.std(centered, ddof, epsilon)
    return g.rows(centered)


def _by_loops(x: Any, groups: Groups, *, others: bool = False, ddof: int = -1, epsilon: float = 0.0) -> Any:
    """What plain loops over the host's memory, or few launches on a device, make of (N,) floats; None for others."""
    unseen = type(x) is Unseen
    numbers = x.numbers if unseen else x
    if len(numbers.shape) != 1 or (groups.size is None and not groups.on_host):
        return None
    if type(numbers) is not np.ndarray:
        if numbers.dtype.itemsize < 4 or getattr(numbers, "requires_grad", False):
            return None
        numbers = backend_of(numbers).lent(numbers)
        if numbers is None or groups.scored is not None:
            return _by_launches(x, groups, others, ddof, epsilon)
    if numbers.dtype not in FLOATS or groups.scored is not None:
        return None
    order, edges, size = groups.layout
    scattered = len(order) > 0
    numbers = np.ascontiguousarray(numbers[order] if scattered else numbers)
    out = np.empty(numbers.shape, numbers.dtype)
    loops = compiled("groups") if len(numbers) >= _COMPILED else None
    if loops is not None:
        total = loops.centered(numbers, edges, size, others, ddof, float(epsilon), out)
        if unseen:
            x.answer(total)
    else:
        if unseen:
            x.seen()
        numpy_groups.centered(numbers, edges, size, others, ddof, float(epsilon), out)
    if scattered:
        out = out[groups.members.place]
    return out if unseen or type(x) is np.ndarray else backend_of(x).from_numpy(out, x)


def _by_launches(x: Any, groups: Groups, others: bool, ddof: int, epsilon: float) -> Any:
    backend, scored = backend_of(x), groups.scored
    if (
        not len(groups)
        or backend.kind(x) != "f"
        or not backend.REORDERS
        or backend.transformed(x)
        or backend.on_host(x)
    ):
        return None
    on_gpu = backend.on_gpu(x) if scored is None else backend.on_gpu(x, scored)
    if on_gpu and (kernels := compiled("groups", "triton")):
        order, edges, size = groups.layout
        order = groups.like("order", order, x) if len(order) else None
        edges = groups.like("edges", edges, x) if len(edges) else None
        return kernels.centered(x, order, edges, size, groups.largest, scored, others, ddof, float(epsilon))
    size = groups.size or groups.members.size
    if not size or scored is None:
        return None
    order, place = None, None
    if groups.size is None:
        order, place = (groups.like(name, getattr(groups.members, name), x) for name in ("order", "place"))
    return backend.centered(x, scored, order, place, size, others, ddof, float(epsilon))


def unlikely(x: A, groups: Ids, logprobs: Any, lengths: Any, *, penalty: float) -> A:
    """(N,) x_i (1 - penalty * rank_i / n): the likelier a response for its group, by the token, the more it loses."""
    n: Any = group_count(x, groups)
    rank: Any = group_ranks(logprobs / at_least(lengths, 1.0), groups)
    return x * (1.0 - penalty * rank / n)


def small_groups(who: str, result: Any, rewards: Any, groups: Any, singleton: str, min_scored: int = 2) -> Any:
    """(N,) `result`, with what `singleton` says in groups of fewer than `min_scored` scored responses.

    Raises:
        ValueError: `singleton` is "error" and a group is too small.
    """
    backend = backend_of(result)
    sizes_known = groups.size is not None or (groups.on_host and not backend.traced(result))
    if sizes_known and groups.scored is None and groups.smallest >= min_scored:
        return result
    count = group_count(rewards, groups)
    small = count < min_scored
    if isinstance(small, bool):
        small = backend.full((len(groups),), 1.0, result) > 0
    if len(result.shape) == 2:
        small, rewards = small[:, None], rewards[:, None]
    if singleton == "zero":
        return unless(small, result, 0.0)
    if singleton == "raw":
        return backend.xp.where(small, rewards, result)
    if backend.traced(small):
        raise ValueError(
            f'{who}: singleton="error" reads group sizes, which a compiled function has not yet; pass "zero" or "raw"'
        )
    small = small if groups.scored is None else small & groups.scored.reshape(small.shape)
    rows = [row for row, one in enumerate(small.reshape(-1).tolist()) if one]
    if rows:
        what = "are alone in their groups" if min_scored == 2 else f"are in groups of fewer than {min_scored}"
        raise ValueError(f'{who}: rows {few(rows)} {what}; drop them, or pass singleton="zero" or "raw"')
    return result


def _two_best(g: Grouped) -> tuple[Any, Any, Any]:
    """Views: the greatest scored number, which member alone has it, and the greatest number below it (or -infinity)."""
    xp = g.backend.xp
    top = g.max(g.view)
    at_top = (g.view == top) & (True if g.scored is None else g.scored)
    second = g.max(where(at_top, -float("inf"), g.view))
    alone = at_top & (g.sum(where(at_top, xp.ones_like(g.view), 0.0)) == 1)
    return where(xp.isfinite(top), top, 0.0), alone, second


def group_lead(x: A, groups: Ids) -> A:
    """(N,) how far the greatest number of a group is above the next, for the member that has it; 0 for all others.

    >>> import numpy as np
    >>> group_lead(np.array([1.0, 5.0, 3.0, 7.0, 7.0]), ["a", "a", "a", "b", "b"])
    array([0., 2., 0., 0., 0.])
    """
    g = Grouped(x, groups)
    top, alone, second = _two_best(g)
    second = where(g.backend.xp.isfinite(second), second, top)
    return g.rows(where(alone, top - second, 0.0))


def above_log_mean_exp(x: A, groups: Ids, *, others: bool = False) -> A:
    """(N,) distance of `x` from log(mean(exp(x))) over its group, or over the `others` in it; exactly zero for equals.

    Neither overflows nor cancels: the mean is formed of exp(x) - 1, measured from the greatest number that enters it.

    >>> import numpy as np
    >>> above_log_mean_exp(np.log([1.0, 3.0]), ["a", "a"]).round(3)  # log of 1/2 and of 3/2
    array([-0.693,  0.405])
    >>> above_log_mean_exp(np.log([1.0, 3.0]), ["a", "a"], others=True).round(3)
    array([-1.099,  1.099])
    """
    g = Grouped(x, groups)
    xp = g.backend.xp
    top, alone, second = _two_best(g)
    terms = g.kept(xp.expm1(xp.clip(g.view - top, None, 0.0)))
    if not others:
        return g.rows(g.kept(g.view - top - xp.log1p(g.sum(terms) / at_least(g.count, 1.0))))
    count = at_least(g.count - 1, 1.0)
    usual = g.view - top - xp.log1p(where(alone, 0.0, g.kept((g.sum(terms) - terms) / count)))
    second = where(xp.isfinite(second), second, top)
    below = where(alone, 0.0, g.kept(xp.expm1(xp.clip(g.view - second, None, 0.0))))
    lead = g.view - second - xp.log1p(g.sum(below) / count)
    return g.rows(g.kept(where(alone, lead, usual)))


def group_std_of_others(x: A, groups: Ids, *, ddof: int = 1) -> A:
    """(N,) deviation of `x` over the others in a group; exactly zero where they are equal, or fewer than two.

    >>> import numpy as np
    >>> group_std_of_others(np.array([7.0, 1.0, 3.0]), ["a"] * 3).round(3)
    array([1.414, 2.828, 4.243])
    """
    g = Grouped(x, groups)
    xp = g.backend.xp
    centered = g.centered()
    # The squares of the others are a difference, which cancels only for a member that is alone at an end; there the
    # others are a set of their own.
    left = g.sum(centered * centered) - centered * centered * (g.count / at_least(g.count - 1, 1.0))
    found = g.rows(xp.sqrt(xp.clip(left, 0.0, None) / at_least(g.count - 1 - ddof, 1.0)))
    for end in (g.view, -g.view):
        top = g.max(end)
        at_top = (end == top) & (True if g.scored is None else g.scored)
        alone = at_top & (g.sum(where(at_top, xp.ones_like(end), 0.0)) == 1)
        without = g.groups.where(g.rows(~at_top if g.scored is None else g.scored & ~at_top))
        found = where(g.rows(alone), group_std(x, without, ddof=ddof), found)
    return where(g.groups.scored, found, 0.0)


def sorted_rows(x: Any, groups: Groups, *, stable: bool = True) -> Any:
    """(N,) rows by group, and inside a group from the least number to the greatest; equal ones as they stood."""
    backend, size = backend_of(x), groups.size
    if size is not None:
        inside = backend.xp.argsort(x.reshape(-1, size), stable=stable)
        return (inside + backend.arange(groups.count, x)[:, None] * size).reshape(-1)
    order = backend.xp.argsort(x, stable=stable)
    return order[backend.xp.argsort(groups.slots_like(x)[order], stable=True)]


class Ordered:
    """Rows sorted by group, and inside a group from the least to the greatest number, with unscored rows behind.

    What it takes and gives is in that order, until `rows` puts it back. Sorting and doubling take N log N steps.

    Args:
        x: (N,) numbers.
        groups: (N,) ids, or `Groups`, whose `scored` says which rows count.
    """

    def __init__(self, x: Any, groups: Ids) -> None:
        x = x.seen() if type(x) is Unseen else x
        self.groups = groups if isinstance(groups, Groups) else made_groups(groups, x.shape[0])
        self.backend = backend_of(x)
        xp = self.backend.xp
        slots = self.backend.index(self.groups.slots_like(x))
        key = where(self.groups.scored, self.backend.wide(x), float("inf"))
        self.order = sorted_rows(key, self.groups)
        self.slots = slots[self.order]
        self.x = key[self.order]
        ones = xp.ones_like(self.x)
        sizes = self.backend.segment("sum", ones, slots, self.groups.count)
        starts = xp.cumsum(sizes, 0) - sizes
        self.place = self.backend.arange(x.shape[0], x) * ones - starts[self.slots]
        """(N,) numbers before this one in its group."""

    def sorted(self, rows: Any) -> Any:
        """(N,) rows as they are ordered here; a number stays one."""
        return rows[self.order] if getattr(rows, "shape", ()) else rows

    def rows(self, y: Any) -> Any:
        """(N,) what is ordered as the rows that it belongs to."""
        return y[self.backend.xp.argsort(self.order)]

    @property
    def steps(self) -> Any:
        """(N,) how far a number is above the one before it in its group; 0 for the first, and for unscored rows."""
        xp = self.backend.xp
        before = xp.concatenate([self.x[:1], self.x[:-1]])
        inside = (self.place > 0) & xp.isfinite(self.x)
        return where(inside, where(inside, self.x, 0.0) - where(inside, before, 0.0), 0.0)

    def cumulated(self, y: Any, *, backwards: bool = False) -> Any:
        """(N,) sums from a group's first number to each one, or from each one to its group's last.

        By doubling, so that no group meets another group's numbers.
        """
        xp = self.backend.xp
        reach, most = 1, min(self.groups.largest if self.groups.on_host else len(self.groups), self.x.shape[0])
        while reach < most:
            empty, nowhere = xp.zeros_like(y[:reach]), xp.zeros_like(self.slots[:reach]) - 1
            if backwards:
                there, slots = xp.concatenate([y[reach:], empty]), xp.concatenate([self.slots[reach:], nowhere])
            else:
                there, slots = xp.concatenate([empty, y[:-reach]]), xp.concatenate([nowhere, self.slots[:-reach]])
            y = y + where(slots == self.slots, there, 0.0)
            reach *= 2
        return y

    def over_ties(self, y: Any) -> Any:
        """(N,) the mean of `y` over the equal numbers of a group."""
        xp = self.backend.xp
        if not self.x.shape[0]:
            return y
        new = (self.x[1:] != self.x[:-1]) | (self.slots[1:] != self.slots[:-1])
        runs = self.backend.index(xp.cumsum(xp.concatenate([xp.zeros_like(self.slots[:1]) > 0, new]), 0))
        count = self.x.shape[0]
        counts = self.backend.segment("sum", xp.ones_like(y), runs, count)
        return (self.backend.segment("sum", y, runs, count) / at_least(counts, 1.0))[runs]


def group_ranks(x: A, groups: Ids) -> A:
    """(N,) scored members of the group with a smaller `x`, and half of the others with an equal one: mid-ranks from 0.

    >>> import numpy as np
    >>> group_ranks(np.array([5.0, 1.0, 5.0, 9.0]), ["a", "a", "a", "b"])
    array([1.5, 0. , 1.5, 0. ])
    """
    ordered = Ordered(x, groups)
    return where(ordered.groups.scored, ordered.rows(ordered.over_ties(ordered.place)), 0.0)
