"""The same batches through verl's own estimators and through ours of the same name."""

import pytest

pytest.importorskip("verl")
import torch
from verl.trainer.ppo.ray_trainer import compute_advantage
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories
from verl.utils.torch_functional import masked_whiten
from verl_batches import algorithm, make_batch

from advantages import ops

UIDS = ["a", "b", "a", "c", "b", "c", "a", "b"]
REWARDS = [1.0, 0.0, 0.5, 0.25, 1.0, 1.0, 0.0, 0.0]
FLAT = ["a", "a", "a", "a", "b", "b", "b", "b"]


def theirs(name, batch, *overrides, **arguments):
    return compute_advantage(batch, name, config=algorithm(name, *overrides), **arguments).batch


def ours(name, batch, *overrides):
    return compute_advantage(batch, f"advantages.{name}", config=algorithm(f"advantages.{name}", *overrides)).batch


def trained(seed=0):
    """A batch with observations, in which each reward lies on a token that is trained on."""
    return make_batch(UIDS, REWARDS, seed=seed, lengths=[3 + row % 4 for row in range(len(UIDS))])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "their_name", "arguments"),
    [
        ("grpo", "grpo", {}),
        ("grpo", "grpo_vectorized", {}),
        ("dr_grpo", "grpo", {"norm_adv_by_std_in_grpo": False}),
        ("rloo", "rloo", {}),
        ("rloo", "rloo_vectorized", {}),
        ("reinforce_plus_plus", "reinforce_plus_plus", {}),
        ("reinforce_plus_plus_baseline", "reinforce_plus_plus_baseline", {}),
    ],
)
def test_formulas_that_agree_give_the_same_numbers(name, their_name, arguments, seed):
    their = theirs(their_name, trained(seed), **arguments)
    our = ours(name, trained(seed))
    assert our["advantages"].any()
    torch.testing.assert_close(our["advantages"], their["advantages"], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_gae_is_theirs_before_they_whiten_it(seed):
    their = theirs("gae", trained(seed), gamma=0.9, lam=0.8)
    options = ("algorithm.gamma=0.9", "algorithm.lam=0.8")
    our = ours("gae", trained(seed), *options)
    mask = trained().batch["response_mask"]
    torch.testing.assert_close(our["returns"], their["returns"] * mask, atol=1e-5, rtol=1e-4)
    white = masked_whiten(our["advantages"], mask)
    torch.testing.assert_close(white * mask, their["advantages"] * mask, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 1.0), (1.0, 0.95), (0.9, 1.0), (0.9, 0.5), (0.99, 0.0)])
def test_whitened_gae_is_theirs(gamma, lam):
    """Only the name changes and whitening is asked for: the flags go on to say what they said."""
    flags = (f"algorithm.gamma={gamma}", f"algorithm.lam={lam}")
    their = theirs("gae", trained(), *flags, gamma=gamma, lam=lam)
    our = ours("gae", trained(), *flags, "+algorithm.advantage_whiten=True")
    mask = trained().batch["response_mask"]
    for column in ("advantages", "returns"):
        torch.testing.assert_close(our[column], their[column] * mask, atol=1e-5, rtol=1e-4)


def test_returns_of_an_estimator_without_values_are_its_advantages():
    """verl's are the discounted returns; no critic learns from them."""
    batch = ours("reinforce_plus_plus", trained())
    assert torch.equal(batch["returns"], batch["advantages"])
    assert not torch.allclose(theirs("reinforce_plus_plus", trained())["returns"], batch["returns"], atol=1e-2)


def test_a_discount():
    their = theirs("reinforce_plus_plus", trained(), "algorithm.gamma=0.9")["advantages"]
    our = ours("reinforce_plus_plus", trained(), "algorithm.gamma=0.9")
    torch.testing.assert_close(our["advantages"], their, atol=2e-5, rtol=1e-4)


def test_gdpo_whitens_over_responses_where_verl_does_over_tokens():
    """The sum over the components, before it is whitened, is the same."""
    batch = make_batch(UIDS, REWARDS)
    mask = batch.batch["response_mask"]
    their = theirs("gdpo", make_batch(UIDS, REWARDS))["advantages"]
    our = ours("gdpo", batch)["advantages"]
    assert not torch.allclose(our, their, atol=1e-2)
    each = our[:, 0]
    torch.testing.assert_close(ops.whiten(each), each, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(masked_whiten(our, mask) * mask, their, atol=1e-4, rtol=1e-4)


def test_a_group_of_equal_rewards_has_no_advantage_here():
    """verl divides a rounding error by another one."""
    uids, rewards = ["a"] * 7, [10.1] * 7
    assert theirs("grpo", make_batch(uids, rewards))["advantages"].abs().max() > 0.1
    assert not ours("grpo", make_batch(uids, rewards))["advantages"].any()


def test_a_response_alone_in_its_group_has_no_advantage_here():
    """verl gives it its reward."""
    uids, rewards = ["a", "b", "b"], [0.5, 1.0, 0.0]
    for name in ("grpo", "rloo"):
        assert theirs(name, make_batch(uids, rewards))["advantages"][0, 0] == pytest.approx(0.5, abs=1e-5)
        assert not ours(name, make_batch(uids, rewards))["advantages"][0].any()
        raw = ours(name, make_batch(uids, rewards), "+algorithm.advantage_options.singleton=raw")["advantages"]
        assert raw[0, 0] == 0.5


def test_a_reward_on_a_masked_token_counts_here():
    """verl's reward-to-go starts at the last trained token and leaves out what lies behind it."""
    batches = [make_batch(UIDS, REWARDS) for _ in range(2)]
    for batch in batches:
        batch.batch["response_mask"][0, 1:] = 0
    their = theirs("reinforce_plus_plus", batches[0])["advantages"]
    our = ours("reinforce_plus_plus", batches[1])["advantages"]
    assert their[0, 0] < 0 < our[0, 0]
    for batch in batches:
        batch.batch["values"] = torch.zeros_like(batch.batch["values"])
    assert theirs("gae", batches[0])["returns"][0, 0] == 0.0
    assert ours("gae", batches[1])["returns"][0, 0] == REWARDS[0]


def test_sessions_of_several_rows_are_verls_for_grpo():
    keys = ["a_0_1", "b_0_0", "a_1_0", "c_0_0", "b_1_0", "c_1_0", "a_0_0", "b_0_1"]
    rewards = [1.0, 0.5, 0.0, 0.25, 1.0, 0.75, 1.0, 0.5]
    uids = [key[0] for key in keys]
    their = compute_advantage_for_multi_trajectories(make_batch(uids, rewards), keys, "grpo", config=algorithm("grpo"))
    config = algorithm("advantages.grpo")
    our = compute_advantage_for_multi_trajectories(make_batch(uids, rewards), keys, "advantages.grpo", config=config)
    torch.testing.assert_close(our.batch["advantages"], their.batch["advantages"], atol=1e-5, rtol=1e-4)
