"""Estimators inside SkyRL, by its registry of advantage estimators.

    from advantages.adapters.skyrl import register, whole_batch

    register("lampo", {"temperature": "auto"})  # trainer.algorithm.advantage_estimator=advantages.lampo

    class Experiment(BasePPOExp):
        def get_trainer(self, **parts):
            return whole_batch(RayPPOTrainer)(**parts)

SkyRL's registry hands over rewards and groups alone; `whole_batch` adds what the trainer knows besides. The trainer is
one process that has the whole batch: groups and statistics never span processes.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any

import torch

from ..call import definition_of
from ..host import check, estimate, resolve
from ..ops import sequence_logprobs
from .hooks import MovedHookError, hook, warn_outside_tested_range
from .hosts import HOSTS

__all__ = ["register", "whole_batch"]

_HOST = HOSTS["SkyRL"]
_OF_REGISTRY = frozenset({"rewards", "groups"})
_FROM_CONFIG = {"discount": "gamma", "lambda_": "lambd"}

_BATCH: ContextVar[Any] = ContextVar("batch", default=None)
"""The batch of the trainer that is forming advantages, where it handed it over."""


def register(
    advantage: str | Callable[..., Any],
    advantage_options: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
) -> str:
    """Put an estimator into SkyRL's registry; call it at the top of the entry script, before `validate_cfg`.

    Args:
        advantage: a name in `advantages`, "package.module:function", or the function itself.
        advantage_options: settings of the estimator.
        name: under which the registry has it; "advantages." and the estimator's name by default.

    Returns:
        The name, for `trainer.algorithm.advantage_estimator`.

    Raises:
        TypeError: the estimator needs what SkyRL cannot give, or an option is unknown or of the wrong type.
        ValueError: there is no such estimator, an option is out of range, or SkyRL has one of this name already.
        MovedHookError: the installed SkyRL lacks the registry that the adapter holds on to.
    """
    from skyrl.backends.skyrl_train.utils import ppo_utils

    warn_outside_tested_range(_HOST)
    put = hook(ppo_utils, "AdvantageEstimatorRegistry.register")
    estimator = resolve(advantage)
    options = dict(advantage_options or {})
    d = check(estimator, _HOST, options)
    for setting, theirs in _FROM_CONFIG.items():
        if setting in options:
            raise TypeError(f"{d.name}: {setting} is trainer.algorithm.{theirs} in SkyRL; set it there")
    name = name or f"advantages.{d.name}"
    put(name, partial(_advantages_and_returns, estimator, options))
    return name


def whole_batch(trainer_class: Any) -> Any:
    """A class of SkyRL's trainers that hands estimators of `register` all that it knows of the batch.

    Raises:
        MovedHookError: the class lacks the method that the adapter holds on to.
    """
    hook(trainer_class, "compute_advantages_and_returns")

    class WholeBatch(trainer_class):
        def compute_advantages_and_returns(self, data: Any) -> Any:
            # Step-wise, SkyRL forms the advantages of last steps alone, and spreads them over the steps before.
            token = _BATCH.set(None if hook(self, "cfg.generator.step_wise_trajectories") else data)
            try:
                return super().compute_advantages_and_returns(data)
            finally:
                _BATCH.reset(token)

    return WholeBatch


def _advantages_and_returns(
    estimator: Callable[..., Any],
    options: dict[str, Any],
    *,
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    index: Any,
    grpo_norm_by_std: bool,
    gamma: float,
    lambd: float,
    **others: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, T) advantages and returns, called as SkyRL calls its own estimators."""
    d = definition_of(estimator)
    if not grpo_norm_by_std:
        raise ValueError(
            f"trainer.algorithm.grpo_norm_by_std is False, which does nothing to the advantages of {d.name}; "
            "leave it at True, and choose dr_grpo instead"
        )
    supply: dict[str, Callable[[], Any]] = {
        "rewards": lambda: token_level_rewards.sum(-1),
        "groups": lambda: list(index),
    }
    batch = _BATCH.get()
    if batch is not None:
        supply |= _of_batch(batch, token_level_rewards)
    check(estimator, _HOST, options, supply if batch is not None else _OF_REGISTRY)
    of_config = {"discount": gamma, "lambda_": lambd}
    for setting, value in of_config.items():
        if setting not in d.settings and value != 1:
            raise ValueError(
                f"trainer.algorithm.{_FROM_CONFIG[setting]} is {value}, but {d.name} has no {setting}; set it to 1"
            )
    settings = options | {setting: x for setting, x in of_config.items() if setting in d.settings}
    advantages = estimate(estimator, supply, settings)
    shape = token_level_rewards.shape if d.per_token else token_level_rewards.shape[:1]
    if not isinstance(advantages, torch.Tensor) or advantages.shape != shape:
        found = f"shape {tuple(advantages.shape)}" if hasattr(advantages, "shape") else f"a {type(advantages).__name__}"
        raise ValueError(f"{d.name}: returned {found}; its advantages must be a tensor of shape {tuple(shape)}")
    if not advantages.isfinite().all():
        raise ValueError(
            f"{d.name}: returned advantages that are not finite; give 0 to responses that are not valid, or decorate "
            "the function with advantages.estimator, which does"
        )
    if not d.per_token:
        advantages = torch.where(response_mask != 0, advantages[:, None], 0.0)
    if "values" in d.inputs:
        return advantages, torch.where(supply["mask"](), advantages + supply["values"](), 0.0)
    return advantages, advantages.clone()


def _of_batch(batch: Any, token_rewards: torch.Tensor) -> dict[str, Callable[[], Any]]:
    def of(key: str) -> Any:
        if key not in batch:
            raise MovedHookError(
                f"SkyRL's batch has no {key}, which the adapter holds on to; install a version in the tested range "
                "(see `advantages adapters`), or report this"
            )
        return batch[key]

    def mask() -> torch.Tensor:
        return of("loss_mask") != 0

    def logprobs() -> torch.Tensor | None:
        if of("action_log_probs") is None:
            return None
        # SkyRL clears the mask of a truncated response that it filters: its log-probability is not known here.
        return torch.where(mask().any(1), sequence_logprobs(of("action_log_probs"), mask()), torch.nan)

    def valid() -> torch.Tensor | None:
        padding = batch.metadata.get("pad_size", 0)
        return torch.arange(len(token_rewards)) < len(token_rewards) - padding if padding else None

    return {
        "mask": mask,
        "lengths": lambda: mask().sum(1),
        "valid": valid,
        "logprobs": logprobs,
        "token_rewards": lambda: token_rewards,
        "token_logprobs": lambda: of("action_log_probs"),
        "ref_token_logprobs": lambda: of("base_action_log_probs"),
        "values": lambda: of("values"),
    }
