"""What cannot serve a run is refused before anything heavy is loaded."""

from functools import partial
from typing import Any

from ..core.definition import Definition
from ..core.groups import Groups
from ..host import Host, check, check_group_size, estimate, resolve
from ..runs.config import Config

__all__ = ["HOST", "check_estimator", "try_estimator", "words_of"]

_WORDS = {"rewards", "groups", "logprobs", "mask", "token_rewards", "token_logprobs", "lengths", "valid"}
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
    by_component = any(len(shape) == 2 for shape in definition.shapes.get("rewards", ()))
    options: dict[str, Any] = dict(config.options)
    if by_component and "weights" in definition.settings:
        options = {"weights": [1.0] * components, **options}
    if by_component and "components" in definition.settings:
        options = {"components": [f"component {k}" for k in range(components)], **options}
    batch = {
        "rewards": rewards[:, None].expand(-1, components).contiguous() if by_component else rewards,
        "groups": Groups.of_size(config.group_size, rows),
        "logprobs": logprobs.sum(1),
        "mask": mask,
        "token_rewards": torch.zeros(mask.shape, dtype=rewards.dtype).scatter(
            1, mask.sum(1, keepdim=True) - 1, rewards[:, None]
        ),
        "token_logprobs": logprobs,
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
