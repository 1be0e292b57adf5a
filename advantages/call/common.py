"""The call that most code makes: rewards, groups, and settings of the estimator's own.

At 512 rewards the arithmetic takes some microseconds; to look for all the words that nobody passed took thirty more
(benchmarks/groups.py).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backends import backend_of, library_of
from ..core.definition import Definition
from ..core.groups import Groups
from .rows import ORDINARY

__all__ = ["common_call", "has_common_call"]

_MOST = 32_768
"""Rows up to which a call costs more than memory that is not reused."""
_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def has_common_call(d: Definition) -> bool:
    """Whether rewards and groups are all that an estimator needs, and numpy arrays are all that it needs to see."""
    alone = d.needed == d.positional == ("rewards", "groups")
    return alone and d.portable is True and not (d.per_token or d.ranges or d.shapes)


def common_call(d: Definition, rewards: Any, groups: Any, settings: Mapping[str, Any]) -> Any:
    """(N,) advantages of finite rewards of ordinary size in the host's memory, none alone in its group; else None, for
    a call that looks at everything, and says what is wrong.
    """
    for key, x in settings.items():
        if key not in d.own_settings or hasattr(x, "dtype"):
            return None
        if key in d.checks:
            d.checks[key].check(d.name, key, x)

    if library_of(rewards) is None:
        return None
    backend = backend_of(rewards)
    numbers = rewards if isinstance(rewards, np.ndarray) else backend.lent(rewards)
    if numbers is None or numbers.dtype not in _DTYPES or numbers.ndim != 1 or not 0 < len(numbers) <= _MOST:
        return None
    if type(groups) is int and groups > 1 and len(numbers) % groups == 0:
        groups = Groups.of_size(groups, len(numbers))
    elif type(groups) is not Groups or groups.scored is not None or not groups.on_host:
        return None
    if len(groups) != len(numbers) or groups.smallest < 2:
        return None
    if not (np.minimum.reduce(numbers) > -ORDINARY and np.maximum.reduce(numbers) < ORDINARY):  # NaN is neither
        return None
    result = d.function(numbers.astype(np.float64), groups, **settings)
    if getattr(result, "shape", None) != numbers.shape:
        return None
    found = backend.from_numpy(result.astype(numbers.dtype, copy=False), rewards)
    return backend.cast(found, backend.result_dtype(rewards), True)
