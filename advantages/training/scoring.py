"""What a response earns: the reward components that a configuration names."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..rewards import Rewards, Weight
from ..rewards.combined import RESERVED
from ..runs.config import Config
from ..tasks.chain import TASKS
from ..tasks.gym import GymReward, ReasoningGym
from ..tasks.problem import Problem, Source

if TYPE_CHECKING:
    from ..policy.rollout import Rollout
    from ..rewards.answers import Reasoning

__all__ = ["apart", "column_names", "columns_of", "make_rewards"]

_OWN = ("answer", "solution", "reasoning_tags", "completion_ids")
"""Columns that every batch has, see `columns_of`."""


def make_rewards(config: Config, source: Source) -> Rewards:
    """The components of a configuration; without any, those that fit its task.

    Raises:
        TypeError, ValueError: a component does not exist, or lacks what it needs.
    """
    procedural = config.data is None and config.task in TASKS
    weights: dict[str, Any] = dict(config.rewards)
    functions: dict[str, Any] = {}
    settings: dict[str, Mapping[str, Any]] = {}
    if not weights:
        weights = (
            {"reasoning_gym": 1.0} if isinstance(source, ReasoningGym) else {"exact" if procedural else "math": 1.0}
        )
    if isinstance(source, ReasoningGym) and "reasoning_gym" in weights:
        functions["reasoning_gym"] = GymReward(source)
    if procedural and "exact" in weights:
        settings["exact"] = {"marker": "#", "strict": True}
    if config.rouge_weight:
        if not procedural and not any(p.solution for p in getattr(source, "problems", ())):
            raise ValueError("rouge_weight compares with worked solutions, but no problem has one; give them some")
        steps = None if config.rouge_decay == "constant" else config.steps
        weights["rouge_l"] = Weight(config.rouge_weight, decay=config.rouge_decay, steps=steps)
        settings["rouge_l"] = {"part": config.rouge_part, **({"marker": "#"} if procedural else {})}
    optional = [] if procedural or not config.rouge_weight else ["rouge_l"]  # where only some problems have a solution
    rewards = Rewards(weights, functions, settings=settings, optional=optional)
    _check_columns(rewards, column_names(source))
    return rewards


def column_names(source: Source) -> list[str]:
    """The columns that some problem of a source has beside those that all have."""
    return list(dict.fromkeys(name for problem in getattr(source, "problems", ()) for name in problem.columns))


def _check_columns(rewards: Rewards, names: Sequence[str]) -> None:
    """Refuse data before a model is loaded, instead of at the first step that draws what does not fit."""
    if taken := [name for name in names if name in (*RESERVED, *_OWN)]:
        raise ValueError(
            f"the data has a column {taken[0]!r}, which means something else to reward functions; rename it, as with "
            f"--map {taken[0]}=OTHER"
        )
    if missing := [name for name in rewards.needs if name not in (*names, *_OWN)]:
        raise ValueError(
            f"rewards need {', '.join(missing)}, but the columns are {', '.join([*names, *_OWN])}; add it to the data, "
            f"or name the column that is it: --map OWN={missing[0]}"
        )


def columns_of(
    problems: Sequence[Problem],
    rollout: "Rollout",
    reasoning: Sequence["Reasoning"] | None = None,
    names: Sequence[str] = (),
) -> dict[str, list[Any]]:
    """What reward functions are told of each response beside its text: TRL's names, and the data's own columns.

    Args:
        problems, rollout: what was asked and answered.
        reasoning: how each response marks its reasoning; None: by any of the known tags.
        names: columns that are there in any case, None where a problem has none.
    """
    steps = rollout.mask.shape[1]
    named = dict.fromkeys([*names, *(name for problem in problems for name in problem.columns)])
    return {
        **{name: [problem.columns.get(name) for problem in problems] for name in named},
        "answer": [problem.answer for problem in problems],
        "solution": [problem.solution for problem in problems],
        **({} if reasoning is None else {"reasoning_tags": list(reasoning)}),
        "completion_ids": [ids[on].tolist() for ids, on in zip(rollout.tokens[:, -steps:], rollout.mask, strict=True)],
    }


@contextmanager
def apart(device: Any) -> Iterator[None]:
    """Within, random numbers may be drawn or seeded, and gradients be turned off: at the end all is as it was.

    A judge that seeds itself would have every step sample with the same random numbers.

    Args:
        device: that the run samples on.
    """
    import torch

    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.no_grad():
        yield
