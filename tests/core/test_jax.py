"""At home in JAX: groups and numbers may be arguments of what is compiled, vectorised or sharded."""

import functools
import logging
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from advantages import Groups, bnpo, gae, grpo, lampo, pass_at_k, reinforce_plus_plus, rloo, whiten
from advantages.backends.jax import _LONG, _STRETCH
from advantages.ops import lambda_advantages, reverse_scan

REWARDS = jnp.array([1.0, 0.0, 3.0, 2.0, 5.0])
IDS = ["a", "b", "a", "b", "b"]


def test_groups_are_an_argument_of_a_compiled_function():
    compiled = jax.jit(lambda rewards, groups: grpo(rewards, groups))
    np.testing.assert_allclose(compiled(REWARDS, Groups(IDS)), grpo(REWARDS, IDS), atol=1e-5)
    np.testing.assert_allclose(compiled(REWARDS[:4], Groups.of_size(2, 4)), grpo(REWARDS[:4], 2), atol=1e-5)
    assert compiled._cache_size() == 2
    compiled(REWARDS, Groups([0, 1, 2, 1, 0]))  # other groups of as many rows compile nothing anew
    assert compiled._cache_size() == 2


def test_groups_are_vectorised():
    slots = jnp.array([[0, 1, 0, 1, 1], [0, 0, 0, 1, 1]])
    found = jax.vmap(lambda ids: rloo(REWARDS, Groups(ids)))(slots)
    for row, ids in zip(found, slots, strict=True):
        np.testing.assert_allclose(row, rloo(REWARDS, np.asarray(ids)), atol=1e-5)


@pytest.mark.parametrize(
    ("sweep", "values"),
    [
        (lambda x: grpo(REWARDS, IDS, epsilon=x), [1e-6, 1e-4, 0.5]),
        (lambda x: lampo(REWARDS, IDS, -REWARDS, temperature=x), [0.5, 1.0, 3.0]),
        (lambda x: bnpo(REWARDS > 1, IDS, cap=x), [0.5, 1.0, 1e6]),
        (lambda x: reinforce_plus_plus(REWARDS[None], jnp.ones((1, 5), bool), epsilon=x), [1e-6, 0.5, 1.0]),
        (lambda x: gae(REWARDS[None], REWARDS[None], jnp.ones((1, 5), bool), lambda_=x), [0.0, 0.5, 1.0]),
        (lambda x: gae(REWARDS[None], REWARDS[None], jnp.ones((1, 5), bool), discount=x), [0.0, 0.5, 1.0]),
    ],
)
def test_numbers_may_be_traced_and_swept_over(sweep, values):
    expected = np.stack([sweep(value) for value in values])
    np.testing.assert_allclose(jax.vmap(sweep)(jnp.array(values)), expected, atol=1e-5)
    np.testing.assert_allclose(jax.jit(sweep)(jnp.array(values[1])), expected[1], atol=1e-5)
    assert not np.asarray(jax.jacobian(sweep)(values[1])).any()  # gradients stop


def test_numbers_at_hand_are_still_checked():
    with pytest.raises(ValueError, match=r"grpo: epsilon is -1\.0; pass a number of at least 0"):
        grpo(REWARDS, IDS, epsilon=jnp.array(-1.0))
    with pytest.raises(TypeError, match="grpo: ddof is "):
        jax.jit(lambda x: grpo(REWARDS, IDS, ddof=x))(1)
    with pytest.raises(TypeError, match="pass_at_k: k is traced, but pass_at_k has as many steps; pass a number that"):
        jax.jit(lambda x: pass_at_k(REWARDS > 1, IDS, k=x))(2)


def test_a_mask_may_be_traced_where_numbers_are_at_hand():
    x, mask = np.array([[1.0, 3.0, 9.0, np.nan]], np.float32), np.array([[True, True, False, True]])
    right = whiten(x, mask)
    for here in (x, x[0]):
        numbers = jnp.asarray(here)
        found = jax.jit(functools.partial(whiten, numbers))(jnp.asarray(mask.reshape(here.shape)))
        np.testing.assert_allclose(found, right.reshape(here.shape), rtol=1e-6)
    found = torch.func.vmap(functools.partial(whiten, torch.tensor(x)))(torch.tensor(np.stack([mask, mask])))
    np.testing.assert_allclose(found[1], right, rtol=1e-6)


