"""One reinforcement-learning step after the other: sample, score, estimate, update."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch

from ..adapters.contract import Host, check, estimate, resolve
from ..core.groups import Groups
from ..ops import masked_mean, sequence_logprobs
from ..policy.chat import render
from ..policy.rollout import Rollout, joined, read, sample
from ..rewards import Rewards, Scores
from ..rewards.answers import reasoning_of
from ..runs.config import Config
from ..tasks.chain import Problem
from ..tasks.files import Procedural, Source
from .distributed import World
from .loss import importance_weights, surrogate
from .scoring import columns_of, make_rewards

__all__ = ["HOST", "Training"]

_WORDS = {"rewards", "groups", "logprobs", "mask", "token_rewards", "token_logprobs", "lengths", "valid"}
HOST = Host("advantages train", "rl-advantages", ">=0", frozenset(_WORDS), real=True)
_WITH_REFERENCE = _WORDS | {"ref_token_logprobs"}


class _Batch(NamedTuple):
    """A step's responses, of all processes, group after group."""

    problems: list[Problem]
    groups: Any
    rollout: Rollout
    scores: Scores
    rewards: torch.Tensor
    """(N,) float64 totals, NaN where unscored."""
    replaced: int
    """Groups of equal rewards that were sampled, and replaced."""


