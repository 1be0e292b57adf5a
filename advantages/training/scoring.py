"""What a response earns: the reward components that a configuration names."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..rewards import Rewards, Weight
from ..runs.config import Config
from ..tasks.chain import TASKS
from ..tasks.gym import GymReward, ReasoningGym
from ..tasks.problem import Problem, Source

if TYPE_CHECKING:
    from ..policy.rollout import Rollout
    from ..rewards.answers import Reasoning

__all__ = ["apart", "columns_of", "make_rewards"]


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
    return Rewards(weights, functions, settings=settings, optional=optional)


def columns_of(
    problems: Sequence[Problem], rollout: "Rollout", reasoning: Sequence["Reasoning"] | None = None
) -> dict[str, list[Any]]:
    """What reward functions are told of each response beside its text: TRL's names, and the data's own columns.

    Args:
        problems, rollout: what was asked and answered.
        reasoning: how each response marks its reasoning; None: by any of the known tags.
    """
    steps = rollout.mask.shape[1]
    named = dict.fromkeys(name for problem in problems for name in problem.columns)
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
