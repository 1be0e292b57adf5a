"""One reinforcement-learning step after the other: sample, score, estimate, update."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..diagnostics import diagnose
from ..host import resolve
from ..ops import masked_mean
from ..policy.engine import token_logprobs
from ..policy.rollout import Rollout
from ..policy.sampler import Limits, Sampler, make_engine
from ..runs.config import Config
from ..tasks.chain import Procedural
from ..tasks.problem import Problem, Source
from .batch import accuracy, examples, informative, known, mean
from .checks import check_estimator
from .clock import Clock
from .collect import Collector, check_policy
from .distributed import Distributed
from .estimate import advantages_of
from .scoring import make_rewards
from .update import Updater

__all__ = ["Training"]

FEW = 3
"""Steps in a row that may be wholly unscored."""


class Training:
    """A model that learns from rewards; `step()` takes one step and says what happened.

    Raises:
        TypeError, ValueError: the estimator, a reward component or the data cannot serve such a run.
    """

    def __init__(self, config: Config, model: Any, tokenizer: Any, source: Source, world: Distributed) -> None:
        self.config, self.source, self.world = config, source, world
        self.definition = check_estimator(config)
        self.estimator = resolve(config.estimator)
        self.rewards = make_rewards(config, source)
        sampler = _sampler(config, model, tokenizer, source, world)
        sampler.prompts(getattr(source, "problems", ()))
        self.collector = Collector(config, world, sampler, self.rewards, source)
        world.share(config.prompts * config.group_size)
        self.reference = None
        if config.kl and not config.lora_rank:  # without its adapters, a LoRA model is its own reference
            self.reference = copy.deepcopy(model).eval().requires_grad_(False)
        optimizer = torch.optim.AdamW(
            [p for p in model.parameters() if p.requires_grad],
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
        )
        self.model, self.optimizer = world.prepare(model, optimizer)
        self.updater = Updater(config, world, self.model, self.optimizer, sampler.limits.response)
        self.done = 0
        self.unscored_steps = 0
        """Steps in a row of which no response was scored."""
        self.examples: list[dict[str, Any]] = []
        """A few responses of the last step: to one prompt, with their rewards."""
        torch.manual_seed(config.seed * 1_000_003 + world.rank)

    def step(self) -> dict[str, float | None]:
        """Sample responses, score them, and update the policy; the step's measurements, None where there are none.

        Raises:
            ValueError: the policy or the advantages are not finite any more.
        """
        clock = Clock()
        batch = self.collector.batch(self.model, self.done, clock)
        rollout = batch.rollout
        mine = self.world.share(len(batch.problems))
        rows = torch.arange(len(batch.problems), device=rollout.mask.device)[mine]
        own = rollout.rows(rows)
        with torch.no_grad():
            old, entropy = self._read(self.model, own, entropy=True)
            reference = self._read_reference(own) if self.config.kl else None
        check_policy(bool(old[own.mask].isfinite().all()), self.done, self.world)
        clock("reading")
        advantages = advantages_of(
            batch,
            old,
            entropy,
            reference,
            config=self.config,
            estimator=self.estimator,
            definition=self.definition,
            world=self.world,
        )
        clock("estimating")
        self.done += 1
        self.examples = examples(self.done, batch, advantages)
        updates = self.updater(self.done, own, old, advantages[mine], reference)
        clock("updating")

        mask, scored = rollout.mask, batch.rewards.isfinite()
        self.unscored_steps = 0 if bool(scored.any()) else self.unscored_steps + 1
        tokens = int(mask.sum())
        return {
            "step": self.done,
            "samples": self.done * len(batch.problems),
            "reward": known(float(batch.rewards[scored].mean())),
            "accuracy": accuracy(batch.scores.values[:, 0]),
            **{name: known(value) for name, value in batch.scores.log().items()},
            "unscored": float((~scored).double().mean()),
            "length": float(mask.sum(1).float().mean()),
            "truncated": float(rollout.truncated.float().mean()),
            "informative": informative(batch.rewards, batch.groups),
            **diagnose(batch.rewards, advantages, batch.groups, mask=mask, responses=rollout.texts).metrics(),
            "replaced": batch.replaced,
            "advantage": known(float(advantages[scored].abs().mean())),
            "learning_rate": self.updater.learning_rate(self.done),
            **self.world.mean({"entropy": float(masked_mean(entropy, own.mask)), **updates}),
            "tokens": tokens,
            "tokens_per_second": tokens / clock.total,
            "seconds": clock.total,
            **clock.shares,
        }

    def check_scored(self) -> None:
        """Whether there is anything to learn from.

        Raises:
            ValueError: no response of several steps was scored.
        """
        few = min(FEW, self.config.steps)
        if self.unscored_steps < few:
            return
        causes = [f"{name}: {n} {what}" for name, found in self.rewards.failures.items() for what, n in found.items()]
        raise ValueError(
            f"no response of the last {few} steps got a reward{f' ({chr(59).join(causes)})' if causes else ''}; "
            "see what the reward functions return, with a few responses of samples.jsonl"
        )

    def evaluate(self, problems: Sequence[Problem]) -> dict[str, float | None]:
        """What held-out problems earn, sampling at the run's temperature, and greedily; None where it is not known.

        `accuracy` and `greedy_accuracy` are means of the first reward, where that is a verdict of 0 or 1; `reward` and
        `greedy_reward` are means of all rewards' total.
        """
        each = -(-len(problems) // self.world.size)
        own = problems[self.world.rank * each : (self.world.rank + 1) * each]
        found: dict[str, float | None] = {}
        for prefix, greedy in (("", False), ("greedy_", True)):
            verdicts, totals = np.zeros(0), np.zeros(0)
            rollout = self.collector.answers(self.model, own, self.done, greedy=greedy)
            if rollout is not None:
                scores = self.collector.scores(own, rollout, self.done)
                verdicts, totals = scores.values[:, 0], scores.total()
            found[f"{prefix}accuracy"] = accuracy(self.world.join_scores(verdicts))
            found[f"{prefix}reward"] = mean(self.world.join_scores(totals))
        return found

    def _read(self, model: Any, rollout: Rollout, *, entropy: bool) -> tuple[torch.Tensor, Any]:
        """Log-probabilities and entropies, as many responses at once as the settings say."""
        size = self.config.micro_batch or len(rollout.mask)
        rows = torch.arange(len(rollout.mask), device=rollout.mask.device)
        parts = [
            token_logprobs(model, rollout.rows(index), temperature=self.config.temperature, entropy=entropy)
            for index in rows.split(size)
        ]
        entropies = torch.cat([part[1] for part in parts if part[1] is not None]) if entropy else None
        return torch.cat([part[0] for part in parts]), entropies

    def _read_reference(self, rollout: Rollout) -> torch.Tensor:
        if self.reference is not None:
            return self._read(self.reference, rollout, entropy=False)[0]
        with self.world.accelerator.unwrap_model(self.model).disable_adapter():
            return self._read(self.model, rollout, entropy=False)[0]


def _sampler(config: Config, model: Any, tokenizer: Any, source: Source, world: Distributed) -> Sampler:
    """What a configuration samples with.

    Raises:
        ValueError: its responses leave no room for prompts, or its engine cannot serve.
    """
    longest = config.max_new_tokens or (source.task.longest if isinstance(source, Procedural) else 1024)
    limits = Limits.of(model, prompt=config.max_prompt_tokens, response=longest)
    if config.engine == "vllm" and world.size > 1:
        raise ValueError(
            "engine vllm runs in one process; start one, or move to TRL, verl or OpenRLHF with the adapters"
        )
    mixed = world.accelerator.mixed_precision == "bf16"
    engine = make_engine(
        config.engine,
        model,
        tokenizer,
        context=limits.prompt + limits.response,
        dtype=torch.bfloat16 if mixed else model.dtype,
        memory=config.engine_memory,
    )
    return Sampler(
        engine,
        tokenizer,
        limits,
        temperature=config.temperature,
        top_p=config.top_p,
        system=config.system,
        thinking=config.thinking,
    )
