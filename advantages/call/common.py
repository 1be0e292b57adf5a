"""The call that most code makes: rewards, groups, what else is needed, and settings of the estimator's own.

At 512 rewards the arithmetic takes some microseconds; to look for all the words that nobody passed took thirty more
(benchmarks/groups.py).
"""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backends import backend_of
from ..core.definition import Definition
from ..core.groups import Groups
from ..core.settings import Range
from ..core.vocabulary import INPUTS
from ..ops.groupwise import FLOATS
from .rows import ORDINARY, check_shape

__all__ = ["common_call", "has_common_call", "is_portable"]

_TILE = 32_768
"""Rows at a time: temporaries of this size are reused, larger ones are mapped and faulted in anew, which takes longer
than the arithmetic (benchmarks/groups.py)."""
_FEW = 8_192
"""Numbers up to which a product of BLAS waits for no threads."""


def has_common_call(d: Definition) -> bool:
    """Whether an estimator needs rewards, groups and perhaps more numbers of responses, and may see numpy's arrays."""
    if not d.portable or d.per_token or d.shapes or d.needed[:2] != ("rewards", "groups"):
        return False
    if any(d.ranges[name].whole for name in d.needed if name in d.ranges):
        return False
    numbers = [INPUTS[name] for name in d.needed if name != "groups"]
    return d.positional[: len(d.needed)] == d.needed and all(x.shape == ("N",) and x.kind == "real" for x in numbers)


def is_portable(d: Definition) -> bool:
    """Whether an estimator may see numpy arrays now; to be asked once they are there, for a compiler cannot."""
    return d.portable() if callable(d.portable) else d.portable


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

    rewards, groups = args[:2]
    try:
        backend = backend_of(rewards)
    except TypeError:
        return None
    shape = rewards.shape
    if len(shape) != 1 or not shape[0]:
        return None
    numbers: list[Any] = []
    for name, x in zip(d.needed, args, strict=True):
        if name == "groups":
            continue
        if type(x) is not type(rewards):
            return None
        array = x if type(x) is np.ndarray else backend.lent(x)
        if array is None or array.dtype not in FLOATS or array.shape != shape:
            return None
        if not numbers and not is_portable(d):
            return None
        if not (_in_range(d.ranges[name], array) if name in d.ranges else _ordinary(array)):
            return None
        numbers.append(array)
    if type(groups) is int and groups > 1 and shape[0] % groups == 0:
        groups = _blocks(groups, shape[0])
    elif type(groups) is not Groups or groups.scored is not None or not groups.on_host:
        return None
    size = groups.size
    if groups.shape != shape or (size or groups.smallest) < 2:
        return None
    tile = max(1, _TILE // size) * size if size else shape[0]
    if shape[0] <= tile or d.promises.spans_batch or d.widens:
        result = _estimated(d, numbers, groups, settings)
    else:
        result = np.empty(shape, numbers[0].dtype)
        for start in range(0, shape[0], tile):
            tiles = [x[start : start + tile] for x in numbers]
            result[start : start + tile] = _estimated(d, tiles, _blocks(size, len(tiles[0])), settings)
    return backend.cast(backend.from_numpy(result, rewards), rewards.dtype, True)


_blocks = functools.lru_cache(maxsize=4)(Groups.of_size)  # a run has one size or two


def _estimated(d: Definition, numbers: list[Any], groups: Groups, settings: Mapping[str, Any]) -> Any:
    rewards, *others = numbers if d.widens else [x.astype(np.float64) for x in numbers]
    result = d.function(rewards, groups, *others, **settings)
    check_shape(d, result, rewards.shape)
    return result.astype(numbers[0].dtype, copy=False)


def _ordinary(x: Any) -> bool:
    """Whether all numbers are finite and of ordinary size; a sum of their squares says so sooner than they do.

    It may be too large where each of them is not, and then the other call is taken, which is right, too.
    """
    if len(x) <= _FEW:
        return bool(np.vdot(x, x) < ORDINARY**2)  # NaN is not
    rows = x[: len(x) // _FEW * _FEW].reshape(-1, _FEW)
    with np.errstate(over="ignore"):
        return bool(np.vecdot(rows, rows).max() < ORDINARY**2) and _ordinary(x[rows.size :])


def _in_range(allowed: Range, x: Any) -> bool:
    low, high = backend_of(x).extent(x)
    return low > -ORDINARY and high < ORDINARY and allowed.spans(low, high)
