"""Words about groups: what is reduced over the members of a group is given back to each of them."""

from typing import Any

from ..backends import backend_of
from ..core.groups import Groups
from ..core.types import A, Ids
from .elementwise import at_least, where

__all__ = [
    "Grouped",
    "few",
    "group_centered",
    "group_count",
    "group_max",
    "group_mean",
    "group_min",
    "group_std",
    "group_sum",
    "group_zscore",
    "made_groups",
    "small_groups",
]


class Grouped:
    """Numbers seen by group: reductions run over the scored members, and `spread` gives them back to all members.

    Where groups are equal blocks, `view` has an axis over groups and one inside the group, so that no index is
    needed, and what is reduced broadcasts by itself; elsewhere it is the rows as they stand, and a reduction has one
    number per slot. `rows` makes rows of either.

    Args:
        x: (N,) numbers, or (N, T) for groups of cells.
        groups: (N,) ids, or `Groups`, whose `scored` says which rows enter the statistics.
    """

    def __init__(self, x: Any, groups: Ids) -> None:
        self.groups = groups if isinstance(groups, Groups) else made_groups(groups, x.shape[0])
        self.backend = backend_of(x)
        self.size = self.groups.size
        self.scattered = False
        self.tables = self.backend.REORDERS and self.groups.on_host and not self.backend.traced(x)
        if self.size is None and self.tables:
            self.size = self.groups.members.size
            self.scattered = self.size is not None
        self.shape = tuple(x.shape)
        self.scored = self._viewed(self.groups.scored)
        self.view = where(self.scored, self._viewed(self.backend.wide(x)), 0.0)

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
        if self.size is not None:
            view = self.backend.rows(view)
        if self.scattered:
            view = view[self.groups.like("place", self.groups.members.place, view)]
        return view.reshape(self.shape)

    def spread(self, reduced: Any) -> Any:
        """What was reduced, for each member, or broadcastable to the members."""
        if self.size is not None or isinstance(reduced, (int, float)):
            return reduced
        return reduced[self.groups.slots_like(self.view)]

    def spread_rows(self, reduced: Any) -> Any:
        """What was reduced, as rows."""
        view = self.spread(reduced)
        return self.rows(view if self.size is None else view + self.backend.xp.zeros_like(self.view))

    def reduced(self, reduction: str, view: Any) -> Any:
        """The "sum", "min" or "max" over all members, scored or not."""
        if self.size is not None:
            return self.backend.reduced(reduction, view)
        return self.backend.segment(reduction, view, self.groups.slots_like(view), self.groups.count)

    def sum(self, view: Any) -> Any:
        """The sum over the scored members."""
        return self.reduced("sum", where(self.scored, view, 0.0))

    def min(self, view: Any) -> Any:
        """The least of the scored members; infinity where none is."""
        return self.reduced("min", where(self.scored, view, float("inf")))

    def max(self, view: Any) -> Any:
        """The greatest of the scored members; -infinity where none is."""
        return self.reduced("max", where(self.scored, view, -float("inf")))

    @property
    def count(self) -> Any:
        """Scored members; a plain number where it is the same for all groups."""
        if self.scored is None and self.size is not None:
            return self.size
        if self.scored is None and self.tables:
            return self.groups.like("sizes", self.groups.members.sizes, self.view)
        return self.sum(self.backend.xp.ones_like(self.view))

    def anchor(self, view: Any) -> Any:
        """Some scored member of each group, spread."""
        if self.scored is None and self.size is not None:
            return view[:1] if self.backend.GROUP_AXIS == 0 else view[:, :1]
        if self.scored is None and self.tables:
            return view[self.groups.like("first", self.groups.members.first, view)]
        return self.spread(self.min(view))

    def gap(self, view: Any) -> Any:
        """Distance from a member: exactly zero in a group of equals, before anything is rounded."""
        return where(self.scored, view - self.anchor(view), 0.0)

    def mean(self, view: Any) -> Any:
        """The mean of the scored members."""
        if self.scored is None and self.size is not None:
            return self.backend.reduced("mean", view)
        return self.sum(view) / at_least(self.count, 1)

    def centered(self, view: Any) -> Any:
        """Distance from the mean. Gaps are large where the range is, and so is their rounding: hence the second mean,
        wherever they are not in float64."""
        gap = self.gap(view)
        centered = where(self.scored, gap - self.spread(self.mean(gap)), 0.0)
        if "64" in str(centered.dtype):
            return centered
        return where(self.scored, centered - self.spread(self.mean(centered)), 0.0)

    def std(self, centered: Any, ddof: int) -> Any:
        """The deviation of what is centred already; exactly zero in a group of equals."""
        if self.size is not None:
            norm = self.backend.reduced("norm", centered)
        else:
            norm = self.backend.xp.sqrt(self.sum(centered * centered))
        return norm / at_least(self.count - ddof, 1) ** 0.5


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
    g = Grouped(x, groups)
    return g.spread_rows(g.count) if g.scored is None else g.rows(where(g.scored, g.spread(g.count), 1.0))


def group_sum(x: A, groups: Ids) -> A:
    """(N,) sum of `x` over the scored members of each row's group."""
    g = Grouped(x, groups)
    return g.spread_rows(g.sum(g.view))


def group_min(x: A, groups: Ids) -> A:
    """(N,) least `x` of the scored members of each row's group; 0 for a row that does not count."""
    g = Grouped(x, groups)
    return g.rows(where(g.scored, g.spread(g.min(g.view)) + 0.0 * g.view, 0.0))


def group_max(x: A, groups: Ids) -> A:
    """(N,) greatest `x` of the scored members of each row's group; 0 for a row that does not count."""
    g = Grouped(x, groups)
    return g.rows(where(g.scored, g.spread(g.max(g.view)) + 0.0 * g.view, 0.0))


def group_mean(x: A, groups: Ids) -> A:
    """(N,) mean of `x` over the scored members of each row's group.

    >>> import numpy as np
    >>> group_mean(np.array([1.0, 5.0, 3.0]), ["a", "b", "a"])
    array([2., 5., 2.])
    """
    g = Grouped(x, groups)
    return g.rows(g.anchor(g.view) + g.spread(g.mean(g.gap(g.view))) + 0.0 * g.view)


def group_centered(x: A, groups: Ids) -> A:
    """(N,) distance of `x` from its group's mean; exactly zero in a group of equals."""
    g = Grouped(x, groups)
    return g.rows(g.centered(g.view))


def group_std(x: A, groups: Ids, *, ddof: int = 1) -> A:
    """(N,) standard deviation of `x` in each row's group; exactly zero in a group of equals, and for a lone member."""
    g = Grouped(x, groups)
    return g.spread_rows(g.std(g.centered(g.view), ddof))


def group_zscore(x: A, groups: Ids, *, epsilon: float = 1e-6, ddof: int = 1) -> A:
    """(N,) `x` centred in its group and divided by the group's deviation plus `epsilon`; exactly zero for equals."""
    g = Grouped(x, groups)
    centered = g.centered(g.view)
    std = g.std(centered, ddof)
    return g.rows(centered / g.spread(where(std > 0, std + epsilon, 1.0)))


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
    if singleton != "error":
        return backend.xp.where(small, rewards if singleton == "raw" else 0.0, result)
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


def few(rows: list[int]) -> str:
    """The first of some row numbers, for a message."""
    return ", ".join(map(str, rows[:5])) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")
