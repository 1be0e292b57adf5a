"""Which responses answer the same prompt: the one place where ids become groups."""

import math
import sys
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from ..backends import backend_of, library_of
from .once import once

__all__ = ["Groups"]

_NOTHING = np.empty(0, np.intp)
_ADVICE = "ids are names: pass integers, strings, UUIDs or tuples"


class Groups:
    """Rows sorted into groups by id; a frozen value, made once per batch, reusable in every call.

    Equal ids are one group, wherever they stand: groups may be ragged, interleaved or partial, and ids may be
    negative, huge, strings, UUIDs, tuples or any other hashable. They are never used as positions, never rounded
    and never converted: "7" and "07" are two groups.

    It may be closed over by a compiled function, or be its argument: for JAX it is a pytree, whose leaves are the
    slots and what is scored.

    Args:
        ids: (N,) one id per row, as a list, a numpy array, or a torch or JAX integer array. Ids on an accelerator,
            or inside a compiled function, are sorted there, without a host synchronisation; all others become
            dense slots on the host.

    Attributes:
        slots: (N,) integers below `count`, equal where ids are equal.
        count: number of slots; for ids that were sorted on an accelerator, the number of rows, which bounds it.
        size: rows of each group where all groups are equal runs of neighbouring rows, else None.
        scored: (N,) bool rows that enter statistics, or None where all do; see `where`.
        shape: (N,), or (N, T) for the cells of `of_cells`.

    Raises:
        TypeError: ids are floats, booleans, None, arrays or unhashable.
        ValueError: ids are not one-dimensional.

    >>> groups = Groups(["b", "a", "b"])
    >>> groups.slots, groups.count
    (array([0, 1, 0]), 2)
    >>> Groups(["a", "a", "b", "b"]).size
    2
    """

    __slots__ = ("_bound", "_made", "_slots", "_tables", "count", "scored", "shape", "size")

    _bound: int | None
    _slots: Any
    _made: dict[Any, Any] | None
    _tables: dict[Any, Any]
    count: int
    size: int | None
    scored: Any
    shape: tuple[int, ...]

    def __init__(self, ids: Any) -> None:
        if isinstance(ids, Groups):
            self._fill(ids._slots, ids.count, ids.size, None, ids.shape, ids._tables, ids._bound)
            return
        if library_of(ids) in ("torch", "jax"):
            backend = backend_of(ids)
            _check(ids, backend.kind(ids))
            if backend.on_host(ids):
                slots, count, size = _dense_array(backend.to_numpy(ids))
            else:
                slots, count, size = _dense_by_sorting(ids, backend), ids.shape[0], None
        elif isinstance(ids, np.ndarray) and ids.dtype.kind != "O":
            _check(ids, ids.dtype.kind)
            slots, count, size = _dense_array(ids)
        else:
            slots, count, size = _dense_objects(ids)
        self._fill(slots, count, size, None, tuple(slots.shape))

    def _fill(
        self,
        slots: Any,
        count: int,
        size: int | None,
        scored: Any,
        shape: tuple[int, ...],
        tables: dict[Any, Any] | None = None,
        bound: int | None = None,
    ) -> "Groups":
        put = object.__setattr__
        put(self, "_bound", bound)
        put(self, "_slots", slots)
        put(self, "count", count)
        put(self, "size", size)
        put(self, "scored", scored)
        put(self, "shape", shape)
        put(self, "_tables", {} if tables is None else tables)  # what is derived, kept for the next call
        put(self, "_made", None)
        _register_with_jax()
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"Groups are frozen: {name} cannot be set; make new ones, or use .where(scored)")

    @classmethod
    def of_size(cls, size: int, rows: int) -> "Groups":
        """Groups of `size` neighbouring rows each.

        Raises:
            TypeError: `size` is no integer.
            ValueError: `size` is below 1 or does not divide `rows`.

        >>> Groups.of_size(2, rows=6).slots
        array([0, 0, 1, 1, 2, 2])
        """
        if not isinstance(size, (int, np.integer)) or isinstance(size, bool):
            raise TypeError(f"the size of a group is {size!r}; pass a whole number of responses per prompt")
        if size < 1 or rows % size:
            raise ValueError(
                f"groups of {size} neighbouring rows do not fit into {rows} rows; "
                "pass a positive divisor, or one group id per response where groups differ in size"
            )
        return cls.__new__(cls)._fill(None, rows // int(size), int(size), None, (rows,))

    @classmethod
    def of_cells(cls, ids: Any) -> "Groups":
        """Groups of the cells of each row of (N, T) integers; equal ids in two rows are two groups.

        >>> Groups.of_cells(np.array([[0, 0, 1], [0, 0, 0]])).slots
        array([0, 0, 1, 2, 2, 2])
        """
        backend = backend_of(ids)
        if len(ids.shape) != 2:
            raise ValueError(f"ids have shape {tuple(ids.shape)}; pass one id per row and token, shape (N, T)")
        rows, steps = ids.shape
        made = cls.__new__(cls)
        if backend.on_host(ids):
            names = np.unique(backend.to_numpy(ids), return_inverse=True)[1].reshape(rows, steps)
            slots, count, _ = _dense_array((names + np.arange(rows)[:, None] * (steps * rows + 1)).reshape(-1))
            return made._fill(slots, count, None, None, (rows, steps))
        xp = backend.xp
        order = xp.argsort(ids, stable=True)
        row = backend.arange(rows, ids)[:, None]
        ids = ids[row, order]
        new = xp.concatenate([xp.ones_like(ids[:, :1], dtype=bool), ids[:, 1:] != ids[:, :-1]], 1)
        slots = (xp.cumsum(new, 1) - 1 + row * steps)[row, xp.argsort(order, -1)]
        return made._fill(slots.reshape(-1), rows * steps, None, None, (rows, steps))

    @classmethod
    def of(cls, ids: Any) -> "Groups":
        """Ids as they are where they are groups already, else the groups that they make."""
        return ids if isinstance(ids, cls) else cls(ids)

    @classmethod
    def of_pairs(cls, first: "Groups", second: "Groups") -> "Groups":
        """Groups of the rows that are together in both; the first says which rows are scored.

        >>> Groups.of_pairs(Groups(["a", "a", "b"]), Groups(["x", "y", "x"])).slots
        array([0, 1, 2])
        """
        if first.on_host and second.on_host:
            return cls(first.slots * second.count + second.slots).where(first.scored)
        like = first.slots if second.on_host else second.slots
        a, b = first.slots_like(like), second.slots_like(like)
        xp = backend_of(like).xp
        by_second = xp.argsort(b, stable=True)
        order = by_second[xp.argsort(a[by_second], stable=True)]
        a, b = a[order], b[order]
        new = xp.concatenate([xp.zeros_like(a[:1], dtype=bool), (a[1:] != a[:-1]) | (b[1:] != b[:-1])])
        slots = xp.cumsum(new, 0)[xp.argsort(order)]
        return cls.__new__(cls)._fill(slots, len(first), None, first.scored, (len(first),))

    @property
    def slots(self) -> Any:
        if self._slots is not None:
            return self._slots
        if "slots" not in self._tables:
            self._tables["slots"] = np.repeat(np.arange(self.count), self.size or 1)
        return self._tables["slots"]

    def __len__(self) -> int:
        return int(self.shape[0] if self._slots is None or len(self.shape) == 2 else self._slots.shape[0])

    def __repr__(self) -> str:
        layout = f" of {self.size} neighbouring rows" if self.size else ""
        return f"Groups({len(self)} rows in {'' if self.on_host else 'at most '}{self.count} groups{layout})"

    def where(self, scored: Any) -> "Groups":
        """The same groups, with only the rows where (N,) `scored` is True entering any statistic."""
        made = Groups.__new__(Groups)
        return made._fill(self._slots, self.count, self.size, scored, self.shape, self._tables, self._bound)

    @property
    def unscored(self) -> Any:
        """(N,) the rows that enter no statistic, or None where all do."""
        return None if self.scored is None else self.remembered("unscored", lambda: ~self.scored)

    def remembered(self, name: Any, make: Callable[[], Any]) -> Any:
        """What `make()` gives, which follows from the slots and what is scored; made once by those `remembering` it."""
        if self._made is None:
            return make()
        if name not in self._made:
            made = make()
            if backend_of(made).transformed(made):  # an array made while tracing must not outlive the trace
                return made
            self._made[name] = made
        return self._made[name]

    def remembering(self) -> "Groups":
        """The same groups, for one call in which nobody writes to what is scored: what follows is made once."""
        made = self.where(self.scored)
        object.__setattr__(made, "_made", {})
        return made

    @property
    def on_host(self) -> bool:
        """Whether the slots are numpy integers, so that sizes and members of groups are known."""
        return self._slots is None or isinstance(self._slots, np.ndarray)

    @property
    def largest(self) -> int:
        """Rows in the largest group; needs slots on the host."""
        return self.size if self.size is not None else int(self.members.sizes.max(initial=0))

    @property
    def edges(self) -> Any:
        """(count + 1,) where each group starts among rows that are sorted by group; needs slots on the host."""
        if self.size is None:
            return self.members.edges
        if "edges" not in self._tables:
            self._tables["edges"] = np.arange(self.count + 1) * self.size
        return self._tables["edges"]

    @property
    def layout(self) -> tuple[Any, Any, int]:
        """What loops over memory go by; needs slots on the host.

        Rows by group, or an empty array where they stand so; edges of groups in that order, or an empty array where
        all have one size; and that size, or 0.
        """
        if self.size is not None:
            return _NOTHING, _NOTHING, self.size
        members = self.members
        return members.order, _NOTHING if members.size else members.edges, members.size or 0

    @property
    def bound(self) -> int:
        """Rows that no group exceeds: known without a value, and rounded up to 16, 64, 256 ... at most all rows, so
        that batches whose groups differ in size share what is compiled for one of them.
        """
        if self.size is not None:
            return self.size
        if self._bound is not None:
            return self._bound
        if not self.on_host:
            return len(self)
        bound = 16
        while bound < self.largest:
            bound *= 4
        return min(bound, len(self))

    def slots_like(self, x: Any) -> Any:
        """(N,) the slots as an array of the library and on the device of `x`."""
        if self._slots is None and not (backend := backend_of(x)).on_host(x):
            return backend.arange(len(self), x) // self.size  # with nothing to send there
        return self.like("slots of rows", self.slots, x)

    def like(self, name: str, table: Any, x: Any) -> Any:
        """The numpy `table` as an array of the library and on the device of `x`, kept under `name`."""
        if not isinstance(table, np.ndarray) or isinstance(x, np.ndarray):
            return table
        backend = backend_of(x)
        if backend.transformed(x):  # an array made while tracing must not outlive the trace
            return backend.from_numpy(table, x)
        key = (name, library_of(x), backend.device(x))
        if key not in self._tables:
            self._tables[key] = backend.from_numpy(table, x)
        return self._tables[key]

    @property
    def smallest(self) -> int:
        """Rows of the smallest group; needs slots on the host."""
        return self.size if self.size is not None else int(self.members.sizes.min(initial=len(self)))

    @property
    def members(self) -> "Members":
        """The rows of each group, for estimators that compare them pair by pair; needs slots on the host."""
        if "members" not in self._tables:
            self._tables["members"] = Members(self)
        members: Members = self._tables["members"]
        return members


def _register_with_jax() -> None:
    """Make `Groups` a pytree once JAX is there: blocks have no leaves, other groups those that are arrays."""
    if _pytrees:  # asked first: torch.compile looks at every module there is, wherever it meets `sys.modules`
        return
    jax = sys.modules.get("jax")
    if jax is None or not hasattr(jax, "tree_util"):
        return

    def flatten(groups: Groups) -> tuple[tuple[Any, Any], Any]:
        # The number of slots is bounded by that of rows, so that a batch with other groups compiles nothing anew.
        count = groups.count if groups.size is not None else math.prod(groups.shape)
        bound = groups._bound
        if bound is None and isinstance(groups._slots, np.ndarray):
            bound = groups.bound
        return (groups._slots, groups.scored), (count, groups.size, groups.shape, bound)

    def unflatten(static: Any, leaves: tuple[Any, Any]) -> Groups:
        count, size, shape, bound = static
        return Groups.__new__(Groups)._fill(leaves[0], count, size, leaves[1], shape, None, bound)

    _pytrees.append(Groups)
    jax.tree_util.register_pytree_node(Groups, flatten, unflatten)


_pytrees: list[type] = []


class Members:
    """Rows ordered by group, and the groups' sizes; each table is made when it is first asked for."""

    def __init__(self, groups: Groups) -> None:
        self.slots, self.count = groups.slots, groups.count
        self.made: dict[str, Any] = {}

    @once
    def order(self) -> Any:
        """Rows, those of the first group first."""
        slots = self.slots.astype(np.uint16) if self.count < 1 << 16 else self.slots  # 16 bits are sorted by radix
        return np.argsort(slots, kind="stable")

    @once
    def place(self) -> Any:
        """Where each row stands in `order`."""
        place = np.empty_like(self.order)
        place[self.order] = np.arange(len(place))
        return place

    @once
    def sizes(self) -> Any:
        """Rows of each group."""
        return np.bincount(self.slots, minlength=self.count)

    @once
    def size(self) -> int | None:
        """Rows of every group, where all have as many."""
        sizes = self.sizes
        return int(sizes[0]) if len(sizes) and (sizes == sizes[0]).all() else None

    @once
    def edges(self) -> Any:
        """(count + 1,) where each group begins in `order`, and where the last one ends."""
        return backend_of(self.sizes).sums_before(self.sizes)

    @once
    def starts(self) -> Any:
        """Where each group begins in `order`."""
        return self.edges[:-1]

    @once
    def first(self) -> Any:
        """(N,) the first row of each row's group."""
        return self.order[self.starts][self.slots]

    @once
    def tables(self) -> list[tuple[Any, Any]]:
        """Tables with a group in each row of (P, G), and where they are filled (None: everywhere).

        Groups of like size share one, so that padding at most doubles its width.
        """
        widths = np.ones_like(self.sizes)
        while (narrow := widths < self.sizes).any():
            widths[narrow] *= 2
        widths = np.minimum(widths, self.sizes.max(initial=1))
        made = []
        for width in np.unique(widths[self.sizes > 0]):
            these = np.flatnonzero((widths == width) & (self.sizes > 0))
            place = np.arange(width)
            at = np.minimum(self.starts[these, None] + place, len(self.order) - 1)
            filled = place < self.sizes[these, None]
            made.append((self.order[at], None if filled.all() else filled))
        return made

    @once
    def back(self) -> Any:
        """(N,) where each row stands in the tables, laid end to end."""
        back, start = np.empty_like(self.order), 0
        for rows, filled in self.tables:
            places = start + np.arange(rows.size).reshape(rows.shape)
            back[rows if filled is None else rows[filled]] = places if filled is None else places[filled]
            start += rows.size
        return back


def _check(ids: Any, kind: str) -> None:
    if len(ids.shape) != 1:
        raise ValueError(f"ids have shape {tuple(ids.shape)}; pass one id per row, shape (N,)")
    if kind == "b":
        raise TypeError(f"ids are booleans, which look like a mask; {_ADVICE}")
    if kind not in "iuUS":
        raise TypeError(f"ids have dtype {ids.dtype}; {_ADVICE}")


def _dense_array(ids: Any) -> tuple[Any, int, int | None]:
    if not len(ids):
        return np.zeros(0, np.intp), 0, None
    starts = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]]))
    in_runs = 2 * len(starts) < len(ids)  # of equal neighbours, of which one is looked up for all
    heads = ids[starts] if in_runs else ids
    if ids.dtype.kind not in "iu":
        slots, count = _numbered(heads.tolist())
    elif int(heads.max()) - int(least := heads.min()) < 4 * len(heads):
        above = heads.astype(np.uint64) - least.astype(np.uint64)  # which no distance overflows
        slots, count = _by_place(above.astype(np.intp))
    else:
        slots, count = _by_place(np.unique(heads, return_inverse=True)[1])
    if in_runs:
        slots = np.repeat(slots, np.diff(starts, append=len(ids)))
    return slots, count, _size_of_blocks(slots, count)


