"""Estimators inside verl, registered beside its own: by name where the name is free, as `advantages.<name>` always.

verl hands a registered estimator rewards, mask, uids and configuration. The rest of the batch is in local variables
of the functions of verl that call it, and is read from there.
"""

import functools
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from enum import Enum
from types import FrameType
from typing import Any

import torch

from .. import estimators
from ..core.definition import Definition
from ..core.naming import nearest
from ..core.vocabulary import INPUTS
from ..diagnostics import diagnose
from ..host import check, check_group_size, estimate, measures, resolve, with_flags
from ..ops import sequence_logprobs
from ..ops import whiten as whitened
from .hooks import MovedHookError, hook, warn_outside_tested_range
from .hosts import HOSTS

__all__ = ["check_config", "register"]

_HOST = HOSTS["verl"]
_LOGPROBS = {"old": "old_log_probs", "rollout": "rollout_log_probs"}
_OF_THEIRS = {"norm_adv_by_std_in_grpo": True, "use_pf_ppo": False}
"""Options that shape verl's own advantages alone, with their defaults."""
_OF_COMPONENTS = ("gdpo_reward_keys", "gdpo_reward_weights")
_OURS = ("advantage_options", "advantage_logprobs", "advantage_whiten")
"""Keys under `algorithm` that verl does not know."""
_PADDING = re.compile(r"pad[0-9a-f]{32}")
"""The uid of the rows with which verl fills up a batch."""


def register() -> None:
    """Make the estimators known to verl, and have them checked with the rest of a run's configuration.

    Raises:
        MovedHookError: the installed verl lacks something that the adapter holds on to.
    """
    from verl.trainer.ppo import core_algos
    from verl.utils import config

    warn_outside_tested_range(_HOST)
    registry = hook(core_algos, "ADV_ESTIMATOR_REGISTRY")
    add = hook(core_algos, "register_adv_est")
    for name in estimators.__all__:
        function = _hosted(getattr(estimators, name))
        add(f"advantages.{name}")(function)
        if name not in registry:
            add(name)(function)

    find = hook(core_algos, "get_adv_estimator_fn")
    validate = hook(config, "validate_config")

    @functools.wraps(find)
    def found(name_or_enum: Any) -> Callable[..., Any]:
        name = name_or_enum.value if isinstance(name_or_enum, Enum) else name_or_enum
        if isinstance(name, str) and name not in registry and (":" in name or "+" in name):
            return _composed(name)
        if name not in registry:
            guess = nearest(str(name), registry)
            raise ValueError(
                f"algorithm.adv_estimator is {name!r}, which verl does not know; pass one of {', '.join(registry)}, or "
                f"package.module:function{f'; did you mean {guess!r}?' if guess else ''}"
            )
        return find(name_or_enum)

    @functools.wraps(validate)
    def validated(config: Any, use_reference_policy: bool, use_critic: bool) -> None:
        estimator = found(config.algorithm.adv_estimator)
        validate(config, use_reference_policy, use_critic)
        _refuse_near_misses("", config, _places(_OURS), known=["algorithm"])
        if isinstance(estimator, _Hosted):
            check_config(estimator.estimator, config, use_reference_policy, use_critic)
        else:
            _check_verls_own(config.algorithm)

    core_algos.get_adv_estimator_fn = found
    config.validate_config = validated


def check_config(
    estimator: Callable[..., Any], config: Any, use_reference_policy: bool, use_critic: bool
) -> Definition:
    """Refuse, before a run starts, what cannot work, or would be ignored.

    Args:
        config: verl's whole configuration.
        use_reference_policy, use_critic: whether the run has these models.

    Raises:
        TypeError: an input cannot be supplied, or an option is unknown or of the wrong type.
        ValueError: an option is out of range, missing, or would be ignored.
    """
    d, settings = _configured(estimator, config.algorithm)
    check_group_size(d, _HOST, settings, config.actor_rollout_ref.rollout.n)
    for word, present, how in (
        ("values", use_critic, "critic.enable=True"),
        ("ref_token_logprobs", use_reference_policy, "actor_rollout_ref.actor.use_kl_loss=True"),
    ):
        if word in d.needed and not present:
            raise TypeError(
                f"{d.name} needs {word} ({INPUTS[word].meaning}), but the run has no such model; pass {how}"
            )
    if use_critic and "values" not in d.inputs:
        raise ValueError(
            f"critic.enable is True, but {d.name} takes no values: a critic would be trained and never asked; "
            "leave critic.enable alone"
        )
    if (
        {"logprobs", "token_logprobs"} & set(d.inputs)
        and _logprobs(config.algorithm) == "rollout_log_probs"
        and not config.actor_rollout_ref.rollout.calculate_log_probs
    ):
        raise ValueError(
            f"{d.name}: algorithm.advantage_logprobs is 'rollout', but the rollout engine does not report its "
            "log-probabilities; pass actor_rollout_ref.rollout.calculate_log_probs=True"
        )
    return d


