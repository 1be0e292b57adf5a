"""Estimators inside TRL: its GRPOTrainer and RLOOTrainer, with the advantages of an estimator instead of TRL's own.

Each process gathers what the estimator names from all processes, computes the advantages of the whole generation
batch, and keeps its own rows: groups and statistics that span processes are those of one process.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
import trl

from ..core.definition import Definition, definition_of
from ..diagnostics import diagnose
from ..host import check, check_group_size, estimate, measures, resolve, units
from ..ops import sequence_logprobs
from .hooks import MovedHookError, hook, warn_outside_tested_range
from .hosts import HOSTS

__all__ = ["GRPOTrainer", "RLOOTrainer"]

_HOST = HOSTS["TRL"]
_NEWER = {"multi_objective_aggregation"}
"""Options that the oldest TRL of the tested range does not have."""
_UNSCALED = ("scale_rewards", "none")
_TOKENS = {"token_rewards", "token_logprobs", "ref_token_logprobs"}
if TYPE_CHECKING:
    _Trainer = Any
else:
    _Trainer = object


class _Estimated(_Trainer):
    """What the two trainers share; stands before TRL's trainer among the bases."""

    _config: Any
    """TRL's class of configurations, which has the defaults."""
    _hooks = ("_generate_and_score_completions", "_calculate_rewards", "_get_per_token_logps_and_entropies")
    _of_theirs: Mapping[str, Any]
    """Options that shape TRL's own advantages alone, with their defaults."""
    _per_token: bool
    """Whether TRL's loss takes one advantage per token."""
    _scores: torch.Tensor | None = None
    """(N, K) rewards per function, from when TRL has computed them to when we need them."""

    def __init__(
        self,
        model: Any,
        reward_funcs: Any = None,
        args: Any = None,
        *more: Any,
        advantage: str | Callable[..., Any] | None = None,
        advantage_options: Mapping[str, Any] | None = None,
        **others: Any,
    ) -> None:
        warn_outside_tested_range(_HOST)
        for name in self._hooks:
            hook(super(), name)
        self._estimator = resolve(advantage)
        self._options = {} if advantage_options is None else advantage_options
        self._definition = self._check(self._config if args is None else args)
        super().__init__(model, reward_funcs, args, *more, **others)
        if self._definition.by_component:
            columns = {"weights": self.reward_weights.tolist(), "components": list(self.reward_func_names)}
            taken = {name: value for name, value in columns.items() if name in self._definition.settings}
            self._options = {**self._options, **taken}

    def _words(self, config: Any) -> set[str]:
        """Words of the vocabulary that can be supplied in this configuration."""
        raise NotImplementedError

    def _check(self, config: Any) -> Definition:
        """Refuse what cannot work, or would be ignored, before a model is loaded."""
        d = check(self._estimator, _HOST, self._options, self._words(config))
        check_group_size(d, _HOST, self._options, hook(config, "num_generations"))
        for name, default in self._of_theirs.items():
            value = getattr(config, name, default) if name in _NEWER else hook(config, name)
            if value != default:
                unscaled = "; dr_grpo does not divide by the deviation" if (name, value) == _UNSCALED else ""
                raise ValueError(
                    f"{name} is {value!r}, which shapes TRL's own advantages and does nothing to those of {d.name}; "
                    f"leave it at {default!r}, and choose the estimator and its advantage_options instead{unscaled}"
                )
        if d.by_component and "weights" not in d.settings and config.reward_weights is not None:
            raise ValueError(
                f"reward_weights is {config.reward_weights!r}, but {d.name} takes the reward functions apart and has "
                "no setting weights; leave reward_weights at None"
            )
        return d

    # What is asked of TRL

    @property
    def _mode(self) -> str:
        return "train" if self.model.training else "eval"

    @property
    def _group_size(self) -> int:
        in_training: int = self.num_generations
        if self._mode == "train":
            return in_training
        return getattr(self, "num_generations_eval", in_training)  # TRL 0.24 has one for both

    def _gathered(self, x: torch.Tensor) -> torch.Tensor:
        """Rows of all processes, in their order; tokens padded to the longest."""
        if x.ndim == 2:
            x = self.accelerator.pad_across_processes(x, dim=1)
        gathered: torch.Tensor = self.accelerator.gather(x)
        return gathered

    def _groups(self, scores: torch.Tensor) -> torch.Tensor:
        """(N,) the number of the prompt: TRL holds the responses to a prompt side by side."""
        return torch.arange(len(scores)) // self._group_size

    def _rewards(self, output: dict[str, Any], scores: torch.Tensor) -> torch.Tensor:
        """(N,) rewards, as TRL forms them: weighted sums over the functions, NaN where none of them scored."""
        total = (scores * self.reward_weights.to(scores.device)).nansum(1)
        return torch.where(scores.isnan().all(1), torch.nan, total)

    def _supply(self, output: dict[str, Any], scores: torch.Tensor) -> dict[str, Callable[[], Any]]:
        """The words of a batch, those of all processes.

        Args:
            output: what TRL has made of this process's part of the generation batch.
            scores: (N, K) rewards per function of all processes; NaN where a function did not score.
        """
        return {
            "rewards": lambda: scores if self._definition.by_component else self._rewards(output, scores),
            "groups": lambda: self._groups(scores),
            # An @estimator knows rows by their NaN, and strict=True raises on them; a plain function may ask.
            "valid": lambda: ~scores.isnan().all(1) if "valid" in self._definition.own else None,
            "mask": cache(lambda: self._gathered(_mask(output).int()) != 0),
            "lengths": lambda: self._gathered(_mask(output).sum(1)),
        }

    # What is put in TRL's place

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        scores: torch.Tensor = super()._calculate_rewards(*args, **kwargs)
        self._scores = scores
        return scores

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        scores, self._scores = self._scores, None
        if scores is None or "advantages" not in output:
            raise MovedHookError(
                "TRL has scored a batch without _calculate_rewards, or without advantages in its result, which the "
                "adapter holds on to; install a version in the tested range (see `advantages adapters`), or report this"
            )
        supply = self._supply(output, scores)
        advantages = estimate(self._estimator, supply, self._options, per_token=self._per_token)
        self._record(advantages, scores, supply["mask"]() if advantages.ndim == 2 else None)
        first = self.accelerator.process_index * len(inputs)
        advantages = advantages[first : first + len(inputs)]
        tokens = output["completion_ids"].shape[1]
        output["advantages"] = advantages[:, :tokens] if advantages.ndim == 2 else advantages
        return output

    def _record(self, advantages: torch.Tensor, scores: torch.Tensor, mask: torch.Tensor | None) -> None:
        """Log the advantages that are trained on, in the place of TRL's own and in metrics of ours."""
        each = advantages if mask is None else advantages.sum(1) / mask.sum(1).clamp(min=1)
        column = self._logs["advantages"]
        for _ in range(min(len(each), len(column))):
            column.pop()
        column.extend(each.tolist())

        groups = self._groups(scores)
        names, weights = self.reward_func_names, self.reward_weights.tolist()
        look = diagnose(scores, advantages, groups, mask=mask, components=names, weights=weights)
        found = {**look.metrics(), **measures(advantages, mask, groups.tolist(), scores)}
        for name, value in found.items():
            self._metrics[self._mode][name].append(value)


