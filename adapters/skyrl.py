"""Estimators inside SkyRL: in its registry of advantage estimators.

    from advantages.adapters.skyrl import register

    cfg.trainer.algorithm.advantage_estimator = register("rloo")

Register before `validate_cfg`, in the entry point of the run. SkyRL hands estimators the whole batch in the driver
process: token rewards, a mask, the uids of the prompts, and values where there is a critic; no log-probabilities.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ..estimator import definition_of
from ..groups import Groups
from ..ops import to_tokens
from .contract import HOSTS, check, check_sum_of_rewards, estimate, hook, resolve, warn_outside_tested_range

__all__ = ["register"]

_HOST = HOSTS["SkyRL"]
_FLAGS = {"discount": "gamma", "lambda_": "lambd"}
"""Settings of estimators that SkyRL has fields of its configuration for."""


def register(
    advantage: str | Callable[..., Any], options: Mapping[str, Any] | None = None, *, name: str | None = None
) -> str:
    """Put an estimator into SkyRL's registry.

    Args:
        advantage: a name in `advantages`, "package.module:function", or the function itself.
        options: settings of the estimator; discount and lambda_ are SkyRL's gamma and lambd.
        name: what it is called there; `advantages.` and the estimator's name by default.

    Returns:
        That name, for `trainer.algorithm.advantage_estimator`.

    Raises:
        TypeError: the estimator needs what SkyRL cannot give, or an option is unknown or of the wrong type.
        ValueError: there is no such estimator, an option is out of range, or the name is taken.
        MovedHookError: the installed SkyRL has no such registry.
    """
    from skyrl.backends.skyrl_train.utils import ppo_utils

    warn_outside_tested_range(_HOST)
    add = hook(ppo_utils, "AdvantageEstimatorRegistry.register")
    estimator, settings = resolve(advantage), dict(options or {})
    d = check(estimator, _HOST, settings)
    check_sum_of_rewards(d, _HOST)
    for setting, flag in _FLAGS.items():
        if setting in settings:
            raise TypeError(f"{d.name}: got the option {setting!r}; under SkyRL set trainer.algorithm.{flag}")
    called = name or f"advantages.{d.name}"

    def of_batch(**batch: Any) -> tuple[Any, Any]:
        return _advantages(estimator, settings, **batch)

    add(called, of_batch)
    return called


def _advantages(
    estimator: Callable[..., Any],
    settings: Mapping[str, Any],
    *,
    token_level_rewards: Any,
    response_mask: Any,
    index: Any,
    values: Any,
    grpo_norm_by_std: bool,
    gamma: float,
    lambd: float,
    **others: Any,
) -> tuple[Any, Any]:
    """Advantages and returns, (N, T) each, from what SkyRL hands to an estimator."""
    d = definition_of(estimator)
    if not grpo_norm_by_std:
        raise ValueError(
            f"trainer.algorithm.grpo_norm_by_std is False, which shapes SkyRL's own GRPO and does nothing to {d.name}; "
            "leave it at True, and choose dr_grpo for advantages without a deviation"
        )
    own = dict(settings)
    for setting, value in (("discount", gamma), ("lambda_", lambd)):
        if setting in d.settings:
            own[setting] = value
        elif value != 1:
            raise ValueError(
                f"trainer.algorithm.{_FLAGS[setting]} is {value}, but {d.name} has no {setting}; set it to 1"
            )
    if "values" in d.needed and values is None:
        raise ValueError(f"{d.name} needs values, but this run has no critic; set trainer.critic.model.path")
    if d.per_token and response_mask.is_floating_point():  # SkyRL then passes ones, and keeps the mask to itself
        raise ValueError(
            f"{d.name} gives one advantage per token, but with generator.step_wise_trajectories SkyRL hands over the "
            "last step of each trajectory alone; choose an estimator of responses"
        )
    mask = response_mask != 0
    supply = {
        "rewards": lambda: token_level_rewards.sum(-1),
        "groups": lambda: Groups(list(index)),
        "valid": lambda: _not_padding(list(index), token_level_rewards),
        "mask": lambda: mask,
        "lengths": lambda: mask.sum(1),
        "token_rewards": lambda: token_level_rewards,
        "values": lambda: values,
    }
    advantages = estimate(estimator, supply, own)
    if advantages.ndim == 1:
        advantages = to_tokens(advantages, mask)
    return advantages, advantages + values if "values" in d.inputs else advantages.clone()


def _not_padding(uids: list[Any], like: Any) -> Any:
    """(N,) bool rows that SkyRL did not fill the batch up with: copies at its end, called pad0, pad1 and so on."""
    import torch

    count = next((n for n in range(len(uids), 0, -1) if uids[-n:] == [f"pad{i}" for i in range(n)]), 0)
    return torch.arange(len(uids), device=like.device) < len(uids) - count if count else None
