"""Groups on tensors whose values cannot be read without waiting, as on a device: the numbers of numpy, nothing written
to, and nothing kept that a recording made.
"""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from advantages import Groups, dr_grpo, grpo, rloo
from advantages.backends import torch as torch_backend
from advantages.backends import torch_groups

CALLS = {
    "dr_grpo": lambda *args, **named: dr_grpo(*args, **named),
    "rloo": lambda *args, **named: rloo(*args, **named),
    "grpo": lambda *args, **named: grpo(*args, **named),
    "grpo, other settings": lambda *args, **named: grpo(*args, ddof=0, epsilon=0.0, **named),
}


@pytest.fixture(autouse=True, scope="module")
def _off_host():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_backend, "lent", lambda x: None)
        patch.setattr(torch_backend, "on_host", lambda x: False)
        yield


@pytest.fixture
def taken(monkeypatch):
    """How often the few launches were taken."""
    calls, centered = [], torch_groups.centered
    monkeypatch.setattr(torch_groups, "centered", lambda *args: calls.append(0) or centered(*args))
    return calls


@pytest.mark.parametrize("name", CALLS)
@given(
    size=st.sampled_from([1, 2, 3, 8, 17, 64]),
    layout=st.sampled_from(["blocks", "interleaved"]),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    offset=st.sampled_from([0.0, 1e3, 1e6]),
    left_out=st.sampled_from([0.0, 0.3, 0.9, 1.0]),
    seed=st.integers(0, 99),
)
def test_numbers_are_those_of_numpy(name, size, layout, scale, offset, left_out, seed):
    rng = np.random.default_rng(seed)
    slots = np.repeat(np.arange(7), size)
    slots = slots if layout == "blocks" else rng.permutation(slots)
    rewards = (rng.normal(size=len(slots)) * scale + offset).astype(np.float32)
    rewards[rng.random(len(slots)) < 0.3] = offset
    rewards[rng.random(len(slots)) < left_out / 2] = rng.choice([np.nan, np.inf, -np.inf])
    valid = rng.random(len(slots)) >= left_out / 2
    given = torch.from_numpy(rewards.copy())
    found = CALLS[name](given, Groups(slots), valid=torch.from_numpy(valid))
    right = CALLS[name](rewards.astype(np.float64), Groups(slots), valid=valid)
    assert found.dtype == torch.float32
    np.testing.assert_array_equal(given, rewards)
    np.testing.assert_allclose(found, right, rtol=2e-7, atol=0)
    assert not found[torch.from_numpy(~valid | ~np.isfinite(rewards))].any()


@pytest.mark.parametrize("name", CALLS)
def test_equal_rewards_are_exactly_zero(name, taken):
    for value in (0.1, -1e6 / 3, 1e38):
        for groups in (20, Groups(np.arange(40) % 2)):
            assert not CALLS[name](torch.full((40,), value), groups).any()
    assert len(taken) == 6


def test_what_is_too_large_is_the_largest(taken):
    most = torch.finfo(torch.float32).max
    assert rloo(torch.tensor([3e38, -3e38]), 2).tolist() == [most, -most]
    assert dr_grpo(torch.tensor([3.4e38, -3.4e38, -3.4e38]), 3)[0] == most
    assert len(taken) == 2


@pytest.mark.parametrize("name", CALLS)
def test_a_view_gives_what_its_copy_gives(name, taken):
    rewards = torch.randn(80)
    for groups in (8, Groups(np.arange(40) % 5)):
        torch.testing.assert_close(
            CALLS[name](rewards[::2], groups), CALLS[name](rewards[::2].clone(), groups), rtol=0, atol=0
        )
    assert len(taken) == 4


def test_what_has_no_room_in_double_precision_takes_the_words_for_any_groups(taken, monkeypatch):
    for dtype in (torch.float64, torch.bfloat16):
        grpo(torch.randn(16, dtype=dtype), 8)
    grpo(torch.randn(16), Groups(np.arange(16) // 7))
    monkeypatch.setattr(torch_backend, "_captured", lambda: True)
    grpo(torch.randn(16), 8)
    assert not taken
