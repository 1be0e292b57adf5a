"""The same work by other packages, where they are installed, and by lines of theirs that are no function, restated.

Each function takes torch tensors, or JAX arrays where its name says so, and gives a result of the estimator's shape.
A package that is not installed, or does not load here, is left out.
"""

import importlib
from collections.abc import Callable
from typing import Any

__all__ = ["chunked_gae", "jax_gae", "loaded", "torch_gae", "trl_grpo", "trl_rloo", "verl_groups"]

GAMMA, LAMBDA = 1.0, 0.95


def loaded(module: str) -> Any:
    """A module, or None where it is not installed or does not load."""
    try:
        return importlib.import_module(module)
    except Exception:  # packages fail to load in many ways: a missing driver, another version of a third one
        return None


def torch_gae(holes: bool) -> dict[str, Callable[[Any, Any, Any], Any]]:
    """GAE by packages that work on torch tensors: of rewards, values and mask."""
    found: dict[str, Callable[[Any, Any, Any], Any]] = {}
    if verl := loaded("verl.trainer.ppo.core_algos"):
        found["verl (whitens, too)"] = lambda r, v, m: verl.compute_gae_advantage_return(r, v, m, GAMMA, LAMBDA)[0]
    if openrlhf := loaded("openrlhf.trainer.ppo_utils.experience_maker"):
        maker = openrlhf.RemoteExperienceMaker
        found["OpenRLHF"] = lambda r, v, m: maker.get_advantages_and_returns(None, v, r, m, GAMMA, LAMBDA)[0]
    if not holes and (torchrl := loaded("torchrl.objectives.value.functional")):
        found["torchrl"] = lambda r, v, m: _torchrl(torchrl, r, v)
    if not holes:
        found["slime's chunked scan, restated"] = lambda r, v, m: chunked_gae(r, v)
    return found


def _torchrl(functional: Any, rewards: Any, values: Any) -> Any:
    import torch

    later = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], 1)
    done = torch.zeros_like(values, dtype=torch.bool)
    done[:, -1] = True
    columns = (x[..., None] for x in (values, later, rewards, done, done))
    return functional.generalized_advantage_estimate(GAMMA, LAMBDA, *columns)[0][..., 0]


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


def jax_gae(holes: bool) -> dict[str, Callable[[Any, Any, Any], Any]]:
    """GAE by packages that work on JAX arrays: of rewards, values and mask."""
    found: dict[str, Callable[[Any, Any, Any], Any]] = {}
    if rlax := loaded("rlax"):
        import jax
        import jax.numpy as jnp

        def one(rewards: Any, values: Any) -> Any:
            values = jnp.concatenate([values, jnp.zeros_like(values[:1])])
            return rlax.truncated_generalized_advantage_estimation(
                rewards, jnp.full_like(rewards, GAMMA), LAMBDA, values
            )

        jitted = jax.jit(jax.vmap(one))
        name = "rlax, jit, which knows no mask" if holes else "rlax, jit"
        found[name] = lambda r, v, m: jitted(r, v).block_until_ready()
    if tunix := loaded("tunix.rl.algo_core"):
        import jax

        jitted_tunix = jax.jit(lambda r, v, m: tunix.compute_gae_advantages(r, v, m, GAMMA, LAMBDA)[0])
        found["tunix, jit (whitens, too)"] = lambda r, v, m: jitted_tunix(r, v, m).block_until_ready()
    return found


def verl_groups(name: str) -> Callable[[Any, Any], Any] | None:
    """verl's vectorised "grpo" or "rloo" of (N,) rewards and ids."""
    verl = loaded("verl.trainer.ppo.core_algos")
    if verl is None:
        return None
    import torch

    function = getattr(verl, f"compute_{name}_vectorized_outcome_advantage")
    return lambda rewards, ids: function(rewards[:, None], torch.ones_like(rewards)[:, None], ids)[0][:, 0]


def trl_grpo(rewards: Any, size: int) -> Any:
    """TRL's lines for GRPO, restated: equal blocks, epsilon 1e-4."""
    mean = rewards.view(-1, size).mean(1).repeat_interleave(size)
    std = rewards.view(-1, size).std(1).repeat_interleave(size)
    return (rewards - mean) / (std + 1e-4)


def trl_rloo(rewards: Any, size: int) -> Any:
    """TRL's lines for RLOO, restated: equal blocks."""
    grouped = rewards.view(-1, size)
    others = (grouped.sum(1, keepdim=True) - grouped) / (size - 1)
    return (grouped - others).view(-1)