class GRPOTrainer(_Estimated, trl.GRPOTrainer):
    """TRL's GRPOTrainer with the advantages of an estimator, per response or per token.

    Args:
        advantage: a name in `advantages`, "package.module:function", or the function itself.
        advantage_options: settings of the estimator.
        *: all other arguments are those of `trl.GRPOTrainer`.

    Raises:
        TypeError: the estimator needs what TRL cannot give, or an option is unknown or of the wrong type.
        ValueError: there is no such estimator, an option is out of range, or an option of TRL would be ignored.
        MovedHookError: the installed TRL lacks a method that the adapter holds on to.
    """

    _config = trl.GRPOConfig
    _per_token = True
    _of_theirs = MappingProxyType({"scale_rewards": "group", "multi_objective_aggregation": "sum_then_normalize"})

    def _words(self, config: Any) -> set[str]:
        return set(_HOST.words) - (set() if config.beta else {"ref_token_logprobs"})

    def _token_logprobs(self, output: dict[str, Any]) -> torch.Tensor:
        """Log-probabilities under the policy as it sampled; TRL leaves them out where the loss can do without."""
        found: torch.Tensor | None = output.get("old_per_token_logps")
        if found is None:
            logps = self._get_per_token_logps_and_entropies
            batch_size = self.args.per_device_train_batch_size
            with torch.no_grad():
                result = logps(
                    self.model,
                    torch.cat([output["prompt_ids"], output["completion_ids"]], 1),
                    torch.cat([output["prompt_mask"], output["completion_mask"]], 1),
                    output["completion_ids"].shape[1],
                    batch_size=batch_size if self._mode == "train" else self.args.per_device_eval_batch_size,
                    **{name: output[name] for name in inspect.signature(logps).parameters if name in output},
                )
            found = None if result is None else result[0]  # some versions give two things, some three
            if found is None:
                raise MovedHookError(
                    "TRL's _get_per_token_logps_and_entropies gives no log-probabilities, which the adapter holds on "
                    "to; install a version in the tested range (see `advantages adapters`), or report this"
                )
        return found

    def _supply(self, output: dict[str, Any], scores: torch.Tensor) -> dict[str, Callable[[], Any]]:
        supply = super()._supply(output, scores)
        mask, own_logprobs = supply["mask"], cache(lambda: self._token_logprobs(output))

        def logprobs() -> torch.Tensor:
            return self._gathered(_known(sequence_logprobs(own_logprobs(), _mask(output)), output))

        def token_rewards() -> torch.Tensor:
            last = (mask().cumsum(1) * mask()).argmax(1, keepdim=True)
            rewards = self._rewards(output, scores)[:, None]
            return torch.zeros_like(mask(), dtype=rewards.dtype).scatter(1, last, rewards)

        supply |= {
            "token_rewards": token_rewards,
            "logprobs": logprobs,
            "token_logprobs": lambda: self._gathered(own_logprobs()),
        }
        if "ref_per_token_logps" in output:
            supply["ref_token_logprobs"] = lambda: self._gathered(output["ref_per_token_logps"])
        return supply


