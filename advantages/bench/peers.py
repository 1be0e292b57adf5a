"""The same work by other packages, where they are installed, and by lines of theirs that are no function, restated.

Each has the formula that its result is held against: ours, or our convention of that package in float64 where it
computes something else. What is not installed, or does not load here, is left out; `missing` says why.
"""

import importlib
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from typing import Any

import numpy as np

from ..conventions import openrlhf as our_openrlhf
from ..conventions import rlax as our_rlax
from ..conventions import trl as our_trl
from ..conventions import tunix as our_tunix
from ..conventions import verl as our_verl
from .measure import Entry, on_jax, on_torch, widened

__all__ = ["chunked_gae", "gae", "groups", "missing", "reinforce_plus_plus", "whitening"]

GAMMA, LAMBDA = 1.0, 0.95

_tried: dict[str, Any] = {}
"""Modules by name; what was said in place of those that did not load."""


def loaded(module: str) -> Any:
    """A module, or None where it is not installed or does not load."""
    if module not in _tried:
        try:
            with redirect_stdout(sys.stderr), warnings.catch_warnings():  # stdout is for what was measured
                warnings.simplefilter("ignore")
                _tried[module] = importlib.import_module(module)
        except (
            Exception
        ) as error:  # packages fail to load in many ways: a missing driver, another version of a third one
            package = module.partition(".")[0]
            absent = isinstance(error, ModuleNotFoundError) and error.name == package
            _tried[module] = "not installed" if absent else f"does not load: {type(error).__name__}: {error}"
    found = _tried[module]
    return None if isinstance(found, str) else found


def missing() -> dict[str, str]:
    """Packages that were asked for and are not here, and why."""
    return {module.partition(".")[0]: said for module, said in _tried.items() if isinstance(said, str)}


def gae(holes: bool) -> list[Entry]:
    """GAE of rewards, values and mask."""

    def entry(name: str, prepare: Any, right: Any = None) -> None:
        entries.append(Entry(name, "peer", prepare, right))

    entries: list[Entry] = []
    if verl := loaded("verl.trainer.ppo.core_algos"):
        calls = on_torch(lambda r, v, m: verl.compute_gae_advantage_return(r, v, m, GAMMA, LAMBDA)[0], numbers=True)
        entry("verl (whitens, too)", calls, _by(our_verl.gae))
    if openrlhf := loaded("openrlhf.trainer.ppo_utils.experience_maker"):
        theirs = openrlhf.RemoteExperienceMaker.get_advantages_and_returns
        calls = on_torch(lambda r, v, m: theirs(None, v, r, m, GAMMA, LAMBDA)[0])
        name = "OpenRLHF (masked tokens are steps)" if holes else "OpenRLHF"
        entry(name, calls, _by(our_openrlhf.gae, whitening="none"))
    if not holes:
        if torchrl := loaded("torchrl.objectives.value.functional"):
            entry("torchrl", on_torch(lambda r, v, m: _torchrl(torchrl, r, v)))
        entry("slime's chunked scan, restated", on_torch(lambda r, v, m: chunked_gae(r, v)))
    if rlax := loaded("rlax"):
        name = "rlax, jit (without a mask)" if holes else "rlax, jit"
        entry(name, on_jax(_rlax(rlax)), lambda r, v, m: _by(our_rlax.gae)(r, v, np.ones_like(m)))
    if tunix := loaded("tunix.rl.algo_core"):
        calls = on_jax(lambda r, v, m: tunix.compute_gae_advantages(r, v, m, GAMMA, LAMBDA)[0].block_until_ready())
        entry("tunix, jit (whitens, too)", calls, _by(our_tunix.gae))
    return entries


def _by(convention: Any, **settings: Any) -> Callable[..., Any]:
    """A convention of GAE in float64; masked tokens are not compared."""

    def right(rewards: Any, values: Any, mask: Any) -> Any:
        found = convention(*widened(rewards, values), mask, discount=GAMMA, lambda_=LAMBDA, **settings)
        return np.where(mask, found, np.nan)

    return right


def _torchrl(functional: Any, rewards: Any, values: Any) -> Any:
    import torch

    later = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], 1)
    done = torch.zeros_like(values, dtype=torch.bool)
    done[:, -1] = True
    columns = (x[..., None] for x in (values, later, rewards, done, done))
    return functional.generalized_advantage_estimate(GAMMA, LAMBDA, *columns)[0][..., 0]


def _rlax(rlax: Any) -> Callable[[Any, Any, Any], Any]:
    import jax
    import jax.numpy as jnp

    def one(rewards: Any, values: Any) -> Any:
        values = jnp.concatenate([values, jnp.zeros_like(values[:1])])
        return rlax.truncated_generalized_advantage_estimation(rewards, jnp.full_like(rewards, GAMMA), LAMBDA, values)

    jitted = jax.jit(jax.vmap(one))
    return lambda r, v, m: jitted(r, v).block_until_ready()


def chunked_gae(rewards: Any, values: Any, chunk: int = 128) -> Any:
    """GAE without a mask as slime computes it: chunks by a triangular product, and a loop over their carries."""
    import torch

    rows, steps = rewards.shape
    later = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], 1)
    deltas = torch.nn.functional.pad((rewards + GAMMA * later - values).flip(1), (0, -steps % chunk))
    place = torch.arange(chunk)
    powers = (GAMMA * LAMBDA) ** (place[None, :] - place[:, None]).clip(0).to(rewards.dtype)
    inside = deltas.reshape(rows, -1, chunk) @ powers.triu()
    reach = (GAMMA * LAMBDA) ** (place + 1).to(rewards.dtype)
    carry, parts = torch.zeros_like(rewards[:, :1]), []
    for part in inside.unbind(1):
        parts.append(part + carry * reach)
        carry = parts[-1][:, -1:]
    return torch.cat(parts, 1)[:, :steps].flip(1)


