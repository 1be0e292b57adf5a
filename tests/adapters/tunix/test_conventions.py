"""tunix's own functions beside `advantages.conventions.tunix`, on random batches."""

import numpy as np
import pytest

pytest.importorskip("tunix")
import jax.numpy as jnp
from tunix.rl import function_registry

from advantages.conventions import tunix

SIZE = 4


@pytest.mark.parametrize("name", ["grpo", "rloo", "drgrpo"])
def test_responses(batches, close, name):
    function = function_registry.get_advantage_estimator(name)
    for batch in batches(ragged=False):
        rewards = batch["rewards"].astype(np.float32)
        if rewards.reshape(-1, SIZE).std(1).min() > 0.03:  # else theirs is a quotient of roundings
            close(getattr(tunix, name)(rewards, SIZE), function(rewards=rewards, num_generations=SIZE))


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.8)])
def test_gae(batches, close, gamma, lam):
    function = function_registry.get_advantage_estimator("gae")
    for batch in batches(ragged=False):
        rewards, values, mask = (jnp.asarray(batch[word], jnp.float32) for word in ("token_rewards", "values", "mask"))
        their, _ = function(rewards=rewards, values=values, completion_mask=mask, gamma=gamma, gae_lambda=lam)
        ours = tunix.gae(batch["token_rewards"], batch["values"], batch["mask"], discount=gamma, lambda_=lam)
        close(ours, np.asarray(their) * batch["mask"])
