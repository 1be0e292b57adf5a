"""Every estimator in three small worlds: its exact expected update beside the gradient of its own objective."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from . import estimators
from .core.definition import definition_of
from .lab.tree import Tree, updates

__all__ = ["SETTINGS", "SIZE", "WORLDS", "Measures", "Row", "markdown", "rows", "table"]

SIZE = 4
"""Responses in a group."""

_RIGHT = {(0, 0): 0.0, (0, 1): 0.0, (1, 0): 1.0, (1, 1): 0.0, (2,): 0.0}
_GRADED = {(0, 0): 0.0, (0, 1): 0.2, (1, 0): 1.0, (1, 1): 0.5, (2,): 0.3}
_TEACHER = {(): (0.2, 0.6, 0.2), (1,): (0.7, 0.3)}

WORLDS: dict[str, Tree] = {
    "rarely right": Tree({(): (0.6, 0.3, 0.1), (0,): (0.8, 0.2), (1,): (0.5, 0.5)}, _RIGHT, _TEACHER),
    "mostly right": Tree({(): (0.1, 0.8, 0.1), (0,): (0.8, 0.2), (1,): (0.9, 0.1)}, _RIGHT, _TEACHER),
    "graded": Tree({(): (0.6, 0.3, 0.1), (0,): (0.8, 0.2), (1,): (0.3, 0.7)}, _GRADED, _TEACHER, critic=0.5),
}
"""Five answers of one or two tokens; in the last world rewards are no verdicts, and the critic says 0.5 of all."""

SETTINGS: dict[str, dict[str, Any]] = {"entropic": {"beta": 1.0}}
"""Of estimators whose default has no objective that can be written down."""


_LEAST = 1e-12
"""In rewards: what is smaller is a rounding error."""


class Measures(NamedTuple):
    """An expected update beside a gradient; None where one of them, or the noise, is zero."""

    cosine: float | None
    """Of the angle between them: 1 is the same direction."""
    length: float | None
    """Of the update, in lengths of the gradient."""
    signal: float | None
    """The update's length over the deviation of a single group's."""


class Row(NamedTuple):
    """One estimator in all worlds."""

    estimator: str
    settings: Mapping[str, Any]
    objective: str
    measures: Mapping[str, Measures | None]
    """By world; None where its rewards mean nothing to the estimator."""


def rows(names: Iterable[str] | None = None) -> Iterator[Row]:
    """Measure all estimators, or some.

    >>> (row,) = rows(["pkpo"])
    >>> row.objective, [round(x, 6) for x in row.measures["rarely right"][:2]]
    ('E[max of k]', [1.0, 0.25])
    """
    for name in estimators.__all__ if names is None else names:
        function, settings = getattr(estimators, name), SETTINGS.get(name, {})
        d = definition_of(function)
        allowed = d.ranges.get("rewards")
        measured = {}
        for world, tree in WORLDS.items():
            means = allowed is None or not allowed.whole or set(tree.rewards.values()) <= {0.0, 1.0}
            measured[world] = (
                _measured(updates(function, tree, SIZE, d.promises.objective, **settings)) if means else None
            )
        yield Row(name, settings, d.promises.objective.formula, measured)


def _measured(found: Any) -> Measures:
    update, gradient = (float(np.linalg.norm(x)) for x in (found.mean, found.gradient))
    along = float((found.mean * found.gradient).sum())
    return Measures(
        cosine=along / update / gradient if min(update, gradient) > _LEAST else None,
        length=update / gradient if gradient > _LEAST else None,
        signal=update / found.deviation if found.deviation > _LEAST else None,
    )


# In print


def table(found: Iterable[Row]) -> str:
    """The rows as text of at most 100 columns."""
    head = f"{'':55}" + " ".join(f"{world:^14}" for world in WORLDS)
    named = f"{'estimator':28} {'objective':26}" + " cos. len. s/n " * len(WORLDS)
    lines = [head.rstrip(), named.rstrip()]
    for row in found:
        cells = " ".join(f"{_number(x, 2):>4}" for measures in row.measures.values() for x in measures or [None] * 3)
        lines.append(f"{_named(row):28} {row.objective:26} {cells}")
    return "\n".join(lines)


def markdown(found: Iterable[Row]) -> str:
    """The rows as the table of the documentation."""
    lines = ["| estimator | objective | " + " | ".join(WORLDS) + " |", "|---|---|" + "---|" * len(WORLDS)]
    for row in found:
        cells = (
            "-" if measures is None else ", ".join(_number(x, 3) for x in measures)
            for measures in row.measures.values()
        )
        lines.append(f"| `{_named(row)}` | {row.objective} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _named(row: Row) -> str:
    return " ".join([row.estimator, *(f"{key}={x:g}" for key, x in row.settings.items())])


def _number(x: float | None, digits: int) -> str:
    return "-" if x is None else f"{x:.{digits}f}"