def whitening(right: Callable[..., Any]) -> list[Entry]:
    """Whitening of values and mask, where `right` whitens in float64."""
    entries = []
    if verl := loaded("verl.utils.torch_functional"):
        calls = on_torch(lambda x, mask: verl.masked_whiten(x, mask), numbers=True)
        entries.append(
            Entry("verl (also outside the mask)", "peer", calls, lambda x, mask: np.where(mask, right(x, mask), np.nan))
        )
    return entries


def reinforce_plus_plus() -> list[Entry]:
    """REINFORCE++ of rewards and mask."""
    entries = []
    if verl := loaded("verl.trainer.ppo.core_algos"):
        config = type("Config", (), {"gamma": GAMMA})()
        function = verl.compute_reinforce_plus_plus_outcome_advantage
        calls = on_torch(lambda rewards, mask: function(rewards, mask, config)[0], numbers=True)
        entries.append(Entry("verl", "peer", calls, lambda r, m: our_verl.reinforce_plus_plus(widened(r)[0], m)))
    return entries


# Groups


def groups(name: str, size: int, ids: Callable[[int], Any] | None = None) -> list[Entry]:
    """Estimator "grpo" or "rloo" of rewards: of neighbouring rows, or of the ids that `ids` has for so many."""
    entries = []
    if ids is None:
        for package, (lines, convention) in _LINES[name].items():
            right = partial(_grouped, convention, size)
            entries.append(
                Entry(f"{package}'s lines, restated", "peer", on_torch(partial(lines, size=size), words=1), right)
            )
        if tunix := loaded("tunix.rl.algo_core"):
            entries.append(Entry("tunix, numpy", "peer", _of_tunix(tunix, name, size)))
    if verl := loaded("verl.trainer.ppo.core_algos"):
        function = getattr(verl, f"compute_{name}_vectorized_outcome_advantage")

        def prepare(rewards: Any, *_: Any) -> Callable[[], Any]:
            import torch

            count = len(rewards)
            given = torch.from_numpy(rewards)[:, None]
            named = np.arange(count) // size if ids is None else ids(count)
            return lambda: function(given, torch.ones_like(given), named)[0][:, 0]

        entries.append(Entry("verl, vectorised", "peer", prepare))
    return entries


def _grouped(convention: Any, size: int, rewards: Any, *_: Any) -> Any:
    return convention(*widened(rewards), size)


def _of_tunix(tunix: Any, name: str, size: int) -> Callable[..., Callable[[], Any]]:
    function = {"grpo": tunix.compute_advantages, "rloo": tunix.compute_rloo_advantages}[name]
    return lambda rewards, *_: partial(function, rewards, size)


def trl_grpo(rewards: Any, size: int) -> Any:
    """TRL 1.16's lines for GRPO, restated: equal blocks, epsilon 1e-4, rewards that are NaN left out."""
    import torch

    mean = torch.nanmean(rewards.view(-1, size), dim=1).repeat_interleave(size, dim=0)
    std = _nanstd(rewards.view(-1, size)).repeat_interleave(size, dim=0)
    return torch.nan_to_num((rewards - mean) / (std + 1e-4), nan=0.0)


def _nanstd(x: Any) -> Any:
    import torch

    mean = torch.nanmean(x, dim=1, keepdim=True)
    variance = torch.nanmean((x - mean) ** 2, dim=1, keepdim=True)
    count = torch.sum(~torch.isnan(x), dim=1, keepdim=True)
    correction = count / (count - 1)
    variance *= torch.where(count > 1, correction, torch.full_like(correction, float("nan")))
    return torch.sqrt(variance).squeeze(1)


def trl_rloo(rewards: Any, size: int) -> Any:
    """TRL 1.16's lines for RLOO, restated: equal blocks, rewards that are NaN left out."""
    import torch

    grouped = rewards.view(-1, size)
    counts = (~torch.isnan(grouped)).sum(dim=1, keepdim=True)
    baselines = (torch.nansum(grouped, dim=1, keepdim=True) - grouped) / (counts - 1)
    return torch.nan_to_num(rewards - baselines.view(-1), nan=0.0)


def openrlhf_grpo(rewards: Any, size: int) -> Any:
    """OpenRLHF 0.11.2's lines for its group_norm, restated: equal blocks, epsilon 1e-9."""
    x = rewards.reshape(-1, size)
    return ((x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-9)).reshape(-1)


def openrlhf_rloo(rewards: Any, size: int) -> Any:
    """OpenRLHF 0.11.2's lines for RLOO, restated: equal blocks."""
    x = rewards.reshape(-1, size)
    baseline = (x.sum(-1, keepdim=True) - x) / (size - 1)
    return (x - baseline).reshape(-1)


_LINES: dict[str, dict[str, tuple[Any, Any]]] = {
    "grpo": {"TRL": (trl_grpo, our_trl.grpo), "OpenRLHF": (openrlhf_grpo, our_openrlhf.group_norm)},
    "rloo": {"TRL": (trl_rloo, our_trl.rloo), "OpenRLHF": (openrlhf_rloo, our_openrlhf.rloo)},
}
"""By our estimator and their package: the lines, and our convention of them."""