def _check_verls_own(algorithm: Any) -> None:
    """Refuse, beside an estimator that is not ours, options that ours alone would read."""
    name = algorithm.adv_estimator
    for key in _OURS:
        if algorithm.get(key) is not None:
            better = f"advantages.{name}" if name in estimators.__all__ else "an estimator of `advantages`"
            raise ValueError(
                f"algorithm.{key} is {algorithm.get(key)!r}, but the estimator {name} is none of `advantages` and "
                f"does not read it; pass algorithm.adv_estimator={better}, or drop it"
            )
    _refuse_near_misses("algorithm.", algorithm, _places(_OURS), known=_OURS)


def _places(keys: Iterable[str]) -> dict[str, str]:
    return {key: f"algorithm.{key}" for key in keys}


def _refuse_near_misses(
    where: str, node: Mapping[str, Any], places: Mapping[str, str], known: Iterable[str] = ()
) -> None:
    """Refuse keys that nobody reads and that are spelt much like something that would be read.

    Keys that are like nothing pass: verl's configuration is open, and they may be for a trainer of the user's own.

    Args:
        where: what stands before the keys of `node`, for the message.
        places: where something is read, by its last name.
        known: keys of `node` that are read.
    """
    for key in node:
        if key in known:
            continue
        found, guess = f"{where}{key}", places.get(nearest(str(key), places) or "")
        if guess is None and isinstance(node[key], Mapping):
            inside = next((word for word in node[key] if word in places), None)
            if inside is not None:
                found, guess = f"{found}.{inside}", places[inside]
        if guess is not None:
            raise ValueError(f"{found} is set, but nothing reads it; did you mean {guess}?")


