"""A step's batch: problems are drawn, responses sampled and scored, and groups that teach nothing replaced."""

from collections.abc import Sequence
from typing import Any

import torch

from ..core.groups import Groups
from ..policy.engine import NotFiniteError
from ..policy.rollout import Rollout
from ..policy.sampler import Sampler
from ..rewards import Rewards, Scores
from ..rewards.answers import reasoning_of
from ..runs.config import Config
from ..tasks.problem import Problem, Source
from .batch import Batch, concatenated, of_groups, useful_groups
from .clock import Clock
from .distributed import Distributed
from .scoring import apart, column_names, columns_of

__all__ = ["Collector", "check_policy"]


def check_policy(finite: bool, done: int, world: Distributed) -> None:
    """Whether the policy is still one; all processes call it together.

    Raises:
        ValueError: in all processes, where it is not finite in one.
    """
    if world.any(not finite):
        raise ValueError(
            f"after {done} steps the policy's log-probabilities are not finite; lower --learning-rate, or "
            "keep the policy near its start with --kl; the last checkpoint is whole"
        )


class Collector:
    """Has a policy answer problems, and its answers scored; all processes call it together.

    Each method takes the policy, as it was prepared for training, and the number of steps that it has taken.
    """

    def __init__(self, config: Config, world: Distributed, sampler: Sampler, rewards: Rewards, source: Source) -> None:
        self.config, self.world, self.sampler, self.rewards, self.source = config, world, sampler, rewards, source
        self._columns = column_names(source)
        self._pad: int = sampler.tokenizer.pad_token_id

    def batch(self, model: Any, done: int, clock: Clock) -> Batch:
        """A step's groups; with dynamic sampling, those of equal rewards are replaced by new ones."""
        kept: list[Batch] = []
        wanted, replaced = self.config.prompts, 0
        for round_ in range(self.config.dynamic_sampling + 1):
            batch = self._groups(wanted, model, done, clock)
            useful = useful_groups(batch.rewards, self.config.group_size)
            last = round_ == self.config.dynamic_sampling
            keep = torch.ones_like(useful) if last else useful
            kept.append(of_groups(batch, keep, self.config.group_size))
            wanted -= int(keep.sum())
            replaced += int((~keep).sum())
            if not wanted:
                break
        clock("sampling")
        return concatenated(kept, self.config.group_size, self._pad, replaced)

    def answers(self, model: Any, problems: Sequence[Problem], done: int, *, greedy: bool = False) -> Rollout | None:
        """This process's responses, None where it has no problems.

        Raises:
            ValueError: in all processes, where the policy of one is not finite any more.
        """
        rollout, finite = None, True
        with self.world.whole(model) as whole:
            if problems:
                try:
                    rollout = self.sampler.sample(whole, problems, greedy=greedy, version=done)
                except NotFiniteError:
                    finite = False
        check_policy(finite, done, self.world)
        return rollout

    def scores(self, problems: Sequence[Problem], rollout: Rollout, done: int) -> Scores:
        """What this process's responses earn."""
        prompts = [problem.prompt for problem in problems]
        template = self.sampler.tokenizer.chat_template
        reasoning = [reasoning_of(template, prompt) for prompt in self.sampler.rendered(problems)]
        with apart(self.world.device):
            columns = columns_of(problems, rollout, reasoning, self._columns)
            return self.rewards(prompts, rollout.texts, columns, step=done)

    def _groups(self, count: int, model: Any, done: int, clock: Clock) -> Batch:
        problems = [problem for problem in self.source.draw(count) for _ in range(self.config.group_size)]
        padding = -len(problems) % self.world.size  # refilled groups need not divide among processes
        shared = problems + problems[:padding]
        own = shared[self.world.share(len(shared))]
        rollout = self.answers(model, own, done)
        assert rollout is not None
        clock("sampling")
        scores = self.scores(own, rollout, done)
        values = self.world.join_scores(scores.values)[: len(problems)]
        rollout = self.world.join(rollout, self._pad)
        rollout = rollout.rows(torch.arange(len(problems), device=rollout.mask.device))
        scores = scores._replace(values=values)
        groups = Groups.of_size(self.config.group_size, len(problems))
        rewards = torch.from_numpy(scores.total(groups)).to(rollout.mask.device)
        clock("scoring")
        return Batch(problems, groups, rollout, scores, rewards, 0)
