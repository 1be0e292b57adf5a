"""The table of estimators, made from what each one declares."""

import sys
from collections.abc import Callable
from typing import Any

from . import estimators
from .core.definition import Definition, definition_of

__all__ = ["markdown"]


def markdown() -> str:
    """One row per estimator: what it needs, what there is one of, what it promises, and its paper."""
    lines = ["| estimator | advantage | needs | promises | source |", "|---|---|---|---|---|"]
    for name in estimators.__all__:
        function: Callable[..., Any] = getattr(estimators, name)
        d = definition_of(function)
        paper = (sys.modules[function.__module__].__doc__ or "").splitlines()[0].rstrip(".")
        unit = "per token" if d.per_token else "per response"
        needs = ", ".join(f"`{word}`" for word in d.needed)
        lines.append(f"| `{name}` | {unit} | {needs} | {', '.join(_promises(d)) or 'none beyond all'} | {paper} |")
    return "\n".join(lines)


def _promises(d: Definition) -> list[str]:
    p = d.promises
    said = [word for word, holds in (("zero-sum", p.zero_sum), ("shift-invariant", p.shift_invariant)) if holds]
    said += [f"scale-{p.scale}"] if p.scale else []
    said += ["monotone"] if p.monotone else []
    said += [f"at most {p.bound(8):.3g} for n = 8"] if p.bound else []
    said += [f"at most {p.gap_bound(8):.3g} gaps for n = 8"] if p.gap_bound else []
    if p.unbiased:
        said.append("unbiased" if p.unbiased(8) == 1 else f"unbiased times {p.unbiased(8):.3g} for n = 8")
    said += [] if p.equals_get_zero else ["pushes groups of equals"]
    said += ["statistics of the batch"] if p.spans_batch else []
    return said