class _Hosted:
    """An estimator with the signature that verl calls."""

    def __init__(self, estimator: Callable[..., Any]) -> None:
        self.estimator = estimator

    def __call__(self, *, config: Any = None, **_: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """The advantages and returns, (N, T) each, of the batch that verl is at."""
        data = _local("compute_advantage", "data")
        if data is None:
            raise MovedHookError(
                "verl calls estimators from a function other than compute_advantage, which the adapter holds on to; "
                "install a version in the tested range (see `advantages adapters`), or report this"
            )
        d, options = _configured(self.estimator, config)
        batch = _Batch(d, data, _local("compute_advantage_for_multi_trajectories", "batch_keys"), config or {})
        if batch.sessions is not None and d.function is self.estimator and "trajectories" not in d.own:
            raise TypeError(
                f"{d.name}: the agent loop gave several rows to a session, but the function takes no trajectories; "
                "decorate it with advantages.estimator, which counts a session once"
            )
        supply = batch.supply()
        check(self.estimator, _HOST, {}, supply)
        if "groups" in d.needed:  # the fully asynchronous trainer validates no configuration
            check_group_size(d, _HOST, options, max(batch.largest_group, _local("compute_advantage", "num_repeat")))
        estimated = estimate(self.estimator, supply, options)
        batch.log(estimated)
        advantages = batch.spread(estimated)
        returns = advantages.clone()
        if "values" in d.inputs:  # what the critic is trained on
            returns = torch.where(batch.mask_of_all, advantages + data.batch["values"], 0.0)
        return batch.spread(estimated, whiten=True) if _whitens(config or {}) else advantages, returns


_hosted = functools.cache(_Hosted)


@functools.cache
def _composed(name: str) -> _Hosted:
    """The estimator of a name that no registry has: a function's address, or a name with stages behind it."""
    return _hosted(resolve(name))


def _callers(function: str) -> Iterator[FrameType]:
    """The frame of a function that is being called, then those that have called it."""
    frame: FrameType | None = sys._getframe()
    inside = False
    while frame is not None:
        inside = inside or frame.f_code.co_name == function
        if inside:
            yield frame
        frame = frame.f_back


def _local(function: str, name: str) -> Any:
    """A local variable of a function that is being called, or None where there is no such function."""
    frame = next(_callers(function), None)
    if frame is None:
        return None
    if name not in frame.f_locals:
        raise MovedHookError(
            f"verl's {function} has no local variable {name}, which the adapter holds on to; install a version "
            "in the tested range (see `advantages adapters`), or report this"
        )
    return frame.f_locals[name]


def _configured(estimator: Callable[..., Any], algorithm: Any) -> tuple[Definition, dict[str, Any]]:
    """The definition of an estimator, and its options from verl's configuration of the algorithm, both checked."""
    from omegaconf import OmegaConf
    from verl.trainer.config import AlgoConfig

    algorithm = {} if algorithm is None else algorithm
    options = algorithm.get("advantage_options") or {}
    options = OmegaConf.to_container(options, resolve=True) if OmegaConf.is_config(options) else options
    d = check(estimator, _HOST, options)
    flags = {setting: (flag.name.rpartition(".")[2], flag.default) for setting, flag in _HOST.flags.items()}
    options = with_flags(d, _HOST, options, {key: algorithm.get(*flag) for key, flag in flags.items()})
    of_theirs = _OF_THEIRS | ({} if d.by_component else dict.fromkeys(_OF_COMPONENTS))
    for name, default in of_theirs.items():
        value = algorithm.get(name, default)
        if value != default:
            deviation = "; dr_grpo does not divide by the deviation" if name == "norm_adv_by_std_in_grpo" else ""
            raise ValueError(
                f"algorithm.{name} is {value!r}, which shapes verl's own advantages and does nothing to those of "
                f"{d.name}; leave it at {default!r}, and pass settings of {d.name} as algorithm.advantage_options"
                + deviation
            )
    read = _places([*_OURS, *_OF_COMPONENTS, *_OF_THEIRS, *(name for name, _ in flags.values())])
    known = {*read, *(field.name for field in fields(AlgoConfig))}
    settings = {name: f"algorithm.advantage_options.{name}" for name in d.settings if name not in known}
    _refuse_near_misses("algorithm.", algorithm, settings | read, known)
    if d.by_component:
        names = list(algorithm.get("gdpo_reward_keys") or ())
        if not names:
            raise ValueError(
                f"{d.name} takes the components of the reward apart; name them, keys of the dictionary that your "
                "compute_score returns: +algorithm.gdpo_reward_keys=[format_reward,accuracy_reward]"
            )
        weights = algorithm.get("gdpo_reward_weights")
        columns = {"weights": None if weights is None else list(weights), "components": names}
        options |= {name: value for name, value in columns.items() if name in d.settings}
    _logprobs(algorithm)
    _whitens(algorithm)
    return d, options


def _whitens(algorithm: Any) -> bool:
    choice = algorithm.get("advantage_whiten", False)
    if not isinstance(choice, bool):
        raise TypeError(f"algorithm.advantage_whiten is {choice!r}; pass True or False")
    return choice


def _logprobs(algorithm: Any) -> str:
    """The column with the log-probabilities under the policy that sampled."""
    choice = algorithm.get("advantage_logprobs", "old")
    if choice not in _LOGPROBS:
        raise ValueError(f"algorithm.advantage_logprobs is {choice!r}; pass one of {', '.join(_LOGPROBS)}")
    return _LOGPROBS[choice]


class _Batch:
    """A batch of verl without the rows that fill it up, and with the pieces of each session in their order."""

    def __init__(self, d: Definition, data: Any, keys: Sequence[str] | None, algorithm: Any) -> None:
        self.definition, self.algorithm = d, algorithm
        self.mask_of_all = data.batch["response_mask"] != 0
        uids = data.non_tensor_batch.get("uid")
        self.rows = [row for row in range(len(data)) if uids is None or not _PADDING.fullmatch(str(uids[row]))]
        self.keys: list[str] | None = None
        self.sessions: list[str] | None = None
        """Of each row, where one has several rows."""
        if keys is not None:  # {uid}_{session}_{index}, one of each row
            pieces = {row: keys[row].rpartition("_") for row in self.rows}
            self.rows.sort(key=lambda row: int(pieces[row][2]))
            self.keys = [keys[row] for row in self.rows]
            sessions = [pieces[row][0] for row in self.rows]
            self.sessions = sessions if len(set(sessions)) < len(sessions) else None
        self.data = data.select_idxs(self.rows)
        self.mask = self.data.batch["response_mask"] != 0

    @property
    def largest_group(self) -> int:
        """Responses to a prompt, those of a session counted once; 0 for an empty batch."""
        uids = self.data.non_tensor_batch["uid"].tolist()
        sampled = set(zip(uids, self.sessions or self.rows, strict=True))
        return max(Counter(uid for uid, _ in sampled).values(), default=0)

    def supply(self) -> dict[str, Callable[[], Any]]:
        """The words of the batch that verl has."""
        columns = self.data.batch
        supply: dict[str, Callable[[], Any]] = {
            "rewards": self._rewards,
            "mask": lambda: self.mask,
            "lengths": lambda: self.mask.sum(1),
            "token_rewards": self._token_rewards,
            "trajectories": lambda: self.sessions,
            "valid": lambda: torch.ones(len(self.rows), dtype=torch.bool) if "valid" in self.definition.own else None,
        }
        if "uid" in self.data.non_tensor_batch:
            supply["groups"] = lambda: self.data.non_tensor_batch["uid"].tolist()
        sampled = _logprobs(self.algorithm)
        if sampled in columns:
            supply["token_logprobs"] = lambda: columns[sampled]
            supply["logprobs"] = lambda: self._logprobs(columns[sampled])
        if "ref_log_prob" in columns:
            supply["ref_token_logprobs"] = lambda: columns["ref_log_prob"]
        if "values" in columns:
            supply["values"] = lambda: columns["values"]
        return supply

    def _rewards(self) -> torch.Tensor:
        """(N,) rewards, or (N, K) for an estimator that takes the components apart."""
        if not self.definition.by_component:
            return self.data.batch["token_level_rewards"].sum(1)
        names = list(self.algorithm.get("gdpo_reward_keys"))
        found = self.data.non_tensor_batch
        if not set(names) <= set(found):
            found = self._reported() or found
        missing = [name for name in names if name not in found]
        if missing:
            raise ValueError(
                f"algorithm.gdpo_reward_keys names {', '.join(missing)}, which the batch does not have; "
                "let compute_score return a dictionary with that key for every response"
            )
        columns = [torch.as_tensor([float(x) for x in found[name]]) for name in names]
        return torch.stack(columns, 1).to(self.mask.device)

    def _reported(self) -> dict[str, list[Any]]:
        """What compute_score returned beside the score: the V1 trainer leaves it in its queue."""
        meta = _local("_compute_advantage", "batch")
        if self.keys is None or meta is None:
            return {}
        import transfer_queue

        fields = transfer_queue.kv_batch_get(
            keys=self.keys, partition_id=meta.partition_id, select_fields=["extra_fields"]
        )["extra_fields"]
        rows = [getattr(field, "data", field).get("reward_extra_info", {}) for field in fields]
        names = set(rows[0]).intersection(*rows)
        return {name: [row[name] for row in rows] for name in names}

    def _token_rewards(self) -> torch.Tensor:
        """verl repeats the reward of a session on each of its rows; here it is on the last one alone."""
        rewards = self.data.batch["token_level_rewards"]
        if self.sessions is None:
            return rewards
        last = {session: row for row, session in enumerate(self.sessions)}
        final = torch.zeros(len(rewards), 1, dtype=torch.bool, device=rewards.device)
        final[list(last.values())] = True
        return torch.where(final, rewards, rewards - self.data.batch["token_level_scores"])

    def _logprobs(self, token_logprobs: torch.Tensor) -> torch.Tensor:
        """(N,) of whole responses; unknown where verl has rejected all of a response."""
        return torch.where(self.mask.any(1), sequence_logprobs(token_logprobs, self.mask), torch.nan)

    def log(self, advantages: torch.Tensor) -> None:
        """Put what `diagnose` and `host.measures` have to say among the metrics of the trainer's step."""
        for frame in _callers("compute_advantage"):
            metrics = frame.f_locals.get("metrics")
            if isinstance(metrics, dict):
                groups = list(self.data.non_tensor_batch.get("uid", range(len(self.rows))))
                rewards = self.data.batch["token_level_rewards"].sum(1)
                look = diagnose(rewards, advantages, groups, mask=self.mask)
                metrics.update({**look.metrics(), **measures(advantages, self.mask, groups, rewards)})
                return

    def spread(self, advantages: torch.Tensor, *, whiten: bool = False) -> torch.Tensor:
        """(N, T) advantages of all rows, 0 on the tokens that are not trained; whitened over those that are."""
        own = torch.where(self.mask, advantages if advantages.ndim == 2 else advantages[:, None], 0.0)
        spread = torch.zeros(self.mask_of_all.shape, dtype=own.dtype, device=own.device)
        spread[self.rows] = whitened(own, self.mask) if whiten else own
        return spread
