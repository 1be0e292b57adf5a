"""The real tunix's registry, and its own estimators beside ours."""

import warnings

import numpy as np
import pytest

jax = pytest.importorskip("jax")
with warnings.catch_warnings(action="ignore"):
    pytest.importorskip("tunix")
    from tunix.rl import (
        algo_core,  # noqa: F401  (registers tunix's own)
        function_registry,
    )
    from tunix.rl.grpo.grpo_learner import GRPOConfig

import jax.numpy as jnp

import advantages
from advantages.adapters.contract import MovedHookError
from advantages.adapters.tunix import register

REWARDS = np.array([1.0, 0.0, 0.5, 1.0, 0.0, 0.0, 0.2, 0.2], np.float32)


def get(name):
    return function_registry.get_advantage_estimator(name)


@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "rloo", "reinforce"])
@pytest.mark.parametrize("of", [np.asarray, jnp.asarray])
def test_it_forms_what_the_bare_call_forms(name, of):
    called = register(name)
    assert GRPOConfig(num_generations=4, advantage_estimator=called).advantage_estimator == called
    found = get(called)(rewards=of(REWARDS), num_generations=4)
    assert type(found) is type(of(REWARDS))
    options = {} if name == "reinforce" else {"group_size": 4}
    np.testing.assert_allclose(found, getattr(advantages, name)(REWARDS, **options), rtol=1e-6)


@pytest.mark.parametrize(("ours", "theirs"), [("grpo", "grpo"), ("rloo", "rloo"), ("dr_grpo", "drgrpo")])
def test_it_equals_tunixs_own_of_that_name(ours, theirs):
    found = get(register(ours))(rewards=REWARDS, num_generations=4)
    expected = get(theirs)(rewards=REWARDS, num_generations=4)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_ppo_learners_call():
    rng = np.random.default_rng(0)
    rewards, values = (jnp.asarray(rng.normal(size=(3, 5)), jnp.float32) for _ in range(2))
    mask = jnp.asarray([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0]])
    given = {"rewards": rewards, "values": values, "completion_mask": mask, "gamma": 0.9, "gae_lambda": 0.5}
    found, returns = get(register("gae"))(**given)
    expected = advantages.gae(rewards, values, mask != 0, discount=0.9, lambda_=0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(returns, expected + values, rtol=1e-6)


def test_options_reach_the_estimator_and_are_checked_at_once():
    found = get(register("grpo", {"ddof": 0}, name="mine"))(rewards=REWARDS, num_generations=4)
    np.testing.assert_allclose(found, advantages.grpo(REWARDS, group_size=4, ddof=0), rtol=1e-6)
    with pytest.raises(TypeError, match="grpo: takes no option 'dof'"):
        register("grpo", {"dof": 0})
    with pytest.raises(TypeError, match=r"gdpo takes one reward per component, but tunix hands over their sum"):
        register("gdpo")
    with pytest.raises(TypeError, match=r"lampo needs logprobs .*which tunix does not hand to estimators here"):
        register("lampo")
    with pytest.raises(TypeError, match=r"gae: got the option 'lambda_'; under tunix set gae_lambda"):
        register("gae", {"lambda_": 0.9})


def test_a_moved_registry_is_an_error(monkeypatch):
    monkeypatch.delattr(function_registry, "register_advantage_estimator")
    with pytest.raises(MovedHookError, match=r"function_registry has no register_advantage_estimator"):
        register("rloo")