class RLOOTrainer(_Estimated, trl.RLOOTrainer):
    """TRL's RLOOTrainer with the advantages of an estimator, per response, as its loss has it.

    The rewards that reach the estimator are those of TRL: weighted, clipped, and with the KL penalty.

    Args:
        advantage: a name in `advantages`, "package.module:function", or the function itself.
        advantage_options: settings of the estimator.
        *: all other arguments are those of `trl.RLOOTrainer`.

    Raises:
        TypeError: the estimator needs what TRL cannot give, or an option is unknown or of the wrong type.
        ValueError: there is no such estimator, an option is out of range, or an option of TRL would be ignored.
        MovedHookError: the installed TRL lacks a method that the adapter holds on to.
    """

    _config = trl.RLOOConfig
    _per_token = False
    _of_theirs = MappingProxyType({"normalize_advantages": False})

    _passes: list[torch.Tensor] | None = None
    """Log-probabilities of the tokens, in the order in which TRL computes them for a batch: policy, reference."""

    def _words(self, config: Any) -> set[str]:
        return set(_HOST.words) - _TOKENS

    def _check(self, config: Any) -> Definition:
        d = definition_of(self._estimator)
        if units(self._estimator) == ("token",):
            raise TypeError(
                f"{d.name} gives one advantage per token, but the loss of RLOOTrainer has one per response; "
                "use GRPOTrainer"
            )
        super()._check(config)
        for name in ("beta", "reward_clip_range"):
            if d.by_component and hook(config, name):
                raise ValueError(
                    f"{name} is {getattr(config, name)!r}, which TRL applies to the sum of the rewards, but {d.name} "
                    f"takes the reward functions apart; pass {name}={0.0 if name == 'beta' else None}"
                )
        return d

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        found = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if self._passes is not None:
            self._passes.append(found[0])
        return found

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._passes = []
        try:
            return super()._generate_and_score_completions(inputs)
        finally:
            self._passes = None

    def _rewards(self, output: dict[str, Any], scores: torch.Tensor) -> torch.Tensor:
        rewards = super()._rewards(output, scores)
        if self.reward_clip_range:
            rewards = rewards.clamp(*self.reward_clip_range)
        if self.beta:
            if self._passes is None or len(self._passes) != 2:
                raise MovedHookError(
                    "TRL no longer computes log-probabilities twice for a batch, under the policy and under the "
                    "reference, which the adapter holds on to for the KL penalty; install a version in the tested "
                    "range (see `advantages adapters`), or report this"
                )
            policy, reference = self._passes
            penalty = torch.where(_mask(output), policy - reference, 0.0).sum(1)
            rewards = rewards - self.beta * self._gathered(penalty)
        return rewards

    def _supply(self, output: dict[str, Any], scores: torch.Tensor) -> dict[str, Callable[[], Any]]:
        return super()._supply(output, scores) | {
            "logprobs": lambda: self._gathered(_known(output["old_logps"], output)),
        }


def _mask(output: dict[str, Any]) -> torch.Tensor:
    """(N, T) bool tokens of this process that the policy produced and is trained on: as the loss has it."""
    mask = output["completion_mask"] != 0
    return mask & (output["tool_mask"] != 0) if "tool_mask" in output else mask


def _known(logprobs: torch.Tensor, output: dict[str, Any]) -> torch.Tensor:
    """(N,) log-probabilities; NaN where TRL masks a truncated response, which it then hides from the model as well."""
    return torch.where(_mask(output).any(1), logprobs, torch.nan)