def test_groups_span_the_devices_of_a_mesh(two_devices):
    code = """
    import jax, jax.numpy as jnp, numpy as np
    from jax.sharding import Mesh, PartitionSpec as P
    from advantages import Groups, grpo, rloo, lampo, gdpo
    assert jax.device_count() == 2
    mesh = Mesh(np.array(jax.devices()), ("data",))
    rewards, ids = jnp.array([1.0, 0.0, 3.0, 2.0, 5.0, 4.0]), jnp.array([0, 1, 0, 1, 1, 0])
    columns = jnp.stack([rewards, -rewards**2], 1)
    calls = [
        (lambda r, g, **o: grpo(r, g, **o), rewards),
        (lambda r, g, **o: rloo(r, g, **o), rewards),
        (lambda r, g, **o: lampo(r, g, -r, **o), rewards),
        (lambda r, g, **o: gdpo(r, g, **o), columns),
    ]
    for call, given in calls:
        sharded = jax.jit(jax.shard_map(
            lambda r, g: call(r, g, across="data"), mesh=mesh, in_specs=(P("data"), P("data")), out_specs=P("data")
        ))
        np.testing.assert_allclose(sharded(given, ids), call(given, ids), atol=1e-5)
        np.testing.assert_allclose(sharded(given, Groups(np.asarray(ids))), call(given, ids), atol=1e-5)
    print("same")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=two_devices,
    )
    assert done.stdout.strip() == "same", done.stderr


def test_a_scan_is_compiled_once(caplog):
    decay, x = jnp.full((3, 5), 0.5), jnp.ones((3, 5))
    reverse_scan(decay, x)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        reverse_scan(decay, x)
    assert not [record for record in caplog.records if "XLA compilation" in record.getMessage()]


@pytest.mark.parametrize("steps", [_LONG, _LONG + 1, _LONG + _STRETCH - 1])
def test_a_long_batch_turned_over_by_stretches_is_the_formula(steps):
    rng = np.random.default_rng(steps)
    shape = (5, steps)
    mask = rng.random(shape) < 0.6
    mask[0, : steps // 2] = False  # rewards before the first trained token go to it, over many stretches
    mask[1] = False
    mask[2, : -_STRETCH // 2] = False
    rewards, values = rng.normal(size=shape).astype(np.float32), rng.normal(3.0, 2.0, shape).astype(np.float32)
    rewards[~mask & (rng.random(shape) < 0.3)] = np.nan
    values[~mask] = np.inf
    words = [jnp.asarray(x) for x in (rewards, values, mask)]
    swept = jax.vmap(lambda x: gae(*words, discount=0.99, lambda_=x))(jnp.array([0.5, 0.95]))
    for discount, lambda_, found in (
        (1.0, 1.0, gae(*words, lambda_=1.0)),
        (0.99, 0.5, swept[0]),
        (0.99, 0.95, swept[1]),
    ):
        expected = gae(rewards.astype(float), values.astype(float), mask, discount=discount, lambda_=lambda_)
        np.testing.assert_allclose(found, expected, rtol=0, atol=np.abs(expected).max() * 1e-5)


def test_a_long_batch_has_the_gradient_of_a_short_one():
    """Each response of a long batch is a short one with what is masked behind it."""
    rng = np.random.default_rng(0)
    rewards, values = (jnp.asarray(rng.normal(size=(2, 300)), jnp.float32) for _ in range(2))
    mask = jnp.asarray(rng.random((2, 300)) < 0.7)
    weight = jnp.asarray(rng.normal(size=(2, 300)), jnp.float32)

    def loss(words, steps):
        behind = ((0, 0), (0, steps - 300))
        padded = [jnp.pad(x, behind) for x in (*words, mask, weight)]
        return (lambda_advantages(*padded[:3], discount=0.9, lambda_=0.8) * padded[3]).sum()

    long, short = (jax.grad(loss)((rewards, values), steps) for steps in (_LONG, 300))
    for a, b in zip(long, short, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
        assert np.abs(b).max() > 0.1
