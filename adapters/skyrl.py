"""Estimators inside SkyRL, by its registry of advantage estimators.

    from advantages.adapters.skyrl import register, whole_batch

    register("lampo", {"temperature": "auto"})  # trainer.algorithm.advantage_estimator=advantages.lampo

    class Experiment(BasePPOExp):
        def get_trainer(self, **parts):
            return whole_batch(RayPPOTrainer)(**parts)

SkyRL's registry hands over rewards and groups alone; `whole_batch` adds what the trainer knows besides. The trainer is
one process that has the whole batch: groups and statistics never span processes.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch

from ..core.definition import Definition, definition_of
from ..host import Estimator, check, check_group_size, estimate, resolve, units, with_flags
from ..ops import sequence_logprobs
from .hooks import MovedHookError, hook, warn_outside_tested_range
from .hosts import HOSTS
from .whitening import whitened

__all__ = ["register", "whole_batch"]

_HOST = HOSTS["SkyRL"]
_OF_REGISTRY = frozenset({"rewards", "groups"})

_BATCH: ContextVar[Any] = ContextVar("batch", default=None)
"""The batch of the trainer that is forming advantages, where it handed it over."""


def register(
    advantage: str | Estimator,
    advantage_options: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    whiten: bool = False,
) -> str:
    """Put an estimator into SkyRL's registry; call it at the top of the entry script, before `validate_cfg`.

    Args:
        advantage: a name in `advantages`, "package.module:function", or the function itself.
        advantage_options: settings of the estimator.
        name: under which the registry has it; "advantages." and the estimator's name by default.
        whiten: for estimators per token, whiten the advantages over all trained tokens at the end, as SkyRL's own gae
            does.

    Returns:
        The name, for `trainer.algorithm.advantage_estimator`.

    Raises:
        TypeError: the estimator needs what SkyRL cannot give, or an option is unknown or of the wrong type.
        ValueError: there is no such estimator, an option is out of range, or SkyRL has another one of this name.
        MovedHookError: the installed SkyRL lacks the registry that the adapter holds on to.
    """
    from skyrl.backends.skyrl_train.utils import ppo_utils

    warn_outside_tested_range(_HOST)
    put, get, names = (
        hook(ppo_utils, f"AdvantageEstimatorRegistry.{key}") for key in ("register", "get", "list_available")
    )
    mine = _Registered(resolve(advantage), {} if advantage_options is None else advantage_options, whiten)
    d = check(mine.estimator, _HOST, mine.options)
    if whiten and "token" not in units(mine.estimator):
        raise TypeError(
            f"{d.name}: whiten is for estimators per token; drop it, or set trainer.algorithm.advantage_batch_normalize"
        )
    name = name or f"advantages.{d.name}"
    if name not in names():
        put(name, mine)
    elif get(name) != mine:
        raise ValueError(f"SkyRL has another advantage estimator {name!r} already; pass another name")
    return name


def whole_batch(trainer_class: Any) -> Any:
    """A class of SkyRL's trainers that hands estimators of `register` all that it knows of the batch.

    Its constructor refuses a configuration that the estimator cannot work with, before SkyRL loads a model.

    Raises:
        MovedHookError: the class lacks the method that the adapter holds on to.
    """
    hook(trainer_class, "compute_advantages_and_returns")

    class WholeBatch(trainer_class):
        def __init__(self, cfg: Any, *args: Any, **kwargs: Any) -> None:
            _refuse(cfg)
            super().__init__(cfg, *args, **kwargs)

        def compute_advantages_and_returns(self, data: Any) -> Any:
            # Step-wise, SkyRL forms the advantages of last steps alone, and spreads them over the steps before.
            token = _BATCH.set(None if hook(self, "cfg.generator.step_wise_trajectories") else data)
            try:
                return super().compute_advantages_and_returns(data)
            finally:
                _BATCH.reset(token)

    return WholeBatch


def _of_skyrls_registry(name: str) -> Any:
    from skyrl.backends.skyrl_train.utils import ppo_utils

    return hook(ppo_utils, f"AdvantageEstimatorRegistry.{name}")


def _refuse(cfg: Any) -> None:
    """Refuse what cannot work with a configuration, where one of our estimators is named in it."""
    algorithm = hook(cfg, "trainer.algorithm")
    mine = _of_skyrls_registry("get")(hook(algorithm, "advantage_estimator"))
    if not isinstance(mine, _Registered):
        return
    words = set(_OF_REGISTRY if hook(cfg, "generator.step_wise_trajectories") else _HOST.words)
    if not hook(cfg, "trainer.critic.model.path"):
        words.discard("values")
    if not (hook(algorithm, "use_kl_loss") or hook(algorithm, "use_kl_in_reward")):
        words.discard("ref_token_logprobs")
    d, settings = mine.checked(
        words,
        grpo_norm_by_std=hook(algorithm, "grpo_norm_by_std"),
        gamma=hook(algorithm, "gamma"),
        lambd=hook(algorithm, "lambd"),
    )
    check_group_size(d, _HOST, settings, hook(cfg, "generator.n_samples_per_prompt"))


class _Registered(NamedTuple):
    """An estimator in SkyRL's registry, which SkyRL pickles by its parts and calls as it calls its own."""

    estimator: Estimator
    options: Mapping[str, Any]
    whiten: bool

    def checked(
        self, words: Iterable[str], *, grpo_norm_by_std: bool, gamma: float, lambd: float
    ) -> tuple[Definition, dict[str, Any]]:
        """The definition, and the settings with SkyRL's own flags, if this run can serve them."""
        d = check(self.estimator, _HOST, self.options, words)
        if self.whiten and "mask" not in words:
            raise TypeError(
                f"{d.name}: whiten needs the mask, which SkyRL's registry alone does not hand over; wrap the trainer "
                "in whole_batch, and set generator.step_wise_trajectories=False"
            )
        if not grpo_norm_by_std:
            raise ValueError(
                f"trainer.algorithm.grpo_norm_by_std is False, which does nothing to the advantages of {d.name}; leave "
                "it at True" + ("" if d.name == "dr_grpo" else ", and choose dr_grpo, which does not divide")
            )
        return d, with_flags(d, _HOST, self.options, {"discount": gamma, "lambda_": lambd})

    def __call__(
        self,
        *,
        token_level_rewards: torch.Tensor,
        response_mask: torch.Tensor,
        index: Any,
        grpo_norm_by_std: bool,
        gamma: float,
        lambd: float,
        **others: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, T) advantages and returns."""
        supply: dict[str, Callable[[], Any]] = {
            "rewards": lambda: token_level_rewards.sum(-1),
            "groups": lambda: list(index),
        }
        batch = _BATCH.get()
        if batch is not None:
            supply |= _of_batch(batch, token_level_rewards, "valid" in definition_of(self.estimator).own)
        d, settings = self.checked(supply, grpo_norm_by_std=grpo_norm_by_std, gamma=gamma, lambd=lambd)
        if batch is None:  # the registry does not say how many responses a prompt has
            check_group_size(d, _HOST, settings, max(Counter(index).values()))
        advantages = estimate(self.estimator, supply, settings)
        if advantages.ndim == 1:
            advantages = torch.where(response_mask != 0, advantages[:, None], 0.0)
        returns = advantages.clone()
        if "values" in d.inputs:
            returns = torch.where(supply["mask"](), advantages + supply["values"](), 0.0)
        if self.whiten:
            advantages = whitened(advantages, _counted(supply), ddof=1, epsilon=1e-8)
        return advantages, returns


def _counted(supply: Mapping[str, Callable[[], Any]]) -> torch.Tensor:
    """(N, T) trained tokens of the rows whose rewards are all known."""
    mask = supply["mask"]()
    known = torch.where(mask, supply["token_rewards"](), 0.0).isfinite().all(1)
    return mask & (known & supply["valid"]())[:, None]


def _of_batch(batch: Any, token_rewards: torch.Tensor, asks_for_valid: bool) -> dict[str, Callable[[], Any]]:
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

    def valid() -> torch.Tensor:
        rows = torch.arange(len(token_rewards)) < len(token_rewards) - batch.metadata.get("pad_size", 0)
        # An @estimator knows rows by their NaN, and strict=True raises on them; a plain function may ask.
        return rows & token_rewards.sum(-1).isfinite() if asks_for_valid else rows

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