class Training:
    """A model that learns from rewards; `step()` takes one step and says what happened.

    Raises:
        TypeError, ValueError: the estimator, a reward component or the data cannot serve such a run.
    """

    def __init__(self, config: Config, model: Any, tokenizer: Any, source: Source, world: World) -> None:
        self.config, self.tokenizer, self.source, self.world = config, tokenizer, source, world
        self.estimator = resolve(config.estimator)
        self.definition = check(self.estimator, HOST, config.options, _WITH_REFERENCE if config.kl else _WORDS)
        self.rewards: Rewards = make_rewards(config, source)
        self.longest = config.max_new_tokens or (source.task.longest if isinstance(source, Procedural) else 1024)
        self.room = self._room(model)
        self._prompts(getattr(source, "problems", ()))
        world.share(config.prompts * config.samples)
        self.reference = None
        if config.kl and not config.lora_rank:  # without its adapters, a LoRA model is its own reference
            self.reference = _frozen_copy(model)
        optimizer = torch.optim.AdamW(
            [p for p in model.parameters() if p.requires_grad],
            lr=config.rate,
            weight_decay=config.weight_decay,
        )
        self.model, self.optimizer = world.prepare(model, optimizer)
        self.vllm = self._vllm(model)
        self.done = 0
        self.examples: list[dict[str, Any]] = []
        """A few responses of the last step: to one prompt, with their rewards."""
        torch.manual_seed(config.seed * 1_000_003 + world.rank)

    def step(self) -> dict[str, float]:
        """Sample responses, score them, and update the policy; the step's measurements."""
        clock = _Clock()
        batch = self._sample(clock)
        rollout = batch.rollout
        mine = self.world.share(len(batch.problems))
        rows = torch.arange(len(batch.problems), device=rollout.mask.device)[mine]
        own = rollout.rows(rows)
        with torch.no_grad():
            old, entropy = self._read(self.model, own, entropy=True)
            reference = self._read_reference(own) if self.config.kl else None
        clock("reading")
        advantages = self._estimate(batch, old, reference)
        if not bool(advantages.isfinite().all()):
            raise ValueError(
                f"train: {self.config.estimator} returned advantages that are not finite; see `advantages check`"
            )
        clock("estimating")
        self.done += 1
        self.examples = _examples(self.done, batch, advantages)
        updates = self._update(own, old, advantages[mine], reference)
        clock("updating")

        mask, scored = rollout.mask, batch.rewards[batch.rewards.isfinite()]
        tokens = int(mask.sum())
        return {
            "step": self.done,
            "samples": self.done * len(batch.problems),
            "reward": float(scored.mean()) if len(scored) else 0.0,
            "accuracy": _mean(batch.scores.values[:, 0]),
            **{name: value for name, value in batch.scores.log().items() if math.isfinite(value)},
            "unscored": float((~batch.rewards.isfinite()).double().mean()),
            "length": float(mask.sum(1).float().mean()),
            "truncated": float(rollout.truncated.float().mean()),
            "informative": _informative(batch.rewards, batch.groups),
            "replaced": batch.replaced,
            "advantage": float(advantages.abs().mean()),
            "rate": self._rate(self.done),
            **self.world.mean({"entropy": float(masked_mean(entropy, own.mask)), **updates}),
            "tokens": tokens,
            "tokens_per_second": tokens / clock.total,
            "seconds": clock.total,
            **clock.shares,
        }

    def evaluate(self, problems: Sequence[Problem]) -> dict[str, float]:
        """Share of held-out problems answered rightly: sampling at the run's temperature, and greedily."""
        each = -(-len(problems) // self.world.size)
        mine = problems[self.world.rank * each : (self.world.rank + 1) * each]
        found = {}
        for name, greedy in (("pass@1", False), ("greedy", True)):
            right = np.zeros(0)
            if mine:
                rollout = self._generate(mine, greedy=greedy)
                right = self._score(mine, rollout).values[:, 0]
            found[name] = _mean(self.world.join_scores(right))
        return found

    # Sampling and scoring

    def _sample(self, clock: "_Clock") -> _Batch:
        """A step's groups; with dynamic sampling, those of equal rewards are replaced by new ones."""
        kept: list[_Batch] = []
        wanted, replaced = self.config.prompts, 0
        for round_ in range(self.config.dynamic_sampling + 1):
            batch = self._groups(wanted, clock)
            useful = _useful_groups(batch.rewards, self.config.samples)
            last = round_ == self.config.dynamic_sampling
            keep = torch.ones_like(useful) if last else useful
            kept.append(_of_groups(batch, keep, self.config.samples))
            wanted -= int(keep.sum())
            replaced += int((~keep).sum())
            if not wanted:
                break
        clock("sampling")
        return _concatenated(kept, self.config.samples, self.tokenizer.pad_token_id, replaced)

    def _groups(self, count: int, clock: "_Clock") -> _Batch:
        problems = [problem for problem in self.source.draw(count) for _ in range(self.config.samples)]
        padding = -len(problems) % self.world.size  # refilled groups need not divide among processes
        shared = problems + problems[:padding]
        own = shared[self.world.share(len(shared))]
        rollout = self._generate(own)
        clock("sampling")
        scores = self._score(own, rollout)
        values = self.world.join_scores(scores.values)[: len(problems)]
        rollout = self.world.join(rollout, self.tokenizer.pad_token_id)
        rollout = rollout.rows(torch.arange(len(problems), device=rollout.mask.device))
        scores = scores._replace(values=values)
        groups = Groups.of_size(self.config.samples, len(problems))
        rewards = torch.from_numpy(scores.total(groups)).to(rollout.mask.device)
        clock("scoring")
        return _Batch(problems, groups, rollout, scores, rewards, 0)

    def _room(self, model: Any) -> int:
        """The most tokens that a prompt may have."""
        context = getattr(model.config, "max_position_embeddings", None)
        if context is not None and self.longest >= context:
            raise ValueError(
                f"train: responses of up to {self.longest} tokens leave no room for a prompt in a model that reads "
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
        lengths = map(len, self.tokenizer(prompts, add_special_tokens=False).input_ids if prompts else ())
        for problem, length in zip(problems, lengths, strict=True):
            if length > self.room:
                advice = (
                    "raise --max-prompt-tokens"
                    if self.room == c.max_prompt_tokens
                    else f"lower --max-new-tokens, since the model reads {self.room + self.longest} in all"
                )
                raise ValueError(
                    f"train: {problem.where}: the prompt has {length} tokens, but {self.room} are allowed; {advice}, "
                    "or shorten it"
                )
        return prompts

    def _vllm(self, model: Any) -> Any:
        if self.config.engine != "vllm":
            return None
        if self.world.size > 1:
            raise ValueError(
                "train: engine vllm runs in one process; start one, or move to TRL, verl or OpenRLHF with the adapters"
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

    def _generate(self, problems: Sequence[Problem], *, greedy: bool = False) -> Rollout:
        prompts = self._prompts(problems)
        how: dict[str, Any] = {
            "max_new_tokens": self.longest,
            "temperature": self.config.temperature,
            "top_p": self.config.top_p,
            "greedy": greedy,
        }
        with self.world.whole(self.model) as model:
            if self.vllm is not None:
                rollout: Rollout = self.vllm.sample(model, self.tokenizer, prompts, version=self.done, **how)
                return rollout
            return sample(model, self.tokenizer, prompts, **how, engine=self.config.engine)

    def _score(self, problems: Sequence[Problem], rollout: Rollout) -> Scores:
        prompts = [problem.prompt for problem in problems]
        template = self.tokenizer.chat_template
        reasoning = [reasoning_of(template, prompt) for prompt in self._prompts(problems)]
        return self.rewards(prompts, rollout.texts, columns_of(problems, rollout, reasoning), step=self.done)

    # Estimating

    def _estimate(self, batch: _Batch, own_old: torch.Tensor, own_reference: torch.Tensor | None) -> torch.Tensor:
        mask = batch.rollout.mask
        dtype = torch.float32
        by_component = any(len(shape) == 2 for shape in self.definition.shapes.get("rewards", ()))
        values = (
            torch.from_numpy(batch.scores.values).to(mask.device, dtype) if by_component else batch.rewards.to(dtype)
        )
        options = dict(self.config.options)
        if by_component:
            own = {"components": list(batch.scores.names), "weights": [float(w) for w in batch.scores.weights]}
            options = {**{k: x for k, x in own.items() if k in self.definition.settings}, **options}

        def at_the_end() -> torch.Tensor:
            last = (mask.sum(1, keepdim=True) - 1).clamp(min=0)
            return torch.zeros(mask.shape, dtype=dtype, device=mask.device).scatter(
                1, last, batch.rewards.to(dtype)[:, None]
            )

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

    # Updating

    def _update(
        self, rollout: Rollout, old: torch.Tensor, advantages: torch.Tensor, reference: torch.Tensor | None
    ) -> dict[str, float]:
        c, accelerator = self.config, self.world.accelerator
        trained = rollout.mask & ~rollout.truncated[:, None] if c.truncated == "mask" else rollout.mask
        weights = None
        if rollout.sampled_logprobs is not None:
            weights = importance_weights(old, rollout.sampled_logprobs, rollout.mask, cap=c.importance_cap)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(self.done)
        self.model.train()
        found: list[dict[str, float]] = []
        for _ in range(c.passes):
            order = torch.randperm(len(advantages)).to(advantages.device)
            for minibatch in order.chunk(c.minibatches):
                divisor = self._divisor(trained[minibatch]) / self.world.size  # DDP averages gradients over processes
                micro_batches = minibatch.split(c.micro_batch or len(minibatch))
                for number, index in enumerate(micro_batches, 1):
                    last = number == len(micro_batches)
                    with accelerator.no_sync(self.model) if not last else nullcontext():
                        some = rollout.rows(index)
                        logprobs, _ = self._read(self.model, some, entropy=False)
                        result = surrogate(
                            logprobs,
                            old[index],
                            advantages[index],
                            trained[index],
                            clip_low=c.clip_low,
                            clip_high=c.clip_high,
                            dual_clip=c.dual_clip or None,
                            ratio=c.ratio,  # type: ignore[arg-type]
                            aggregation=c.aggregation,  # type: ignore[arg-type]
                            divisor=divisor,
                            reference_logprobs=None if reference is None else reference[index],
                            kl=c.kl,
                            weights=None if weights is None else weights[index],
                        )
                        accelerator.backward(result.loss)
                    share = len(index) / len(minibatch)
                    found.append(
                        {name: share * float(x.detach()) for name, x in result._asdict().items() if name != "loss"}
                    )
                    found[-1]["loss"] = float(result.loss.detach())
                norm: Any = accelerator.clip_grad_norm_(self.model.parameters(), c.grad_clip or math.inf)
                self.optimizer.step()
                self.optimizer.zero_grad()
                found.append({"grad_norm": float(norm)})
        updates = c.passes * c.minibatches
        return {
            name: sum(one.get(name, 0.0) for one in found) / updates
            for name in dict.fromkeys(k for one in found for k in one)
        }

    def _divisor(self, trained: torch.Tensor) -> float:
        """What the summed loss of a minibatch is divided by: over all processes, so that every token weighs alike."""
        match self.config.aggregation:
            case "token":
                return max(1.0, self.world.sum(float(trained.sum())))
            case "sequence":
                return self.world.sum(float(len(trained)))
            case _:
                return self.world.sum(float(len(trained))) * self.longest

    def _rate(self, step: int) -> float:
        return self.config.rate * min(1.0, step / max(1, self.config.warmup))

    def _read(self, model: Any, rollout: Rollout, *, entropy: bool) -> tuple[torch.Tensor, Any]:
        if torch.is_grad_enabled():
            return read(model, rollout, temperature=self.config.temperature, entropy=entropy)
        size = self.config.micro_batch or len(rollout.mask)
        rows = torch.arange(len(rollout.mask), device=rollout.mask.device)
        parts = [
            read(model, rollout.rows(index), temperature=self.config.temperature, entropy=entropy)
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


def _mean(x: Any) -> float:
    """Mean over scored rows; 0 where none is."""
    known = x[np.isfinite(x)]
    return float(known.mean()) if len(known) else 0.0


def _useful_groups(rewards: torch.Tensor, samples: int) -> torch.Tensor:
    """(groups,) bool: whether two scored responses of a group differ."""
    table = rewards.view(-1, samples)
    scored = table.isfinite()
    low = table.masked_fill(~scored, math.inf).amin(1)
    high = table.masked_fill(~scored, -math.inf).amax(1)
    return high > low


def _informative(rewards: torch.Tensor, groups: Groups) -> float:
    return float(_useful_groups(rewards, groups.size or 1).float().mean())


def _examples(step: int, batch: _Batch, advantages: torch.Tensor, count: int = 4) -> list[dict[str, Any]]:
    """The first responses to a step's first prompt, for the record; a reward is None where there is none.

    Of an estimator that gives each token its own, the advantage is the mean over the response.
    """
    mask = batch.rollout.mask
    if advantages.ndim == 2:
        advantages = torch.where(mask, advantages, 0.0).sum(1) / mask.sum(1).clamp(min=1)
    rows = range(min(count, batch.groups.size or count, len(batch.problems)))

    def known(x: float) -> float | None:
        return x if math.isfinite(x) else None

    return [
        {
            "step": step,
            "prompt": batch.problems[row].prompt,
            "answer": batch.problems[row].answer,
            "response": batch.rollout.texts[row],
            "reward": known(float(batch.rewards[row])),
            "scores": dict(zip(batch.scores.names, map(known, batch.scores.values[row].tolist()), strict=True)),
            "advantage": float(advantages[row]),
            "tokens": int(mask[row].sum()),
            "truncated": bool(batch.rollout.truncated[row]),
        }
        for row in rows
    ]


def _of_groups(batch: _Batch, keep: torch.Tensor, samples: int) -> _Batch:
    rows = keep.repeat_interleave(samples).nonzero().flatten()
    index = rows.tolist()
    return batch._replace(
        problems=[batch.problems[i] for i in index],
        rollout=batch.rollout.rows(rows),
        scores=batch.scores._replace(values=batch.scores.values[index]),
        rewards=batch.rewards[rows],
    )


def _concatenated(batches: Sequence[_Batch], samples: int, pad: int, replaced: int) -> _Batch:
    problems = [problem for batch in batches for problem in batch.problems]
    return _Batch(
        problems,
        Groups.of_size(samples, len(problems)),
        joined([batch.rollout for batch in batches], pad),
        batches[-1].scores._replace(values=np.concatenate([batch.scores.values for batch in batches])),
        torch.cat([batch.rewards for batch in batches]),
        replaced,
    )
