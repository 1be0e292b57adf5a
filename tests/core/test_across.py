"""Statistics that span ranks equal those of the whole batch, with real process groups and real JAX axes."""

import subprocess
import sys

import numpy as np
import pytest

SETUP = """
import numpy as np
from advantages import (
    Groups, flash_reinforce, gae, gdpo, grpo, lampo, reinforce_plus_plus, reinforce_plus_plus_baseline, rloo, whiten,
)

rng = np.random.default_rng(0)
rewards, components = rng.normal(size=8).astype("float32"), rng.normal(size=(8, 2)).astype("float32")
token_rewards, mask = rng.normal(size=(8, 5)).astype("float32"), rng.random((8, 5)) < 0.6
groups = np.array([0, 1, 2, 0, 1, 2, 0, 1])  # every group has members on several ranks
names = np.array(["7", "07", "a"])[groups]
logprobs, valid = -10 * rng.random(8).astype("float32"), np.arange(8) != 4
calls = [
    lambda at, to, **options: grpo(to(rewards[at]), to(groups[at]), **options),
    lambda at, to, **options: rloo(to(rewards[at]), to(groups[at]), valid=to(valid[at]), min_scored=3, **options),
    lambda at, to, **options: lampo(to(rewards[at]), to(groups[at]), to(logprobs[at]), **options),
    lambda at, to, **options: whiten(to(rewards[at]), **options),
    lambda at, to, **options: whiten(to(token_rewards[at]), to(mask[at]), weight="responses", **options),
    lambda at, to, **options: gdpo(to(components[at]), to(groups[at]), **options),
    lambda at, to, **options: reinforce_plus_plus(to(token_rewards[at]), to(mask[at]), **options),
    lambda at, to, **options: reinforce_plus_plus_baseline(to(rewards[at]), to(groups[at]), to(mask[at]), **options),
]
"""

TORCH = (
    SETUP
    + """
import sys
import torch
import torch.distributed as dist

calls += [
    lambda at, to, **options: grpo(to(rewards[at]), names[at].tolist(), **options),
    lambda at, to, **options: grpo(to(rewards[at]), names[at], trajectories=[(k, "x") for k in groups[at]], **options),
    lambda at, to, **options: grpo(
        to(rewards[at]), [int(k) for k in groups[at]] if at.start else groups[at], **options
    ),
    lambda at, to, **options: grpo(to(rewards[at]), Groups.of_size(2, len(rewards[at])).where(valid[at]), **options),
    lambda at, to, **options: flash_reinforce(to(rewards[at]), trajectories=names[at], **options),
    lambda at, to, **options: reinforce_plus_plus(
        to(token_rewards[at]), to(mask[at]), trajectories=names[at], **options
    ),
]


def check(rank, cuts, store):
    at = slice(cuts[rank], cuts[rank + 1])
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=len(cuts) - 1)
    for call in calls:
        found = call(at, torch.as_tensor, across=dist.group.WORLD)
        np.testing.assert_allclose(found, call(slice(None), torch.as_tensor)[at], atol=1e-5)
    dist.destroy_process_group()


for cuts in ([0, 6, 8], [0, 2, 2, 8]):  # of three ranks, the second holds no row
    ranks = len(cuts) - 1
    store = f"file://{sys.argv[1]}/{ranks}"
    # Forks of a process that has imported torch, and not run it.
    torch.multiprocessing.start_processes(check, (cuts, store), nprocs=ranks, start_method="fork")
print("same")
"""
)

JAX = (
    SETUP
    + """
import jax
import jax.numpy as jnp

assert jax.device_count() == 2
for call in calls:
    whole = call(slice(None), jnp.asarray)
    half = lambda rank: call(slice(0, 8), lambda x: jnp.asarray(x).reshape(2, 4, *x.shape[1:])[rank], across="data")
    found = jax.pmap(half, axis_name="data")(jnp.arange(2))
    np.testing.assert_allclose(found.reshape(whole.shape), whole, atol=1e-5)
    found = jax.vmap(half, axis_name="data")(jnp.arange(2))
    np.testing.assert_allclose(found.reshape(whole.shape), whole, atol=1e-5)

mesh, rows = jax.sharding.Mesh(np.array(jax.devices()), "data"), jax.sharding.PartitionSpec("data")
words = jnp.asarray(token_rewards), jnp.asarray(mask)
halves = jax.shard_map(lambda r, m: gae(r, r, m), mesh=mesh, in_specs=rows, out_specs=rows)
np.testing.assert_allclose(halves(*words), gae(words[0], *words), atol=1e-5)
print("same")
"""
)


def test_torch_process_groups(tmp_path):
    pytest.importorskip("torch")
    found = subprocess.run([sys.executable, "-c", TORCH, tmp_path], capture_output=True, text=True, timeout=120)
    assert found.stdout.strip() == "same", found.stderr


def test_jax_axes(two_devices):
    pytest.importorskip("jax")
    found = subprocess.run(
        [sys.executable, "-c", JAX],
        env=two_devices,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert found.stdout.strip() == "same", found.stderr


def test_equal_returns_on_all_ranks_are_exactly_zero():
    from advantages import whiten

    statistics = []
    for shard in (np.full(3, 0.7, np.float32), np.full(5, 0.7, np.float32)):
        whiten(shard, across=lambda x: statistics.append(x) or x[None])
    assert not whiten(np.full(3, 0.7, np.float32), across=lambda _: np.stack(statistics)).any()
