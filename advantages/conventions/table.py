"""The page of all conventions, made from what each one declares."""

import importlib
from typing import Any

from ..core.definition import definition_of
from . import __all__ as frameworks

__all__ = ["markdown"]


def markdown() -> str:
    """One table per framework: its functions, ours that they are, and each setting that differs, with the reason."""
    return "\n\n".join(_of(importlib.import_module(f"{__package__}.{name}")) for name in frameworks)


def _of(module: Any) -> str:
    title, *more = (module.__doc__ or "").strip().splitlines()
    lines = [f"### {title.rstrip('.')}", *more, "", "| function | ours | differs in |", "|---|---|---|"]
    for name in module.__all__:
        made = getattr(module, name).__convention__
        differs = [f"`{key}` = {value!r}: {reason}" for key, (value, reason) in made.deviations.items()]
        function = f"`{module.FRAMEWORK.name}.{name}`"
        lines.append(f"| {function} | `{definition_of(made.base).name}` | {'; '.join(differs) or 'nothing'} |")
    return "\n".join(lines)
