"""The real SkyRL's registry, and its own estimators beside ours."""

import pickle
import typing
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
typing_extensions = pytest.importorskip("typing_extensions")
with warnings.catch_warnings(action="ignore"), pytest.MonkeyPatch.context() as patch:
    patch.setattr(typing, "TypedDict", typing_extensions.TypedDict)  # pydantic asks SkyRL for it below Python 3.12
    pytest.importorskip("skyrl")
    import cloudpickle
    from skyrl.backends.skyrl_train.utils import ppo_utils
    from skyrl.train.config import AlgorithmConfig

import advantages
from advantages import estimators
from advantages.adapters.contract import HOSTS, MovedHookError
from advantages.adapters.skyrl import register
from advantages.estimator import definition_of

GIVEN = {"config": AlgorithmConfig(), "grpo_norm_by_std": True, "gamma": 1.0, "lambd": 1.0}
SERVED = [name for name in estimators.__all__ if not HOSTS["SkyRL"].lacks(getattr(estimators, name))]


@pytest.fixture(autouse=True)
def registry():
    """SkyRL's registry as it was."""
    functions = ppo_utils.AdvantageEstimatorRegistry._functions
    before = dict(functions)
    yield functions
    functions.clear()
    functions.update(before)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    mask = torch.arange(6)[None, :] < torch.tensor([6, 2, 4, 1, 5, 3])[:, None]
    last = mask.sum(1, keepdim=True) - 1
    rewards = torch.zeros(6, 6).scatter(1, last, torch.tensor([1.0, 0.0, 0.5, 1.0, 0.0, 0.0])[:, None])
    return {
        "token_level_rewards": rewards,
        "response_mask": mask.long(),
        "index": ["a", "b", "a", "b", "a", "b"],
        "values": torch.randn(6, 6),
    }


def bare(name, batch, **options):
    mask, rewards = batch["response_mask"] != 0, batch["token_level_rewards"]
    words = {"rewards": rewards.sum(1), "groups": batch["index"], "mask": mask, "token_rewards": rewards}
    words |= {"values": batch["values"]}
    function = getattr(advantages, name)
    taken = {word: x for word, x in words.items() if word in definition_of(function).needed}
    result = function(**taken, **options)
    return advantages.to_tokens(result, mask) if result.ndim == 1 else result


@pytest.mark.parametrize("name", sorted(set(SERVED) - {"gdpo"}))
def test_it_forms_what_the_bare_call_forms(name, batch):
    called = register(name)
    assert called == f"advantages.{name}"
    assert called in ppo_utils.AdvantageEstimatorRegistry.list_available()  # what validate_cfg asks
    found, returns = ppo_utils.compute_advantages_and_returns(adv_estimator=called, **batch, **GIVEN)
    options = {"lambda_": 1.0} if name == "gae" else {}
    torch.testing.assert_close(found, bare(name, batch, **options))
    expected = found + batch["values"] if name == "gae" else found
    torch.testing.assert_close(returns, expected)
    assert returns is not found


@pytest.mark.parametrize(("ours", "theirs"), [("rloo", "rloo"), ("grpo", "grpo")])
def test_it_equals_skyrls_own_of_that_name(ours, theirs, batch):
    given = {**batch, "index": np.array(batch["index"]), "values": None}
    found, _ = ppo_utils.compute_advantages_and_returns(adv_estimator=register(ours), **given, **GIVEN)
    given["response_mask"] = given["response_mask"].float()
    expected, _ = ppo_utils.compute_advantages_and_returns(adv_estimator=theirs, **given, **GIVEN)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_discount_and_lambda_are_skyrls(batch):
    called = register("gae")
    given = GIVEN | {"gamma": 0.9, "lambd": 0.5}
    found, _ = ppo_utils.compute_advantages_and_returns(adv_estimator=called, **batch, **given)
    torch.testing.assert_close(found, bare("gae", batch, discount=0.9, lambda_=0.5))
    with pytest.raises(ValueError, match=r"algorithm.gamma is 0.9, but rloo has no discount; set it to 1"):
        ppo_utils.compute_advantages_and_returns(adv_estimator=register("rloo"), **batch, **given)
    with pytest.raises(TypeError, match=r"gae: got the option 'lambda_'; under SkyRL set trainer.algorithm.lambd"):
        register("gae", {"lambda_": 0.9}, name="other")


def test_options_reach_the_estimator_and_are_checked_at_once(batch):
    called = register("grpo", {"ddof": 0}, name="mine")
    found, _ = ppo_utils.compute_advantages_and_returns(adv_estimator=called, **batch, **GIVEN)
    torch.testing.assert_close(found, bare("grpo", batch, ddof=0))
    with pytest.raises(TypeError, match="grpo: takes no option 'dof'"):
        register("grpo", {"dof": 0})
    with pytest.raises(TypeError, match=r"gdpo takes one reward per component, but SkyRL hands over their sum"):
        register("gdpo")
    with pytest.raises(TypeError, match=r"lampo needs logprobs .*which SkyRL does not hand to estimators here"):
        register("lampo")


def test_what_would_be_ignored_or_wrong_is_refused(batch):
    with pytest.raises(ValueError, match=r"grpo_norm_by_std is False, .* choose dr_grpo"):
        ppo_utils.compute_advantages_and_returns(
            adv_estimator=register("grpo"), **batch, **GIVEN | {"grpo_norm_by_std": False}
        )
    steps = {**batch, "response_mask": torch.ones(6, 6)}  # what step-wise training hands over
    with pytest.raises(ValueError, match=r"gae gives one advantage per token, but with generator.step_wise"):
        ppo_utils.compute_advantages_and_returns(adv_estimator=register("gae"), **steps, **GIVEN)
    with pytest.raises(ValueError, match="gae needs values, but this run has no critic"):
        ppo_utils.compute_advantages_and_returns(
            adv_estimator=register("gae", name="other"), **{**batch, "values": None}, **GIVEN
        )
    found, _ = ppo_utils.compute_advantages_and_returns(adv_estimator=register("rloo"), **steps, **GIVEN)
    torch.testing.assert_close(found[:, 0], advantages.rloo(batch["token_level_rewards"].sum(1), batch["index"]))


def test_copies_that_fill_a_batch_up_count_in_no_statistic(batch):
    called = register("reinforce_plus_plus")
    copies = {name: torch.cat([x, x[[0, 0]]]) for name, x in batch.items() if name != "index"}
    padded = {**copies, "index": [*batch["index"], "pad0", "pad1"]}  # as pad_training_input_batch does
    found, _ = ppo_utils.compute_advantages_and_returns(adv_estimator=called, **padded, **GIVEN)
    torch.testing.assert_close(found[:6], bare("reinforce_plus_plus", batch))
    assert not found[6:].any()


def test_it_travels_to_rays_workers_as_skyrl_sends_it(batch, registry):
    called = register("rloo")
    registry[called] = pickle.loads(cloudpickle.dumps(registry[called]))
    found, _ = ppo_utils.compute_advantages_and_returns(adv_estimator=called, **batch, **GIVEN)
    torch.testing.assert_close(found, bare("rloo", batch))


def test_a_moved_registry_is_an_error(monkeypatch):
    monkeypatch.delattr(ppo_utils, "AdvantageEstimatorRegistry")
    with pytest.raises(MovedHookError, match=r"ppo_utils has no AdvantageEstimatorRegistry.register"):
        register("rloo")
