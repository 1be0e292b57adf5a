"""The page of all conventions, made from what each one declares."""

import importlib
from collections.abc import Callable
from typing import Any

from ..core.definition import definition_of
from . import __all__ as frameworks
from .convention import Convention

__all__ = ["functions", "markdown", "shipped", "ships"]


def functions() -> dict[str, Callable[..., Any]]:
    """Every convention by its name, framework.function."""
    return {
        f"{module.FRAMEWORK.name}.{name}": getattr(module, name) for module in _modules() for name in module.__all__
    }


def ships(name: str) -> dict[str, Convention]:
    """What the frameworks have that is an estimator of ours, by their names for it.

    >>> list(ships("maxrl"))
    ['prime_rl.max_rl', 'skyrl.maxrl']
    """
    made = {function: found.__convention__ for function, found in functions().items()}  # type: ignore[attr-defined]
    return {function: one for function, one in made.items() if definition_of(one.base).name == name}


def shipped(name: str) -> list[str]:
    """Which frameworks have an estimator, under which names, with the settings that differ from ours.

    >>> shipped("maxrl")[1]
    "skyrl.maxrl, 0.3.0: epsilon = 1e-06, singleton = 'raw'"
    """
    lines = []
    for function, made in ships(name).items():
        differs = ", ".join(f"{key} = {value!r}" for key, (value, _) in made.deviations.items())
        lines.append(f"{function}, {made.version}" + (f": {differs}" if differs else ""))
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
