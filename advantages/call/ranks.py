"""Groups that have members on several ranks: rows are gathered, estimated on as a whole, and the own ones kept."""

import hashlib
import secrets
import uuid
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from ..backends import Backend, library_of
from ..core.definition import Definition
from ..core.groups import Groups
from ..core.validation import check_cells, check_ids
from ..core.vocabulary import INPUTS

__all__ = ["check_across", "gathered"]

_WAYS = {"torch": "a torch process group, or ", "jax": "the name of a JAX axis, or "}


def check_across(who: str, across: Any, lead: Any) -> None:
    """Refuse what leads to no other rank from the library of the array `lead`.

    Raises:
        TypeError: it is no function, and nothing else that the library knows.
    """
    library = library_of(lead)
    known = {"torch": hasattr(across, "rank"), "jax": isinstance(across, (str, tuple))}
    if not callable(across) and not known.get(library or ""):
        raise TypeError(
            f"{who}: across is {across!r}; with {library} arrays pass {_WAYS.get(library or '', '')}a function that "
            "stacks a (k,) array of every rank to (R, k)"
        )


def gathered(
    d: Definition, backend: Backend, inputs: dict[str, Any], ids: dict[str, Any], across: Any
) -> tuple[dict[str, Any], dict[str, Any], int, Callable[[Any], Any]]:
    """Inputs and ids of all ranks, the number of all rows, and a function that keeps the own rows of a result.

    Ranks may hold different numbers of rows, or none. In a process group the numbers of rows are exchanged first;
    along a JAX axis they are equal by construction.
    """
    lead = inputs[d.lead]
    rows, xp = lead.shape[0], backend.xp
    ids = {name: _comparable(d, backend, name, x, inputs) for name, x in ids.items()}

    if backend.traced(lead):
        mine = backend.rank(across)
        if mine is None:
            raise TypeError(
                f"{d.name}: across is a function, which cannot say in a compiled function which rank this is; "
                "pass the name of a JAX axis"
            )

        def whole(x: Any) -> Any:
            return backend.gather(x, across).reshape(-1, *x.shape[1:])

        def own(result: Any) -> Any:
            return result[mine * rows + xp.arange(rows)]

    else:
        steps = max((x.shape[1] for name, x in inputs.items() if INPUTS[name].per_token), default=1)
        sizes, mine = _sizes(backend, rows, steps, lead, across)
        most, widest = max(count for count, _ in sizes), max(width for _, width in sizes)

        def whole(x: Any) -> Any:
            flag = backend.kind(x) == "b"
            like = backend.working(x) if flag else x
            shape = (most, *(widest if width == steps else width for width in x.shape[1:]))
            if tuple(x.shape) != shape:
                like = _padded(backend, like, shape)
            every = backend.gather(like.reshape(-1), across).reshape(len(sizes), *shape)
            joined = xp.concatenate([every[rank, :count] for rank, (count, _) in enumerate(sizes)])
            return joined != 0 if flag else joined

        def own(result: Any) -> Any:
            start = sum(count for count, _ in sizes[:mine])
            kept = result[start : start + rows]
            return kept[:, :steps] if d.per_token else kept

    inputs = {name: whole(x) for name, x in inputs.items()}
    ids = {name: x if isinstance(x, int) else whole(x) for name, x in ids.items()}
    return inputs, ids, inputs[d.lead].shape[0], own


def _padded(backend: Backend, x: Any, shape: tuple[int, ...]) -> Any:
    for axis, length in enumerate(shape):
        more = list(x.shape)
        more[axis] = length - more[axis]
        x = backend.xp.concatenate([x, backend.cast(backend.full(tuple(more), 0, x), x.dtype)], axis)
    return x


def _sizes(backend: Backend, rows: int, steps: int, lead: Any, across: Any) -> tuple[list[tuple[int, int]], int]:
    """Rows and tokens of every rank, and which rank this is; a function is asked by numbers that nobody else draws."""
    marks = [secrets.randbits(20) for _ in range(3)]
    told = backend.from_numpy(np.array([rows, steps, *marks], np.float32), lead)
    every = backend.to_numpy(backend.gather(told, across)).astype(int).tolist()
    mine = backend.rank(across)
    if mine is None:
        mine = next(rank for rank, row in enumerate(every) if row[2:] == marks)
    return [(row[0], row[1]) for row in every], mine


def _comparable(d: Definition, backend: Backend, name: str, ids: Any, inputs: dict[str, Any]) -> Any:
    """Ids as integers that mean the same on every rank; the size of blocks stays what it is."""
    lead = inputs[d.lead]
    if INPUTS[name].per_token:
        return check_cells(d.name, name, ids, tuple(inputs["mask"].shape), (d.lead, lead))
    if isinstance(ids, int) or (isinstance(ids, Groups) and ids.size is not None and ids._slots is None):
        return check_ids(d.name, name, ids, lead.shape[0], (d.lead, lead)).size
    if isinstance(ids, Groups):
        if ids.on_host:
            raise TypeError(
                f"{d.name}: {name} were numbered on this rank alone, so that across cannot compare them with the "
                "others'; pass the ids themselves"
            )
        return ids.slots
    check_ids(d.name, name, ids, lead.shape[0], (d.lead, lead))
    if library_of(ids) == library_of(lead) and backend.kind(ids) in "iu":
        return ids
    if library_of(lead) == "jax":
        raise TypeError(f"{d.name}: {name} is a {type(ids).__name__}; with across, pass an array of integers")
    numbers = ids if isinstance(ids, np.ndarray) and ids.dtype.kind in "iu" else [_number(d, name, x) for x in ids]
    return backend.from_numpy(np.asarray(numbers, np.int64).reshape(-1), lead)


def _number(d: Definition, name: str, value: Hashable) -> int:
    """What is equal on two ranks gets the same number, and nothing else does: an integer is its own, other names are
    63 bits of a digest.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return int(value)
    if isinstance(value, tuple):
        text = repr([_number(d, name, part) for part in value])
    elif isinstance(value, (str, bytes, int, uuid.UUID)):
        text = repr(value)
    else:
        raise TypeError(
            f"{d.name}: {name} holds a {type(value).__name__}, which two ranks cannot compare; with across, pass "
            "integers, strings, UUIDs or tuples of them"
        )
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
