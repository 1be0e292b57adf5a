"""Estimators inside slime: its hook that post-processes the rewards of a rollout gives advantages in their place.

slime calls the hook once per rollout, in one process, with all samples: groups and statistics are those of the whole
batch. It then puts each number on all tokens of its response, as it does with its own normalised rewards.

    --custom-reward-post-process-path advantages.adapters.slime.advantages_as_rewards
    --custom-config-path estimator.yaml    # advantage: lampo, advantage_options: {temperature: auto}
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..call import definition_of
from ..host import check, estimate, resolve
from .hooks import hook, warn_outside_tested_range
from .hosts import HOSTS

__all__ = ["advantages_as_rewards"]

_HOST = HOSTS["slime"]
_PER_RESPONSE = ("grpo", "gspo", "cispo")
"""Values of --advantage-estimator with which slime's advantages are its post-processed rewards, on every token."""
_OF_THEIRS = (
    ("rewards_normalization", True, "--disable-rewards-normalization"),
    ("grpo_std_normalization", True, "--disable-grpo-std-normalization"),
    ("custom_advantage_function_path", None, "--custom-advantage-function-path"),
)
"""Options that shape slime's own advantages, or come after ours and replace them, with their defaults."""


def advantages_as_rewards(args: Any, samples: Sequence[Any]) -> tuple[list[Any], list[float]]:
    """The function for slime's --custom-reward-post-process-path.

    Args:
        args: slime's arguments, with `advantage` (a name in `advantages`, or "package.module:function") and, if any,
            `advantage_options` (a mapping) from the file of --custom-config-path.
        samples: all samples of a rollout.

    Returns:
        The rewards as they came, which slime logs, and one advantage per sample.

    Raises:
        TypeError: the estimator needs what slime cannot give, or an option is unknown or of the wrong type.
        ValueError: there is no such estimator, an option is out of range, or an option of slime would be ignored.
        MovedHookError: the installed slime lacks an argument or a field of a sample that the adapter holds on to.
    """
    warn_outside_tested_range(_HOST)
    if getattr(args, "advantage", None) is None:
        raise ValueError("no estimator is named; put `advantage: lampo`, for one, in the file of --custom-config-path")
    estimator = resolve(args.advantage)
    options = dict(getattr(args, "advantage_options", None) or {})
    d = check(estimator, _HOST, options)
    if hook(args, "advantage_estimator") not in _PER_RESPONSE:
        raise ValueError(
            f"--advantage-estimator is {args.advantage_estimator}, with which slime's advantages are not its "
            f"post-processed rewards; pass one of {', '.join(_PER_RESPONSE)}: they differ in the loss alone"
        )
    for name, default, flag in _OF_THEIRS:
        if hook(args, name) != default:
            raise ValueError(
                f"{flag} is set, which does nothing to the advantages of {d.name} or replaces them; drop it"
            )

    raw = [hook(sample, "get_reward_value")(args) for sample in samples]
    advantages = estimate(estimator, _supply(raw, samples, "valid" in definition_of(estimator).own), options)
    if not isinstance(advantages, torch.Tensor) or tuple(advantages.shape) != (len(samples),):
        found = f"shape {tuple(advantages.shape)}" if hasattr(advantages, "shape") else f"a {type(advantages).__name__}"
        raise ValueError(f"{d.name}: returned {found}; slime takes a tensor of shape ({len(samples)},)")
    if not advantages.isfinite().all():
        raise ValueError(
            f"{d.name}: returned advantages that are not finite; give 0 to responses that are not valid, or decorate "
            "the function with advantages.estimator, which does"
        )
    return raw, advantages.tolist()


def _supply(raw: list[Any], samples: Sequence[Any], asks_for_valid: bool) -> dict[str, Callable[[], Any]]:
    rewards = torch.tensor([torch.nan if reward is None else float(reward) for reward in raw], dtype=torch.float64)

    def groups() -> list[Any]:
        found = [hook(sample, "group_index") for sample in samples]
        if None in found:
            raise ValueError(
                f"the sample at place {found.index(None)} has no group_index; a rollout function of your own must set "
                "it, equal for samples of the same prompt"
            )
        return found

    def logprobs() -> torch.Tensor | None:
        found = [_logprob(sample) for sample in samples]
        return (
            None
            if all(x is None for x in found)
            else torch.tensor([torch.nan if x is None else x for x in found], dtype=torch.float64)
        )

    def trajectories() -> list[str] | None:
        ids = [hook(sample, "rollout_id") for sample in samples]
        known = [x for x in ids if x is not None]
        if len(set(known)) == len(known):
            return None
        return [f"sample {place}" if x is None else f"rollout {x}" for place, x in enumerate(ids)]

    return {
        "rewards": lambda: rewards,
        "groups": groups,
        "logprobs": logprobs,
        "lengths": lambda: torch.tensor([hook(sample, "effective_response_length") for sample in samples]),
        "trajectories": trajectories,
        # An @estimator knows rows by their NaN, and strict=True raises on them; a plain function may ask.
        "valid": lambda: ~rewards.isnan() if asks_for_valid else None,
    }


def _logprob(sample: Any) -> float | None:
    """Log-probability of the trained tokens under the policy that sampled, as the rollout engine recorded it."""
    recorded = hook(sample, "rollout_log_probs")
    if recorded is None:
        return None
    mask = hook(sample, "loss_mask")
    if mask is None:
        return float(sum(recorded))
    if len(mask) != len(recorded):
        raise ValueError(
            f"sample {sample.index} has {len(recorded)} rollout_log_probs but {len(mask)} in loss_mask; a rollout "
            "function of your own must record one of each per token of the response"
        )
    return float(sum(logprob for logprob, trained in zip(recorded, mask, strict=True) if trained))
