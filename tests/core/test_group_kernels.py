"""Compiled loops over groups: the numbers of the plain path, at every layout and around the size where they begin."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from advantages import Groups, dr_grpo, grpo, rloo
from advantages.backends import kernels
from advantages.ops import groupwise

pytestmark = pytest.mark.skipif(kernels.compiled("groups") is None, reason="numba is not installed")

ESTIMATORS = [dr_grpo, rloo, grpo]
LAYOUTS = ["blocks", "interleaved", "ragged", "one group", "all alone"]


def ids(layout, rows, rng):
    match layout:
        case "blocks":
            return np.arange(rows) // 8
        case "interleaved":
            return rng.permutation(np.arange(rows) // 8)
        case "ragged":
            return rng.integers(0, max(1, rows // 8), rows)
        case "one group":
            return np.zeros(rows, int)
    return np.arange(rows)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@given(
    layout=st.sampled_from(LAYOUTS),
    rows=st.sampled_from([groupwise._COMPILED - 8, groupwise._COMPILED, groupwise._COMPILED + 8, 9_000]),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    offset=st.sampled_from([0.0, 1e3, 1e6]),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 99),
)
def test_kernels_are_the_plain_path(estimator, layout, rows, scale, offset, dtype, seed):
    rng = np.random.default_rng(seed)
    rewards = (rng.normal(size=rows) * scale + offset).astype(dtype)
    rewards[rng.random(rows) < 0.3] = offset
    groups = Groups(ids(layout, rows, rng))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "ALLOWED", False)
        plain = estimator(rewards.astype(np.float64), groups)
    size = max(float(np.abs(plain).max()), 1e-30)
    for found in (estimator(rewards, groups), estimator(torch.from_numpy(rewards), groups).numpy()):
        assert found.dtype == dtype
        np.testing.assert_allclose(found, plain, rtol=0, atol=2e-6 * size)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_equal_rewards_are_exactly_zero(estimator, layout):
    rows = 2 * groupwise._COMPILED
    groups = Groups(ids(layout, rows, np.random.default_rng(0)))
    for value in (0.1, -1e6 / 3, 1e30):
        assert not estimator(torch.full((rows,), value), groups).any()


def test_inputs_are_not_written_to_and_views_are_as_good_as_copies():
    rewards = torch.randn(2 * groupwise._COMPILED)
    before = rewards.clone()
    every_other = rewards[::2]
    torch.testing.assert_close(grpo(every_other, 8), grpo(every_other.clone(), 8), rtol=0, atol=0)
    torch.testing.assert_close(rewards, before, rtol=0, atol=0)


def test_a_row_that_does_not_count_takes_the_plain_path():
    rewards = torch.randn(2 * groupwise._COMPILED)
    rewards[3] = torch.nan
    found = grpo(rewards, 8)
    assert found[3] == 0
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found[8:], grpo(rewards[8:], 8))
