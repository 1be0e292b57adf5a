"""One reinforcement-learning step after the other: sample, score, estimate, update."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..core.groups import Groups
from ..host import estimate, resolve
from ..ops import masked_mean, sequence_logprobs
from ..policy.chat import render, tokenized
from ..policy.engine import NotFiniteError, sample, token_logprobs
from ..policy.rollout import Rollout
from ..rewards import Rewards, Scores
from ..rewards.answers import reasoning_of
from ..runs.config import Config
from ..tasks.chain import Procedural
from ..tasks.problem import Problem, Source
from .batch import Batch, accuracy, concatenated, examples, informative, known, mean, of_groups, useful_groups
from .checks import check_estimator
from .distributed import Distributed
from .scoring import apart, columns_of, make_rewards
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
        self.config, self.tokenizer, self.source, self.world = config, tokenizer, source, world
        self.estimator = resolve(config.estimator)
        self.definition = check_estimator(config)
        self.rewards: Rewards = make_rewards(config, source)
        self.longest = config.max_new_tokens or (source.task.longest if isinstance(source, Procedural) else 1024)
        self.room = self._room(model)
        self._prompts(getattr(source, "problems", ()))
        world.share(config.prompts * config.group_size)
        self.reference = None
        if config.kl and not config.lora_rank:  # without its adapters, a LoRA model is its own reference
            self.reference = _frozen_copy(model)
        optimizer = torch.optim.AdamW(
            [p for p in model.parameters() if p.requires_grad],
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
        )
        self.model, self.optimizer = world.prepare(model, optimizer)
        self.updater = Updater(config, world, self.model, self.optimizer, self.longest)
        self.vllm = self._vllm(model)
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
        clock = _Clock()
        batch = self._sample(clock)
        rollout = batch.rollout
        mine = self.world.share(len(batch.problems))
        rows = torch.arange(len(batch.problems), device=rollout.mask.device)[mine]
        own = rollout.rows(rows)
        with torch.no_grad():
            old, entropy = self._read(self.model, own, entropy=True)
            reference = self._read_reference(own) if self.config.kl else None
        self._check_finite(bool(old[own.mask].isfinite().all()))
        clock("reading")
        advantages = self._estimate(batch, old, reference)
        if not bool(advantages.isfinite().all()):
            raise ValueError(f"{self.config.estimator} returned advantages that are not finite; see `advantages check`")
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
            rollout = self._generate(own, greedy=greedy)
            if rollout is not None:
                scores = self._score(own, rollout)
                verdicts, totals = scores.values[:, 0], scores.total()
            found[f"{prefix}accuracy"] = accuracy(self.world.join_scores(verdicts))
            found[f"{prefix}reward"] = mean(self.world.join_scores(totals))
        return found

    # Sampling and scoring

    def _sample(self, clock: "_Clock") -> Batch:
        """A step's groups; with dynamic sampling, those of equal rewards are replaced by new ones."""
        kept: list[Batch] = []
        wanted, replaced = self.config.prompts, 0
        for round_ in range(self.config.dynamic_sampling + 1):
            batch = self._groups(wanted, clock)
            useful = useful_groups(batch.rewards, self.config.group_size)
            last = round_ == self.config.dynamic_sampling
            keep = torch.ones_like(useful) if last else useful
            kept.append(of_groups(batch, keep, self.config.group_size))
            wanted -= int(keep.sum())
            replaced += int((~keep).sum())
            if not wanted:
                break
        clock("sampling")
        return concatenated(kept, self.config.group_size, self.tokenizer.pad_token_id, replaced)

    def _groups(self, count: int, clock: "_Clock") -> Batch:
        problems = [problem for problem in self.source.draw(count) for _ in range(self.config.group_size)]
        padding = -len(problems) % self.world.size  # refilled groups need not divide among processes
        shared = problems + problems[:padding]
        own = shared[self.world.share(len(shared))]
        rollout = self._generate(own)
        assert rollout is not None
        clock("sampling")
        scores = self._score(own, rollout)
        values = self.world.join_scores(scores.values)[: len(problems)]
        rollout = self.world.join(rollout, self.tokenizer.pad_token_id)
        rollout = rollout.rows(torch.arange(len(problems), device=rollout.mask.device))
        scores = scores._replace(values=values)
        groups = Groups.of_size(self.config.group_size, len(problems))
        rewards = torch.from_numpy(scores.total(groups)).to(rollout.mask.device)
        clock("scoring")
        return Batch(problems, groups, rollout, scores, rewards, 0)

    def _room(self, model: Any) -> int:
        """The most tokens that a prompt may have."""
        context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        if context is not None and self.longest >= context:
            raise ValueError(
                f"responses of up to {self.longest} tokens leave no room for a prompt in a model that reads "
                f"{context}; lower --max-new-tokens"
            )
        return (
            self.config.max_prompt_tokens
            if context is None
            else min(self.config.max_prompt_tokens, context - self.longest)
        )

    def _prompts(self, problems: Sequence[Problem]) -> list[str]:
        """What the model is asked.

        Raises:
            ValueError: a prompt is too long.
        """
        c = self.config
        prompts = [render(self.tokenizer, p.prompt, system=c.system, thinking=c.thinking) for p in problems]
        tokens = tokenized(self.tokenizer, prompts, [problem.where for problem in problems])
        for problem, ids in zip(problems, tokens, strict=True):
            if len(ids) > self.room:
                advice = (
                    "raise --max-prompt-tokens"
                    if self.room == c.max_prompt_tokens
                    else f"lower --max-new-tokens, since the model reads {self.room + self.longest} in all"
                )
                raise ValueError(
                    f"{problem.where}: the prompt has {len(ids)} tokens, but {self.room} are allowed; {advice}, "
                    "or shorten it"
                )
        return prompts

    def _vllm(self, model: Any) -> Any:
        if self.config.engine != "vllm":
            return None
        if self.world.size > 1:
            raise ValueError(
                "engine vllm runs in one process; start one, or move to TRL, verl or OpenRLHF with the adapters"
            )
        from ..policy.vllm import VLLM

        mixed = self.world.accelerator.mixed_precision == "bf16"
        return VLLM(
            model,
            self.tokenizer,
            context=self.room + self.longest,
            dtype=torch.bfloat16 if mixed else model.dtype,
            memory=self.config.engine_memory,
        )

    def _generate(self, problems: Sequence[Problem], *, greedy: bool = False) -> Rollout | None:
        """This process's responses, None where it has no problems; all processes call it together.

        Raises:
            ValueError: in all processes, where the policy of one is not finite any more.
        """
        prompts, rollout, finite = self._prompts(problems), None, True
        how: dict[str, Any] = {
            "max_new_tokens": self.longest,
            "temperature": self.config.temperature,
            "top_p": self.config.top_p,
            "greedy": greedy,
        }
        with self.world.whole(self.model) as model:
            if self.vllm is not None:
                rollout = self.vllm.sample(model, self.tokenizer, prompts, version=self.done, **how)
            elif prompts:
                try:
                    rollout = sample(model, self.tokenizer, prompts, **how, engine=self.config.engine)
                except NotFiniteError:
                    finite = False
        self._check_finite(finite)
        return rollout

    def _check_finite(self, finite: bool) -> None:
        if self.world.any(not finite):
            raise ValueError(
                f"after {self.done} steps the policy's log-probabilities are not finite; lower --learning-rate, or "
                "keep the policy near its start with --kl; the last checkpoint is whole"
            )

    def _score(self, problems: Sequence[Problem], rollout: Rollout) -> Scores:
        prompts = [problem.prompt for problem in problems]
        template = self.tokenizer.chat_template
        reasoning = [reasoning_of(template, prompt) for prompt in self._prompts(problems)]
        with apart(self.world.device):
            return self.rewards(prompts, rollout.texts, columns_of(problems, rollout, reasoning), step=self.done)

    # Estimating

    def _estimate(self, batch: Batch, own_old: torch.Tensor, own_reference: torch.Tensor | None) -> torch.Tensor:
        mask = batch.rollout.mask
        dtype = batch.rewards.dtype  # float64: what rewards differ by may be less than float32 holds
        by_component = any(len(shape) == 2 for shape in self.definition.shapes.get("rewards", ()))
        values = torch.from_numpy(batch.scores.values).to(mask.device, dtype) if by_component else batch.rewards
        options = dict(self.config.options)
        if by_component:
            own = {"components": list(batch.scores.names), "weights": [float(w) for w in batch.scores.weights]}
            options = {**{k: x for k, x in own.items() if k in self.definition.settings}, **options}

        def at_the_end() -> torch.Tensor:
            last = (mask.sum(1, keepdim=True) - 1).clamp(min=0)
            return torch.zeros(mask.shape, dtype=dtype, device=mask.device).scatter(1, last, batch.rewards[:, None])

        def everyones(x: torch.Tensor | None) -> torch.Tensor:
            assert x is not None
            return self.world.join_rows(x)

        supply: Mapping[str, Callable[[], Any]] = {
            "rewards": lambda: values,
            "groups": lambda: batch.groups,
            "logprobs": lambda: sequence_logprobs(everyones(own_old), mask),
            "mask": lambda: mask,
            "token_rewards": at_the_end,
            "token_logprobs": lambda: everyones(own_old),
            "ref_token_logprobs": lambda: everyones(own_reference),
            "lengths": lambda: mask.sum(1),
            "valid": lambda: ~batch.rollout.truncated if self.config.truncated == "drop" else None,
        }
        advantages: torch.Tensor = estimate(self.estimator, supply, options)
        return advantages

    # Reading

    def _read(self, model: Any, rollout: Rollout, *, entropy: bool) -> tuple[torch.Tensor, Any]:
        if torch.is_grad_enabled():
            return token_logprobs(model, rollout, temperature=self.config.temperature, entropy=entropy)
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


class _Clock:
    """Seconds since the start, by what they were spent on."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self.shares: dict[str, float] = {}

    def __call__(self, what: str) -> None:
        now = time.perf_counter()
        name = f"seconds_{what}"
        self.shares[name] = self.shares.get(name, 0.0) + now - self._last
        self._last = now

    @property
    def total(self) -> float:
        return self._last - self._start


def _frozen_copy(model: Any) -> Any:
    import copy

    return copy.deepcopy(model).eval().requires_grad_(False)
