"""The page of all conventions, made from what each one declares."""

import importlib
from typing import Any

from ..core.definition import definition_of
from . import __all__ as frameworks

__all__ = ["markdown", "shipped"]


def shipped(name: str) -> list[str]:
    """Which frameworks have an estimator, under which names, with the settings that differ from ours.

    >>> shipped("maxrl")[1]
    "skyrl.maxrl, 0.3.0: epsilon = 1e-06, singleton = 'raw'"
    """
    lines = []
    for module in _modules():
        for function in module.__all__:
            made = getattr(module, function).__convention__
            if definition_of(made.base).name == name:
                differs = ", ".join(f"{key} = {value!r}" for key, (value, _) in made.deviations.items())
                lines.append(f"{made.framework}.{function}, {made.version}" + (f": {differs}" if differs else ""))
    return lines


def markdown() -> str:
    """One table per framework: its functions, ours that they are, and each setting that differs, with the reason."""
    return "\n\n".join(map(_of, _modules()))


def _modules() -> list[Any]:
    return [importlib.import_module(f"{__package__}.{name}") for name in frameworks]


def _of(module: Any) -> str:
    title, *more = (module.__doc__ or "").strip().splitlines()
    lines = [f"### {title.rstrip('.')}", *more, "", "| function | ours | differs in |", "|---|---|---|"]
    for name in module.__all__:
        made = getattr(module, name).__convention__
        differs = [f"`{key}` = {value!r}: {reason}" for key, (value, reason) in made.deviations.items()]
        function = f"`{module.FRAMEWORK.name}.{name}`"
        lines.append(f"| {function} | `{definition_of(made.base).name}` | {'; '.join(differs) or 'nothing'} |")
    return "\n".join(lines)
