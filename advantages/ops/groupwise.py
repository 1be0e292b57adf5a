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
    "small_groups",
]


class Grouped:
    """Numbers seen by group: every reduction runs over the scored members, and is given back to all members.

    Where groups are equal blocks, `view` has an axis over groups and one inside the group, so that no index is
    needed; elsewhere it is the rows as they stand. What a method gives is such a view, too, until `rows` makes
    rows of it.

    Args:
        x: (N,) numbers, or (N, T) for groups of cells.
        groups: (N,) ids, or `Groups`, whose `scored` says which rows enter the statistics.
    """

    def __init__(self, x: Any, groups: Ids) -> None:
        self.groups = groups if isinstance(groups, Groups) else Groups(groups)
        self.backend = backend_of(x)
        self.size = self.groups.size
        self.shape = tuple(x.shape)
        self.scored = self._viewed(self.groups.scored)
        self.view = where(self.scored, self._viewed(self.backend.wide(x)), 0.0)

    def _viewed(self, x: Any) -> Any:
        if x is None:
            return None
        return x.reshape(-1) if self.size is None else self.backend.blocks(x, self.size)

    def rows(self, view: Any) -> Any:
        """A view as the rows that it was made of."""
        if self.size is not None:
            if view.shape != self.view.shape:  # one number a group
                view = view + self.backend.xp.zeros_like(self.view)
            return self.backend.rows(view)
        return view.reshape(self.shape)

    def reduced(self, reduction: str, view: Any) -> Any:
        """The "sum", "min" or "max" over all members, scored or not."""
        if self.size is not None:
            return self.backend.reduced(reduction, view)
        slots = self.groups.slots_like(view)
        return self.backend.segment(reduction, view, slots, self.groups.count)[slots]

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
        if self.size is not None and self.scored is None:
            return self.size
        return self.sum(self.backend.xp.ones_like(self.view))

    def anchor(self, view: Any) -> Any:
        """Some scored member of each group."""
        if self.size is not None and self.scored is None:
            return view[:1] if self.backend.GROUP_AXIS == 0 else view[:, :1]
        return self.min(view)

    def gap(self, view: Any) -> Any:
        """Distance from a member: exactly zero in a group of equals, before anything is rounded."""
        return where(self.scored, view - self.anchor(view), 0.0)

    def mean(self, view: Any) -> Any:
        """The mean of the scored members."""
        if self.size is not None and self.scored is None:
            return self.backend.reduced("mean", view)
        return self.sum(view) / at_least(self.count, 1.0)

    def centered(self, view: Any) -> Any:
        """Distance from the mean. Gaps are large where the range is, and so is their rounding: hence the second mean,
        wherever there is no float64."""
        gap = self.gap(view)
        centered = where(self.scored, gap - self.mean(gap), 0.0)
        if "64" in str(centered.dtype):
            return centered
        return where(self.scored, centered - self.mean(centered), 0.0)

    def std(self, centered: Any, ddof: int) -> Any:
        """The deviation of what is centred already; exactly zero in a group of equals."""
        if self.size is not None:
            norm = self.backend.reduced("norm", centered)
        else:
            norm = self.backend.xp.sqrt(self.sum(centered * centered))
        return norm / at_least(self.count - ddof, 1.0) ** 0.5


def group_count(x: A, groups: Ids) -> Any:
    """(N,) scored members of each row's group, as floats; 1 for a row that does not count, so that it divides.

    A plain number where groups are equal blocks, all of whose members count.

    >>> import numpy as np
    >>> group_count(np.zeros(3), ["a", "b", "a"])
    array([2., 1., 2.])
    >>> group_count(np.zeros(4), 2)
    2
    """
    groups = groups if isinstance(groups, Groups) else _made(x, groups)
    if groups.size is not None and groups.scored is None:
        return groups.size
    if groups.on_host and groups.scored is None and len(groups.shape) == 1:
        return groups.like("sizes of rows", groups.members.sizes_of_rows, x)
    g = Grouped(x, groups)
    return g.rows(where(g.scored, g.count, 1.0))


def _made(x: Any, groups: Any) -> Groups:
    return Groups.of_size(groups, x.shape[0]) if isinstance(groups, int) else Groups(groups)


def group_sum(x: A, groups: Ids) -> A:
    """(N,) sum of `x` over the scored members of each row's group."""
    g = Grouped(x, groups)
    return g.rows(g.sum(g.view))


def group_min(x: A, groups: Ids) -> A:
    """(N,) least `x` of the scored members of each row's group; 0 where none is scored."""
    g = Grouped(x, groups)
    least = g.min(g.view)
    return g.rows(where(g.scored, least, 0.0))


def group_max(x: A, groups: Ids) -> A:
    """(N,) greatest `x` of the scored members of each row's group; 0 where none is scored."""
    g = Grouped(x, groups)
    greatest = g.max(g.view)
    return g.rows(where(g.scored, greatest, 0.0))


def group_mean(x: A, groups: Ids) -> A:
    """(N,) mean of `x` over the scored members of each row's group.

    >>> import numpy as np
    >>> group_mean(np.array([1.0, 5.0, 3.0]), ["a", "b", "a"])
    array([2., 5., 2.])
    """
    g = Grouped(x, groups)
    return g.rows(g.anchor(g.view) + g.mean(g.gap(g.view)))


def group_centered(x: A, groups: Ids) -> A:
    """(N,) distance of `x` from its group's mean; exactly zero in a group of equals."""
    g = Grouped(x, groups)
    return g.rows(g.centered(g.view))


def group_std(x: A, groups: Ids, *, ddof: int = 1) -> A:
    """(N,) standard deviation of `x` in each row's group; exactly zero in a group of equals, and for a lone member."""
    g = Grouped(x, groups)
    return g.rows(g.std(g.centered(g.view), ddof))


def group_zscore(x: A, groups: Ids, *, epsilon: float = 1e-6, ddof: int = 1) -> A:
    """(N,) `x` centred in its group and divided by the group's deviation plus `epsilon`; exactly zero for equals."""
    g = Grouped(x, groups)
    centered = g.centered(g.view)
    std = g.std(centered, ddof)
    return g.rows(centered / where(std > 0, std + epsilon, 1.0))


def small_groups(who: str, result: Any, rewards: Any, groups: Any, singleton: str, min_scored: int = 2) -> Any:
    """(N,) `result`, with what `singleton` says in groups of fewer than `min_scored` scored responses.

    Raises:
        ValueError: `singleton` is "error" and a group is too small.
    """
    if groups.size is not None and groups.size >= min_scored and groups.scored is None:
        return result
    backend = backend_of(result)
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
