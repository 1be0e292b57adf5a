"""The call that most code makes: rewards, groups, what else is needed, and settings of the estimator's own.

At 512 rewards the arithmetic takes some microseconds; to look for all the words that nobody passed took thirty more
(benchmarks/groups.py).
"""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backends import Backend, backend_of
from ..core.definition import Definition
from ..core.groups import Groups
from ..core.vocabulary import INPUTS
from ..ops.groupwise import FLOATS
from ..ops.unseen import ORDINARY, Extraordinary, Unseen
from .rows import check_shape

__all__ = ["common_call", "has_common_call"]

_TILE = 32_768
"""Rows at a time: temporaries of this size are reused, larger ones are mapped and faulted in anew, which takes longer
than the arithmetic (benchmarks/groups.py)."""


def has_common_call(d: Definition) -> bool:
    """Whether an estimator needs rewards, groups and perhaps more numbers of responses, and may see numpy's arrays."""
    if not d.portable or d.per_token or d.shapes or d.needed[:2] != ("rewards", "groups"):
        return False
    if any(d.ranges[name].whole for name in d.needed if name in d.ranges):
        return False
    numbers = [INPUTS[name] for name in d.needed if name != "groups"]
    return d.positional[: len(d.needed)] == d.needed and all(x.shape == ("N",) and x.kind == "real" for x in numbers)


def common_call(d: Definition, args: tuple[Any, ...], settings: Mapping[str, Any]) -> Any:
    """(N,) advantages from finite numbers of ordinary size in the host's memory, with no response alone in its group;
    else None, for a call that looks at everything, and says what is wrong.
    """
    if len(args) != len(d.needed):
        return None
    for key, x in settings.items():
        if key not in d.own_settings or hasattr(x, "dtype"):
            return None
        if key in d.checks and x is not d.settings[key]:
            d.checks[key].check(d.name, key, x)

    rewards = args[0]
    try:
        backend = backend_of(rewards)
    except TypeError:
        return None
    first = _floats(backend, rewards)
    if first is None or (groups := _several(args[1], first.shape)) is None:
        return None
    if callable(d.portable) and not d.portable(len(first) * groups.largest):  # asked here, where no compiler looks
        return None
    try:
        if d.widens and len(args) == 2:
            result = d.function(Unseen(first), groups, **settings)
            check_shape(d, result, first.shape)
        else:
            numbers = [first, *(_floats(backend, x) if type(x) is type(rewards) else None for x in args[2:])]
            for name, array in zip(("rewards", *d.needed[2:]), numbers, strict=True):
                if array is None or array.shape != first.shape or not _in_range(d, name, array):
                    return None
            result = _by_tiles(d, numbers, groups, settings)
    except Extraordinary:
        return None
    return backend.cast(backend.from_numpy(result, rewards), rewards.dtype, True)


def _floats(backend: Backend, x: Any) -> Any:
    """(N,) floats in the host's memory as a numpy array, or None."""
    array = x if type(x) is np.ndarray else backend.lent(x)
    return array if array is not None and array.ndim == 1 and len(array) and array.dtype in FLOATS else None


def _several(groups: Any, shape: tuple[int]) -> Groups | None:
    """The groups, if all have at least two rows, and all rows count."""
    if type(groups) is int:
        return _blocks(groups, shape[0]) if groups > 1 and shape[0] % groups == 0 else None
    if type(groups) is not Groups or groups.scored is not None or groups.shape != shape or not groups.on_host:
        return None
    return groups if groups.smallest > 1 else None


_blocks = functools.lru_cache(maxsize=4)(Groups.of_size)  # a run has one size or two


def _in_range(d: Definition, name: str, x: Any) -> bool:
    """Whether all numbers, which are finite and of ordinary size, may be what they are.

    Raises:
        Extraordinary: some are not.
    """
    if name not in d.ranges:
        Unseen(x).seen()
        return True
    low, high = backend_of(x).extent(x)
    return low > -ORDINARY and high < ORDINARY and d.ranges[name].spans(low, high)


def _by_tiles(d: Definition, numbers: list[Any], groups: Groups, settings: Mapping[str, Any]) -> Any:
    rows, size = len(numbers[0]), groups.size
    tile = max(1, _TILE // size) * size if size else rows
    if rows <= tile or d.promises.spans_batch:
        return _estimated(d, numbers, groups, settings)
    result = np.empty(rows, numbers[0].dtype)
    for start in range(0, rows, tile):
        tiles = [x[start : start + tile] for x in numbers]
        result[start : start + tile] = _estimated(d, tiles, _blocks(size, len(tiles[0])), settings)
    return result


def _estimated(d: Definition, numbers: list[Any], groups: Groups, settings: Mapping[str, Any]) -> Any:
    rewards, *others = (x.astype(np.float64) for x in numbers)
    result = d.function(rewards, groups, *others, **settings)
    check_shape(d, result, rewards.shape)
    return result.astype(numbers[0].dtype, copy=False)