def _by_place(ids: Any) -> tuple[Any, int]:
    """Slots of small numbers from 0 on, in the order of their first rows, and their count; faster than a table."""
    rows = np.arange(len(ids))
    first = np.empty(int(ids.max()) + 1, np.intp)
    first[ids[::-1]] = rows[::-1]  # of several the last one written stays, which is the first row
    first = first[ids]
    number = np.cumsum(first == rows)
    return number[first] - 1, int(number[-1])


def _dense_objects(ids: Any) -> tuple[Any, int, int | None]:
    if isinstance(ids, np.ndarray):
        if ids.ndim != 1:
            raise ValueError(f"ids have shape {ids.shape}; pass one id per row, shape (N,)")
        ids = ids.tolist()
    elif isinstance(ids, (str, bytes)) or not isinstance(ids, Sequence):
        raise TypeError(f"ids are one {type(ids).__name__}; pass a list or an array with one id per row")
    slots, count = _numbered(ids)  # looking each up takes no longer than comparing neighbours
    return slots, count, _size_of_blocks(slots, count)


def _numbered(ids: Sequence[Hashable]) -> tuple[Any, int]:
    """Slots of ids, in the order in which they are first seen, and their count."""
    table = _FirstSeen()
    try:
        slots = np.fromiter(map(table.__getitem__, ids), np.intp, len(ids))
    except TypeError as error:
        _check_types(ids)
        raise TypeError(f"ids are not hashable ({error}); {_ADVICE}") from None
    if set(map(type, table)) != {str}:  # nothing but a string equals one: there is no need to ask every row
        _check_types(ids)
    return slots, len(table)


