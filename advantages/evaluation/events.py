"""What an evaluation says while it goes on: one type per event, and the union of all."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

__all__ = ["Comparing", "Event", "Loading", "Report", "Sampled", "Sampling"]


@dataclasses.dataclass(frozen=True)
class Loading:
    """A model is about to be loaded."""

    model: str


@dataclasses.dataclass(frozen=True)
class Sampling:
    """Completions are about to be sampled."""

    done: Sequence[Mapping[str, Any]]
    """Rows of the completions that were there."""
    total: int


@dataclasses.dataclass(frozen=True)
class Sampled:
    """A batch of completions was sampled, graded and written."""

    rows: Sequence[Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Comparing:
    """All completions are there; their answers are about to be compared for votes."""


Event: TypeAlias = Loading | Sampling | Sampled | Comparing
Report: TypeAlias = Callable[[Event], None]
