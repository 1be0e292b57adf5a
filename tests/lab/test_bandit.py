"""The bandit's expectations, against a sum over all sequences of draws and against closed forms."""

import itertools

import numpy as np
import pytest

from advantages import dr_grpo, grpo, lampo, rloo
from advantages.lab.bandit import updates

POLICY, REWARDS = np.array([0.6, 0.3, 0.1]), np.array([0.0, 1.0, -2.0])


@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize("estimator", [rloo, grpo, dr_grpo, lampo])
def test_expectations_are_those_over_all_sequences(estimator, n):
    found = updates(estimator, POLICY, REWARDS, n)
    mean, square = np.zeros(3), 0.0
    for drawn in map(list, itertools.product(range(3), repeat=n)):
        inputs = {"rewards": REWARDS[drawn], "groups": [0] * n}
        inputs |= {"logprobs": np.log(POLICY)[drawn]} if estimator is lampo else {}
        update = (estimator(**inputs)[:, None] * (np.eye(3)[drawn] - POLICY)).mean(0)
        mean += POLICY[drawn].prod() * update
        square += POLICY[drawn].prod() * (update**2).sum()
    np.testing.assert_allclose(found.mean, mean, atol=1e-12)
    assert found.deviation == pytest.approx(np.sqrt(square - (mean**2).sum()))


def test_rloo_is_unbiased_and_dr_grpo_up_to_its_factor():
    found = updates(rloo, POLICY, REWARDS, 5)
    np.testing.assert_allclose(found.mean, found.gradient, atol=1e-12)
    np.testing.assert_allclose(updates(dr_grpo, POLICY, REWARDS, 5).mean, found.gradient * 4 / 5, atol=1e-12)


def test_settings_reach_the_estimator():
    cold, warm = (updates(lampo, POLICY, REWARDS, 3, temperature=t).mean for t in (0.1, 1e9))
    np.testing.assert_allclose(warm, updates(rloo, POLICY, REWARDS, 3).mean / 2, atol=1e-8)
    assert not np.allclose(cold, warm)
