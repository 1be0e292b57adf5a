"""Estimators inside slime: its hook that post-processes the rewards of a rollout gives advantages in their place.

slime calls the hook once per rollout, in one process, with all samples: groups and statistics are those of the whole
batch. It then puts each number on all tokens of its response, as it does with its own normalised rewards.

    --custom-reward-post-process-path advantages.adapters.slime.advantages_as_rewards
    --custom-config-path estimator.yaml    # advantage: lampo, advantage_options: {temperature: auto}
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..core.definition import definition_of
from ..core.naming import nearest
from ..host import check, check_group_size, estimate, resolve
from .hooks import hook, warn_outside_tested_range
from .hosts import HOSTS

__all__ = ["advantages_as_rewards"]

_HOST = HOSTS["slime"]
_PER_RESPONSE = ("grpo", "gspo", "cispo")
"""Values of --advantage-estimator with which slime's advantages are its post-processed rewards, on every token."""
_OURS = ("advantage", "advantage_options")
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
    for name in vars(args):
        guess = nearest(name, _OURS, cutoff=0.8)
        if guess is not None and name not in (*_OURS, "advantage_estimator"):
            raise ValueError(f"the arguments have {name!r}, which nobody reads; did you mean {guess!r}?")
    if getattr(args, "advantage", None) is None:
        raise ValueError("no estimator is named; put `advantage: lampo`, for one, in the file of --custom-config-path")
    estimator = resolve(args.advantage)
    options = getattr(args, "advantage_options", None)
    options = {} if options is None else options
    d = check(estimator, _HOST, options)
    if hook(args, "advantage_estimator") not in _PER_RESPONSE:
        raise ValueError(
            f"--advantage-estimator is {args.advantage_estimator}, with which slime's advantages are not its "
            f"post-processed rewards; pass one of {', '.join(_PER_RESPONSE)}: they differ in the loss alone"
        )
    per_prompt = hook(args, "n_samples_per_prompt")
    for name, default, flag in _OF_THEIRS:
        if name == "grpo_std_normalization" and per_prompt == 1:  # slime itself sets it to False then
            continue
        if hook(args, name) != default:
            raise ValueError(
                f"{flag} is set, which does nothing to the advantages of {d.name} or replaces them; drop it"
            )

    raw = [hook(sample, "get_reward_value")(args) for sample in samples]
    supply = _supply(raw, samples, "valid" in definition_of(estimator).own)
    if "groups" in d.needed:  # a rollout function of one's own may sample more than the option says
        rollouts = set(zip(supply["groups"](), supply["trajectories"]() or range(len(samples)), strict=True))
        largest = max(Counter(group for group, _ in rollouts).values(), default=0)
        check_group_size(d, _HOST, options, max(largest, per_prompt))
    return raw, estimate(estimator, supply, options).tolist()


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
