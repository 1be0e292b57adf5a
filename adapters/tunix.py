"""Estimators inside tunix: in its registry, for its GRPO learners, agentic ones included, and its PPO learner.

    from advantages.adapters.tunix import register

    GRPOConfig(advantage_estimator=register("rloo"), ...)

tunix hands its group estimators the rewards and the number of generations, and its PPO estimators token rewards,
values and a mask; never log-probabilities. What it hands over is on one JAX controller, so that statistics of the
batch are those of what one call sees: of one group, in the agentic learner.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ..estimator import definition_of
from .contract import HOSTS, check, check_sum_of_rewards, estimate, hook, resolve, warn_outside_tested_range

__all__ = ["register"]

_HOST = HOSTS["tunix"]
_OF_GROUPS = frozenset({"rewards", "groups"})
_OF_TOKENS = frozenset({"token_rewards", "values", "mask", "lengths"})
_FLAGS = {"discount": "gamma", "lambda_": "gae_lambda"}
"""Settings of estimators that tunix has fields of its configuration for."""


def register(
    advantage: str | Callable[..., Any], options: Mapping[str, Any] | None = None, *, name: str | None = None
) -> str:
    """Put an estimator into tunix's registry.

    Args:
        advantage: a name in `advantages`, "package.module:function", or the function itself.
        options: settings of the estimator; discount and lambda_ are tunix's gamma and gae_lambda.
        name: what it is called there; `advantages.` and the estimator's name by default.

    Returns:
        That name, for `advantage_estimator` of a configuration.

    Raises:
        TypeError: the estimator needs what tunix cannot give, or an option is unknown or of the wrong type.
        ValueError: there is no such estimator, or an option is out of range.
        MovedHookError: the installed tunix has no such registry.
    """
    from tunix.rl import function_registry

    warn_outside_tested_range(_HOST)
    add = hook(function_registry, "register_advantage_estimator")
    estimator, settings = resolve(advantage), dict(options or {})
    d = definition_of(estimator)
    check_sum_of_rewards(d, _HOST)
    check(estimator, _HOST, settings, _OF_GROUPS if "groups" in d.needed or "rewards" in d.needed else _OF_TOKENS)
    for setting, flag in _FLAGS.items():
        if setting in settings:
            raise TypeError(f"{d.name}: got the option {setting!r}; under tunix set {flag} in the configuration")

    def of_groups(*, rewards: Any, num_generations: int) -> Any:
        return estimate(estimator, {"rewards": lambda: rewards}, {**settings, "group_size": num_generations})

    def of_responses(*, rewards: Any, num_generations: int) -> Any:
        return estimate(estimator, {"rewards": lambda: rewards}, settings)

    def of_tokens(*, rewards: Any, values: Any, completion_mask: Any, gamma: float, gae_lambda: float) -> Any:
        mask = completion_mask != 0
        own = {
            setting: value for setting, value in (("discount", gamma), ("lambda_", gae_lambda)) if setting in d.settings
        }
        supply = {
            "token_rewards": lambda: rewards,
            "values": lambda: values,
            "mask": lambda: mask,
            "lengths": lambda: mask.sum(1),
        }
        advantages = estimate(estimator, supply, {**settings, **own})
        return advantages, advantages + values

    called = name or f"advantages.{d.name}"
    add(called)(of_groups if "groups" in d.needed else of_responses if "rewards" in d.needed else of_tokens)
    return called
