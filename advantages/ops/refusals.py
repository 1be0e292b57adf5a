"""Numbers that an estimator's formula means nothing for, refused with a sentence wherever they can be read."""

from typing import Any

from ..backends import backend_of
from ..core.groups import Groups
from ..core.settings import Range

__all__ = ["check_range", "few", "fits_a_group"]


def few(rows: list[int]) -> str:
    """The first of some row numbers, for a message."""
    return ", ".join(map(str, rows[:5])) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")


def check_range(who: str, name: str, x: Any, allowed: Range) -> None:
    """Refuse numbers that an input (N, ...) cannot be, where values can be read without waiting for them.

    Raises:
        ValueError: with the rows and the first such number.
    """
    backend = backend_of(x)
    if not backend.on_host(x):
        return
    if allowed.spans(*backend.extent(x)) and not (allowed.whole and backend.kind(x) == "f"):
        return
    outside = allowed.outside(x)
    if bool(outside.any()):
        number = x[outside].tolist()[0]
        rows = [row for row, bad in enumerate(outside.reshape(x.shape[0], -1).any(1).tolist()) if bad]
        raise ValueError(f"{who}: {name} of rows {few(rows)} include {number:g}; each must be {allowed}")


def fits_a_group(who: str, name: str, size: int, groups: Groups) -> None:
    """Refuse a number of responses that no group of the batch has, where sizes of groups are known.

    Raises:
        TypeError: `size` is traced, but the function loops as often.
        ValueError: `size` is above every group.
    """
    if hasattr(size, "dtype") and backend_of(size).traced(size):
        raise TypeError(f"{who}: {name} is traced, but {who} has as many steps; pass a number that is known here")
    if groups.on_host and len(groups) and size > max(2, groups.largest):
        raise ValueError(
            f"{who}: {name} is {size} but the largest group has {groups.largest} responses; pass at most that, "
            "or sample more"
        )
