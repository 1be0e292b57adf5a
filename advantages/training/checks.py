"""What cannot serve a run is refused before anything heavy is loaded."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from ..core.definition import Definition
from ..core.groups import Groups
from ..host import Host, check, check_group_size, estimate, resolve
from ..runs.config import Config

__all__ = ["HOST", "at_the_end", "check_estimator", "options_of", "try_estimator", "words_of"]

_WORDS = {
    "rewards",
    "groups",
    "logprobs",
    "mask",
    "token_rewards",
    "token_logprobs",
    "token_entropies",
    "lengths",
    "valid",
}
HOST = Host("advantages train", "rl-advantages", ">=0", frozenset(_WORDS), real=True, samples="--group-size")
_PROMPTS, _TOKENS = 3, 4
"""Size of the batch that an estimator is tried on."""


def words_of(config: Config) -> set[str]:
    """What a run can supply to an estimator."""
    return _WORDS | ({"ref_token_logprobs"} if config.kl else set())


def check_estimator(config: Config) -> Definition:
    """Refuse an estimator by its name, its inputs and its settings; nothing but the estimator is imported.

    Raises:
        TypeError, ValueError: it does not exist, needs what a run does not have, or could never learn.
    """
    estimator = resolve(config.estimator)
    definition = check(estimator, HOST, config.options, words_of(config))
    check_group_size(definition, HOST, config.options, config.group_size)
    return definition


def options_of(
    config: Config, definition: Definition, components: Sequence[str], weights: Sequence[float]
) -> dict[str, Any]:
    """The estimator's settings; one that takes rewards by component is told their names and weights, if it asks."""
    own = {"components": list(components), "weights": list(weights)} if definition.by_component else {}
    return {**{name: x for name, x in own.items() if name in definition.settings}, **config.options}


def at_the_end(rewards: Any, mask: Any) -> Any:
    """(N, T) each response's reward on its last token, which is the last of its row of `mask`, and 0 elsewhere."""
    last = (mask.sum(1, keepdim=True) - 1).clamp(min=0)
    return rewards.new_zeros(mask.shape).scatter(1, last, rewards[:, None])


def try_estimator(config: Config, components: int = 1) -> None:
    """Refuse an estimator that fails on a small made-up batch: there is no model yet, and no time lost.

    Args:
        config: of the run.
        components: of its reward.

    Raises:
        ValueError: the estimator raises something, returns no finite (N,) or (N, T) tensor, or, of one response to
            each prompt, nothing but zeros.
    """
    import torch

    estimator = resolve(config.estimator)
    definition = check_estimator(config)
    rows = _PROMPTS * config.group_size
    rewards = torch.arange(rows).remainder(2).double()
    mask = torch.arange(_TOKENS) < 1 + torch.arange(rows).remainder(_TOKENS)[:, None]
    logprobs = torch.where(mask, -0.5, 0.0)
    by_component = definition.by_component
    names = [f"component {k}" for k in range(components)]
    options = options_of(config, definition, names, [1.0] * components)
    batch = {
        "rewards": rewards[:, None].expand(-1, components).contiguous() if by_component else rewards,
        "groups": Groups.of_size(config.group_size, rows),
        "logprobs": logprobs.sum(1),
        "mask": mask,
        "token_rewards": at_the_end(rewards, mask),
        "token_logprobs": logprobs,
        "token_entropies": torch.where(mask, 0.5, 0.0),
        "ref_token_logprobs": logprobs,
        "lengths": mask.sum(1),
        "valid": torch.ones(rows, dtype=torch.bool) if config.truncated == "drop" else None,
    }
    where = f"tried on {_PROMPTS} prompts of {config.group_size} made-up responses"
    try:
        found = estimate(estimator, {name: partial(batch.get, name) for name in batch}, options)
    except Exception as error:  # of anybody's function
        said = " ".join(str(error).split())
        reason = said if isinstance(error, (TypeError, ValueError)) else f"{type(error).__name__}: {said}"
        raise ValueError(f"estimator {config.label}, {where}: {reason}; mend it, see `advantages check`") from error
    if config.group_size == 1 and "groups" in definition.inputs and not bool(found.any()):
        raise ValueError(
            f"estimator {config.label}, {where}: every advantage is 0, so that nothing could be learned; pass "
            "--group-size 2 or more"
        )
