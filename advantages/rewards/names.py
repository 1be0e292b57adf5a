"""From the name of a reward function, as configurations have it, to the function."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ..core import naming

__all__ = ["BUILT_IN", "resolve"]

BUILT_IN = {
    "cosine_length": "advantages.rewards.lengths:CosineLength",
    "exact": "advantages.rewards.verifiers:Exact",
    "format": "advantages.rewards.verifiers:Format",
    "math": "advantages.rewards.mathematics:Math",
    "multiple_choice": "advantages.rewards.verifiers:MultipleChoice",
    "overlong": "advantages.rewards.lengths:Overlong",
    "rouge_l": "advantages.rewards.rouge:RougeL",
}
"""Short names of the ready-made reward functions."""


def resolve(name: str, settings: Mapping[str, Any] | None = None) -> Callable[..., Any]:
    """The reward function of a name.

    Args:
        name: one of `BUILT_IN`, "package.module:function" or "path/file.py:function".
        settings: of a ready-made function or of a class; constant keyword arguments of a function.

    Raises:
        TypeError: a setting is unknown or missing.
        ValueError: there is no such function.

    >>> resolve("exact", {"marker": "#"})
    Exact(marker='#', strict=False, ignore_case=False, column='answer')
    """
    found = naming.resolve(name, what="reward", built_in=BUILT_IN)
    settings = dict(settings or {})
    if not inspect.isclass(found):
        return functools.partial(found, **settings) if settings else found
    if dataclasses.is_dataclass(found):
        _check(name, settings, {field.name: field for field in dataclasses.fields(found) if field.init})
    made: Any = found(**settings)
    return made


def _check(name: str, settings: Mapping[str, Any], fields: Mapping[str, "dataclasses.Field[Any]"]) -> None:
    for setting in settings:
        if setting not in fields:
            raise TypeError(f"reward {name!r}: takes no setting {setting!r}; settings are {', '.join(fields)}")
    for field in fields.values():
        if field.default is dataclasses.MISSING and field.name not in settings:
            raise TypeError(f"reward {name!r}: needs a setting {field.name!r}; pass it in settings")
