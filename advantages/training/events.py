"""What a run says while it goes on: one type per event, and the union of all."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from ..runs.config import Config

__all__ = ["Done", "Evaluating", "Event", "Note", "Outcome", "Report", "Step", "WarmStart"]


@dataclasses.dataclass
class Outcome:
    """How one run went."""

    estimator: str
    seed: int
    folder: str
    before: float | None
    """Accuracy on held-out problems before reinforcement learning, sampling; see `runs.record.evaluated`."""
    after: float | None
    greedy: float | None
    """Accuracy afterwards, taking the likeliest token each time."""
    auc: float | None
    """Mean accuracy over the steps' samples: how early the curve rises; None where no reward is a verdict."""
    steps_to_90: int | None
    samples_to_90: int | None
    seconds: float
    accuracies: list[float | None]
    rewards: list[float | None] = dataclasses.field(default_factory=list)
    reward_before: float | None = None
    reward_after: float | None = None
    reward_greedy: float | None = None


@dataclasses.dataclass(frozen=True)
class WarmStart:
    """The tiny model's supervised start goes on."""

    config: Config
    phase: Literal["work", "habits"]
    step: int
    value: float
    """The accuracy, where it learns to work; the loss per token, in nats, of the habits."""


@dataclasses.dataclass(frozen=True)
class Note:
    """Something that the user should know."""

    config: Config
    text: str


@dataclasses.dataclass(frozen=True)
class Evaluating:
    """Held-out problems are about to be answered."""

    config: Config
    step: int
    """Steps that the policy has taken."""
    problems: int


@dataclasses.dataclass(frozen=True)
class Step:
    """A step was taken."""

    config: Config
    metrics: Mapping[str, float | None]


@dataclasses.dataclass(frozen=True)
class Done:
    """A run is finished, now or earlier."""

    config: Config
    outcome: Outcome


Event: TypeAlias = WarmStart | Note | Evaluating | Step | Done
Report: TypeAlias = Callable[[Event], None]
"""Is told of each event, in every process."""