def _check_types(ids: Sequence[Any]) -> None:
    for cls in set(map(type, ids)):
        if cls is type(None):
            raise TypeError(f"row {ids.index(None)} has no id, but None; {_ADVICE}")
        if issubclass(cls, (bool, float, np.bool_, np.floating)):
            raise TypeError(f"ids hold values of type {cls.__name__}; {_ADVICE}")
        if hasattr(cls, "shape") and not issubclass(cls, np.generic):
            raise TypeError(
                f"ids hold arrays of type {cls.__name__}; call .tolist() on each, so that equal ids are equal"
            )


def _size_of_blocks(slots: Any, count: int) -> int | None:
    """Rows of each group, where all groups are equal runs of neighbours."""
    rows = len(slots)
    in_blocks = count and rows % count == 0 and (slots.reshape(count, -1) == np.arange(count)[:, None]).all()
    return rows // count if in_blocks else None


class _FirstSeen(dict[Hashable, int]):
    """Numbers keys in the order in which they are first looked up."""

    def __missing__(self, key: Hashable) -> int:
        number = self[key] = len(self)
        return number


def _dense_by_sorting(ids: Any, backend: Any) -> Any:
    """Slots without reading a value: static shapes, so it can be compiled, vectorised and run on any device."""
    xp = backend.xp
    if not ids.shape[0]:
        return xp.zeros_like(ids)
    order = xp.argsort(ids, stable=True)
    ids = ids[order]
    new = xp.concatenate([xp.zeros_like(ids[:1], dtype=bool), ids[1:] != ids[:-1]])
    return xp.cumsum(new, 0)[xp.argsort(order)]
