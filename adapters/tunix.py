"""Estimators inside tunix, by its registry of advantage estimators.

    from advantages.adapters.tunix import register
    config = GRPOConfig(advantage_estimator=register("rloo"), num_generations=8)

tunix is one JAX process that has the whole batch: groups and statistics never span processes.
"""

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from tunix.rl import function_registry

from ..core.definition import definition_of
from ..host import Estimator, check, check_group_size, estimate, resolve, with_flags
from ..ops import discounted_returns
from .hooks import hook, warn_outside_tested_range
from .hosts import HOSTS
from .whitening import whitened

__all__ = ["register"]

_GRPO, _PPO = HOSTS["tunix"], HOSTS["tunix PPO"]


class _Configuration(NamedTuple):
    estimator: Estimator
    options: Mapping[str, Any]
    whiten: bool


_ours: dict[str, _Configuration] = {}
"""What tunix's registry has from here, by name."""


def register(
    advantage: str | Callable[..., Any],
    advantage_options: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    whiten: bool = False,
) -> str:
    """Put an estimator into tunix's registry: for its GRPO learners, or for its PPO learner if it takes token_rewards.

    Args:
        advantage: a name in `advantages`, "package.module:function", or the function itself.
        advantage_options: settings of the estimator.
        name: under which the registry has it; by default "advantages." and the estimator's name, and a number where
            that has other options already, so that the learners of one process stay apart.
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
    taken = hook(function_registry, "default_registry.list_functions")("advantage_estimator")
    mine = _Configuration(resolve(advantage), {} if advantage_options is None else advantage_options, whiten)
    for_ppo = definition_of(mine.estimator).lead == "token_rewards"
    d = check(mine.estimator, _PPO if for_ppo else _GRPO, mine.options)
    if whiten and not for_ppo:
        raise TypeError(f"{d.name}: whiten is for the PPO learner, but {d.name} is for GRPO learners; drop it")

    def free(name: str) -> bool:
        return name not in taken or _ours.get(name) == mine

    if name is None:
        usual = f"advantages.{d.name}"
        name = next(name for number in count(1) if free(name := usual if number == 1 else f"{usual}.{number}"))
    elif not free(name):
        raise ValueError(f"tunix has another advantage estimator {name!r} already; pass another name")
    if name not in taken:
        _ours[name] = mine
        put(name)(_for_ppo(mine) if for_ppo else _for_grpo(mine))
    return name


def _for_grpo(mine: _Configuration) -> Callable[..., Any]:
    d = definition_of(mine.estimator)

    def advantages_of(*, rewards: Any, num_generations: int) -> Any:
        check_group_size(d, _GRPO, mine.options, num_generations)
        if len(rewards) % num_generations:
            raise ValueError(
                f"{d.name}: got {len(rewards)} rewards, which num_generations={num_generations} does not divide; let "
                "every prompt return all its responses"
            )
        supply = {
            "rewards": lambda: rewards,
            "groups": lambda: np.arange(len(rewards)) // num_generations,
            # An @estimator knows rows by their NaN, and strict=True raises on them; a plain function may ask.
            "valid": lambda: rewards == rewards if "valid" in d.own else None,
        }
        return estimate(mine.estimator, supply, mine.options)

    return advantages_of


def _for_ppo(mine: _Configuration) -> Callable[..., Any]:
    d = definition_of(mine.estimator)

    def advantages_and_returns_of(
        *, rewards: Any, values: Any, completion_mask: Any, gamma: float, gae_lambda: float
    ) -> tuple[Any, Any]:
        settings = with_flags(d, _PPO, mine.options, {"discount": gamma, "lambda_": gae_lambda})
        mask = completion_mask != 0
        token_rewards = jnp.asarray(rewards, values.dtype)  # tunix has integers where beta is 0
        supply = {"token_rewards": lambda: token_rewards, "values": lambda: values, "mask": lambda: mask}
        advantages = estimate(mine.estimator, supply, settings)
        if advantages.ndim == 1:
            advantages = jnp.where(mask, advantages[:, None], 0.0)
        known = jnp.isfinite(jnp.where(mask, token_rewards, 0.0)).all(1)[:, None]
        returns = jnp.where(mask, advantages + values, 0.0)
        if "values" not in d.inputs:  # where a reward is unknown, the critic learns nothing: its own values
            to_go = discounted_returns(jnp.where(known, token_rewards, 0.0), mask, discount=gamma)
            returns = jnp.where(known, to_go, jnp.where(mask, values, 0.0))
        if mine.whiten:
            advantages = whitened(advantages, mask & known, ddof=1, epsilon=1e-8)
        return advantages, returns

    return advantages_and_returns_of
