"""The short way of a common call gives what the long way gives, and leaves all else to it."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from advantages import Groups, call, dr_grpo, estimator, estimators, grpo, lampo, rloo
from advantages.backends import kernels
from advantages.backends import numpy as numpy_backend
from advantages.call import common
from advantages.core.definition import definition_of
from advantages.ops import group_min, group_ranks

DEFINITIONS = [
    d for name in estimators.__all__ if common.has_common_call(d := definition_of(getattr(estimators, name)))
]
LAYOUTS = {
    "blocks": lambda rows, rng: np.arange(rows) // 4,
    "interleaved": lambda rows, rng: rng.permutation(np.arange(rows) // 4),
    "ragged": lambda rows, rng: (
        np.concatenate([np.arange(rows - rows // 2), rng.integers(0, rows // 2, rows // 2)]) % max(1, rows // 4)
    ),
}


def arguments(d, rewards, groups):
    """What the estimator needs, in order; other numbers are made of the rewards."""
    others = [-20 * rewards - place for place in range(len(d.needed) - 2)]
    return rewards, groups, *others


def test_it_serves_the_estimators_of_rewards_and_groups():
    names = {d.name for d in DEFINITIONS}
    assert {"dr_grpo", "rloo", "grpo", "lampo", "lambdapo"} <= names
    assert len(names) >= 15
    for definition in DEFINITIONS:
        assert (
            common.common_call(definition, arguments(definition, torch.tensor([1.0, 0.0, 0.0, 0.5]), 2), {}) is not None
        )


@pytest.mark.parametrize("d", DEFINITIONS, ids=lambda d: d.name)
@given(
    layout=st.sampled_from(sorted(LAYOUTS)),
    rows=st.sampled_from([8, 60, 64, 68, 1_024]),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 99),
)
def test_the_short_way_is_the_long_way(d, layout, rows, dtype, seed):
    rng = np.random.default_rng(seed)
    rewards = rng.choice([0.0, 0.25, 1.0], rows).astype(dtype) if seed % 2 else rng.random(rows).astype(dtype)
    groups, before = Groups(LAYOUTS[layout](rows, rng)), rewards.copy()
    short = common.common_call(d, arguments(d, rewards, groups), {})
    if groups.smallest < 2:
        assert short is None
        return
    expected = call._call(d, arguments(d, rewards, groups), {})
    assert short.dtype == expected.dtype == dtype
    on_tensors = common.common_call(d, arguments(d, torch.from_numpy(rewards), groups), {})
    np.testing.assert_array_equal(on_tensors.numpy(), short)
    most = np.abs(expected).max() * 4 * np.finfo(dtype).eps  # a tile ends elsewhere than the batch, so sums differ
    np.testing.assert_allclose(short, expected, rtol=0, atol=most)
    np.testing.assert_array_equal(rewards, before)
    assert not np.shares_memory(short, rewards)


@pytest.mark.parametrize("rows", [common._TILE - 4, common._TILE, common._TILE + 4, 3 * common._TILE])
@pytest.mark.parametrize("name", ["dr_grpo", "grpo", "lampo"])
def test_tiles_of_whole_groups_are_the_batch(name, rows):
    d, rng = definition_of(getattr(estimators, name)), np.random.default_rng(rows)
    args = arguments(d, rng.random(rows), 4)
    np.testing.assert_allclose(common.common_call(d, args, {}), call._call(d, args, {}), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("rewards", "groups"),
    [
        (torch.tensor([1.0, float("nan"), 0.0, 1.0]), 2),
        (torch.tensor([1.0, float("inf"), 0.0, 1.0]), 2),
        (torch.tensor([1e10, 0.0, 0.0, 1.0]), 2),
        (torch.tensor([1.0, 0.0, 0.0, 1.0]), 1),
        (torch.tensor([1.0, 0.0, 0.0, 1.0]), 3),
        (torch.tensor([1.0, 0.0, 0.0, 1.0]), True),
        (torch.tensor([1.0, 0.0, 0.0, 1.0]), ["a", "a", "b", "c"]),
        (torch.tensor([1.0, 0.0, 0.0, 1.0]), Groups(["a", "a", "a", "b"])),
        (torch.tensor([1.0, 0.0, 0.0]), Groups(["a", "a"])),
        (torch.tensor([1, 0]), 2),
        (torch.tensor([[1.0, 0.0]]), 2),
        (torch.tensor([]), 2),
        (torch.ones(4, device="meta"), 2),
        ([1.0, 0.0], 2),
        (np.ones(4, np.float16), 2),
        (np.ma.masked_array(np.ones(4), [True, False, False, False]), 2),
    ],
)
def test_what_is_uncommon_goes_the_long_way(rewards, groups):
    assert common.common_call(definition_of(grpo), (rewards, groups), {}) is None


@pytest.mark.parametrize(
    "rows", [4, 66, numpy_backend._FEW, numpy_backend._FEW + 2, 3 * numpy_backend._FEW + 2, 150_000]
)
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1e10, -3e38])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("allowed", [False, True], ids=["plain", "compiled"])
def test_one_uncommon_number_anywhere_is_seen_without_a_warning(rows, wrong, dtype, allowed, monkeypatch):
    """By a look of its own, or by the word that reads all numbers anyway, whatever the groups."""
    monkeypatch.setattr(kernels, "ALLOWED", allowed)
    few, half = numpy_backend._FEW, Groups(np.arange(rows) % (rows // 2))
    calls = ((definition_of(grpo), 2), (definition_of(dr_grpo), half), (definition_of(rloo), 2))
    for place in {0, few - 1, few, rows - 1, rows // 2}:
        if place >= rows:
            continue
        rewards = np.ones(rows, dtype)
        for d, groups in calls:
            assert common.common_call(d, (rewards, groups), {}) is not None
        rewards[place] = wrong
        for d, groups in calls:
            assert common.common_call(d, (rewards, groups), {}) is None


def above_rank(rewards, groups):
    return group_ranks(rewards, groups)


def above_least(rewards, groups):
    return group_min(rewards, groups)


@pytest.mark.parametrize("function", [above_rank, above_least])
def test_every_word_looks_at_numbers_that_nobody_has_seen(function):
    own = estimator(portable=True, widens=True)(function)
    rewards = np.array([1.0, 3.0, 2.0, 2.0])
    short = common.common_call(definition_of(own), (rewards, 2), {})
    np.testing.assert_array_equal(short, call._call(definition_of(own), (rewards, 2), {}))
    rewards[2] = np.nan
    assert common.common_call(definition_of(own), (rewards, 2), {}) is None
    np.testing.assert_array_equal(own(rewards, 2)[2:], [0.0, 0.0])


def test_an_own_formula_on_numbers_that_nobody_has_seen_is_refused():
    """It would see what is not finite; `widens` says that one word makes all."""
    own = estimator(portable=True, widens=True)(lambda rewards, groups: rewards * 2.0)
    with pytest.raises(TypeError, match="Unseen"):
        own(np.array([1.0, 3.0]), 2)


def test_settings_are_checked_on_the_short_way_too():
    rewards = torch.tensor([1.0, 0.0, 0.5, 1.0])
    torch.testing.assert_close(grpo(rewards, 2, ddof=0), call._call(definition_of(grpo), (rewards, 2), {"ddof": 0}))
    for wrong in ({"ddof": 2}, {"epsilon": -1.0}, {"epsilom": 0.1}, {"group_size": 2}):
        with pytest.raises((TypeError, ValueError)) as long:
            call._call(definition_of(grpo), (rewards, 2), wrong)
        with pytest.raises(long.type, match="^" + re.escape(str(long.value)) + "$"):
            grpo(rewards, 2, **wrong)


def test_half_precision_comes_back_as_it_came():
    rewards = torch.tensor([1.0, 0.25, 0.5, 1.0], dtype=torch.bfloat16)
    found = grpo(rewards, 2)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, grpo(rewards.float(), 2).bfloat16(), rtol=0, atol=0)


def test_gradients_stop_and_a_transformation_sees_the_long_way():
    rewards = torch.tensor([1.0, 0.0, 0.5, 1.0], requires_grad=True)
    assert not grpo(rewards, 2).requires_grad
    vectorised = torch.func.vmap(lambda r: grpo(r, 2))(torch.stack([rewards.detach()] * 2))
    torch.testing.assert_close(vectorised[0], grpo(rewards, 2))


@pytest.mark.parametrize("estimator", [grpo, lampo])
def test_a_compiler_sees_one_graph(estimator):
    rewards, logprobs = torch.tensor([1.0, 0.0, 0.5, 1.0]), torch.tensor([-3.0, -1.0, -2.0, -9.0])
    args = (rewards, 2, logprobs)[: len(definition_of(estimator).needed)]
    compiled = torch.compile(estimator, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*args), estimator(*args))
