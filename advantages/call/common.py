"""The call that most code makes: rewards, groups, what else is needed, and settings of the estimator's own.

At 512 rewards the arithmetic takes some microseconds; to look for all the words that nobody passed took thirty more
(benchmarks/groups.py).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backends import backend_of, library_of
from ..core.definition import Definition
from ..core.groups import Groups
from ..core.vocabulary import INPUTS
from .rows import ORDINARY, check_shape

__all__ = ["common_call", "has_common_call", "is_portable"]

_TILE = 32_768
"""Rows at a time: temporaries of this size are reused, larger ones are mapped and faulted in anew, which takes longer
than the arithmetic (benchmarks/groups.py)."""
_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


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

    rewards, groups, *others = args
    if library_of(rewards) is None:
        return None
    backend, shape = backend_of(rewards), rewards.shape
    if len(shape) != 1 or not shape[0]:
        return None
    numbers: list[Any] = []
    for name, x in zip((d.lead, *d.needed[2:]), (rewards, *others), strict=True):
        if type(x) is not type(rewards):
            return None
        array = x if type(x) is np.ndarray else backend.lent(x)
        if array is None or array.dtype not in _DTYPES or array.shape != shape:
            return None
        if not numbers and not is_portable(d):
            return None
        low, high = np.minimum.reduce(array), np.maximum.reduce(array)
        if not (low > -ORDINARY and high < ORDINARY):  # NaN is neither
            return None
        if name in d.ranges and not d.ranges[name].spans(low, high):
            return None
        numbers.append(array)
    if type(groups) is int and groups > 1 and shape[0] % groups == 0:
        groups = Groups.of_size(groups, shape[0])
    elif type(groups) is not Groups or groups.scored is not None or not groups.on_host:
        return None
    if len(groups) != shape[0] or groups.smallest < 2:
        return None
    size = groups.size
    tile = max(1, _TILE // size) * size if size else shape[0]
    if size is None or shape[0] <= tile or d.promises.spans_batch or d.widens:
        result = _estimated(d, numbers, groups, settings)
    else:
        result = np.empty(shape, numbers[0].dtype)
        for start in range(0, shape[0], tile):
            tiles = [x[start : start + tile] for x in numbers]
            of_tile = Groups.of_size(size, len(tiles[0]))
            result[start : start + tile] = _estimated(d, tiles, of_tile, settings)
    found = backend.from_numpy(result, rewards)
    return backend.cast(found, backend.result_dtype(rewards), True)


def _estimated(d: Definition, numbers: list[Any], groups: Groups, settings: Mapping[str, Any]) -> Any:
    rewards, *others = numbers if d.widens else [x.astype(np.float64) for x in numbers]
    result = d.function(rewards, groups, *others, **settings)
    check_shape(d, result, rewards.shape)
    return result.astype(numbers[0].dtype, copy=False)
