"""Estimators inside tunix, by its registry of advantage estimators.

    from advantages.adapters.tunix import register
    config = GRPOConfig(advantage_estimator=register("rloo"), num_generations=8)

tunix is one JAX process that has the whole batch: groups and statistics never span processes.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from tunix.rl import function_registry

from ..call import definition_of
from ..host import check, estimate, resolve
from ..ops import discounted_returns
from ..ops import whiten as whitened
from .hooks import hook, warn_outside_tested_range
from .hosts import HOSTS

__all__ = ["register"]

_GRPO, _PPO = HOSTS["tunix"], HOSTS["tunix PPO"]
_FROM_PPO_CONFIG = {"discount": "gamma", "lambda_": "gae_lambda"}

_ours: set[str] = set()


def register(
    advantage: str | Callable[..., Any],
    advantage_options: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    whiten: bool = False,
) -> str:
    """Put an estimator into tunix's registry, for its GRPO learners, or for its PPO learner if it is per token.

    Args:
        advantage: a name in `advantages`, "package.module:function", or the function itself.
        advantage_options: settings of the estimator.
        name: under which the registry has it; "advantages." and the estimator's name by default.
        whiten: for the PPO learner, whiten the advantages over all tokens at the end, as tunix's own gae does.

    Returns:
        The name, for `advantage_estimator` in tunix's configuration.

    Raises:
        TypeError: the estimator needs what tunix cannot give, or an option is unknown or of the wrong type.
        ValueError: there is no such estimator, an option is out of range, or the name is taken.
        MovedHookError: the installed tunix lacks the registry that the adapter holds on to.
    """
    warn_outside_tested_range(_GRPO)
    put = hook(function_registry, "register_advantage_estimator")
    names = hook(function_registry, "default_registry.list_functions")
    estimator = resolve(advantage)
    options = dict(advantage_options or {})
    per_token = definition_of(estimator).per_token
    d = check(estimator, _PPO if per_token else _GRPO, options)
    if per_token:
        for setting, theirs in _FROM_PPO_CONFIG.items():
            if setting in options:
                raise TypeError(f"{d.name}: {setting} is {theirs} in PPOConfig; set it there")
    elif whiten:
        raise TypeError(f"{d.name}: whiten is for the PPO learner, but {d.name} is for GRPO learners; drop it")
    name = name or f"advantages.{d.name}"
    if name in names("advantage_estimator") and name not in _ours:
        raise ValueError(f"tunix has an advantage estimator {name!r} already; pass another name")
    _ours.add(name)
    put(name)(_for_ppo(estimator, options, whiten) if per_token else _for_grpo(estimator, options))
    return name


def _for_grpo(estimator: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    d = definition_of(estimator)

    def advantages_of(*, rewards: Any, num_generations: int) -> Any:
        supply = {
            "rewards": lambda: rewards,
            "groups": lambda: np.arange(len(rewards)) // num_generations,
            # An @estimator knows rows by their NaN, and strict=True raises on them; a plain function may ask.
            "valid": lambda: rewards == rewards if "valid" in d.own else None,
        }
        return _checked(d.name, estimate(estimator, supply, options), tuple(rewards.shape))

    return advantages_of


def _for_ppo(estimator: Callable[..., Any], options: dict[str, Any], whiten: bool) -> Callable[..., Any]:
    d = definition_of(estimator)

    def advantages_and_returns_of(
        *, rewards: Any, values: Any, completion_mask: Any, gamma: float, gae_lambda: float
    ) -> tuple[Any, Any]:
        of_config = {"discount": gamma, "lambda_": gae_lambda}
        mask = completion_mask != 0
        token_rewards = jnp.asarray(rewards, values.dtype)  # tunix has integers where beta is 0
        supply = {"token_rewards": lambda: token_rewards, "values": lambda: values, "mask": lambda: mask}
        settings = options | {setting: x for setting, x in of_config.items() if setting in d.settings}
        advantages = _checked(d.name, estimate(estimator, supply, settings), tuple(values.shape))
        if "values" in d.inputs:
            returns = jnp.where(mask, advantages + values, 0.0)
        else:
            returns = discounted_returns(token_rewards, mask, discount=gamma)
        return whitened(advantages, mask) if whiten else advantages, returns

    return advantages_and_returns_of


def _checked(name: str, advantages: Any, shape: tuple[int, ...]) -> Any:
    if getattr(advantages, "shape", None) != shape:
        found = f"shape {advantages.shape}" if hasattr(advantages, "shape") else f"a {type(advantages).__name__}"
        raise ValueError(f"{name}: returned {found}; tunix takes advantages of shape {shape}")
    if not np.isfinite(advantages).all():
        raise ValueError(
            f"{name}: returned advantages that are not finite; give 0 to responses that are not valid, or decorate the "
            "function with advantages.estimator, which does"
        )
    return advantages
