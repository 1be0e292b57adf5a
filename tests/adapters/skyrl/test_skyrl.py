"""The real SkyRL: its registry, its trainer's method, and its own estimators beside ours."""

import pickle
import types
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
    from skyrl.backends.skyrl_train.training_batch import TrainingInputBatch, pad_training_input_batch
    from skyrl.backends.skyrl_train.utils import ppo_utils
    from skyrl.train.config import AlgorithmConfig
    from skyrl.train.trainer import RayPPOTrainer

import advantages
from advantages import estimators
from advantages.adapters.hooks import MovedHookError
from advantages.adapters.hosts import HOSTS
from advantages.adapters.skyrl import register, whole_batch
from advantages.call import definition_of

GIVEN = {"config": AlgorithmConfig(), "grpo_norm_by_std": True, "gamma": 1.0, "lambd": 1.0}
UIDS = ["a", "b", "a", "b", "a", "b"]
SERVED = [name for name in estimators.__all__ if name not in ("gdpo",)]
OF_REGISTRY = [name for name in SERVED if set(definition_of(getattr(estimators, name)).needed) <= {"rewards", "groups"}]


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
    loss_mask = mask.clone()
    loss_mask[0, 2] = False  # a tool's token
    tensors = {
        "sequences": torch.ones(6, 8, dtype=torch.long),
        "response_mask": mask.long(),
        "loss_mask": loss_mask.long(),
        "rewards": torch.zeros(6, 6).scatter(1, last, torch.tensor([1.0, 0.0, 0.5, 1.0, 0.0, 0.0])[:, None]),
        "values": torch.randn(6, 6),
        "action_log_probs": -torch.rand(6, 6),
        "base_action_log_probs": -torch.rand(6, 6),
    }
    data = TrainingInputBatch(tensors)
    data.metadata = {"uids": list(UIDS), "avg_response_length": 3.5}
    return data


def of_trainer(name, data, *, whole=True, step_wise=False, **algorithm):
    """What the real trainer's method makes of a batch."""
    kind = whole_batch(RayPPOTrainer) if whole else RayPPOTrainer
    trainer = object.__new__(kind)  # its constructor wants a cluster of GPUs
    settings = {"gamma": 1.0, "lambd": 1.0, "grpo_norm_by_std": True, "advantage_estimator": name} | algorithm
    trainer.cfg = types.SimpleNamespace(
        generator=types.SimpleNamespace(step_wise_trajectories=step_wise),
        trainer=types.SimpleNamespace(algorithm=types.SimpleNamespace(**settings)),
    )
    trainer.all_metrics = {}
    return trainer.compute_advantages_and_returns(data)


def bare(name, batch, **options):
    mask, rewards = batch["loss_mask"] != 0, batch["rewards"]
    logprobs = batch["action_log_probs"]
    words = {"rewards": rewards.sum(1), "groups": UIDS, "mask": mask, "token_rewards": rewards}
    words |= {"values": batch["values"], "logprobs": (logprobs * mask).sum(1)}
    function = getattr(advantages, name)
    result = function(**{word: words[word] for word in definition_of(function).needed}, **options)
    return result if result.ndim == 2 else torch.where(batch["response_mask"] != 0, result[:, None], 0.0)


@pytest.mark.parametrize("name", SERVED)
def test_the_trainers_method_forms_what_the_bare_call_forms(name, batch):
    called = register(name)
    assert called in ppo_utils.AdvantageEstimatorRegistry.list_available()  # what validate_cfg asks
    expected = bare(name, batch, **({"lambda_": 1.0} if name == "gae" else {}))
    data = of_trainer(called, batch)
    torch.testing.assert_close(data["advantages"], expected)
    if name == "gae":
        mask = batch["loss_mask"] != 0
        torch.testing.assert_close(data["returns"], torch.where(mask, expected + batch["values"], 0.0))
    else:
        torch.testing.assert_close(data["returns"], expected)


@pytest.mark.parametrize("name", OF_REGISTRY)
def test_the_registry_alone_is_enough_for_rewards_and_groups(name, batch):
    data = of_trainer(register(name), batch, whole=False)
    torch.testing.assert_close(data["advantages"], bare(name, batch))


@pytest.mark.parametrize("name", ["rloo", "grpo"])
def test_it_equals_skyrls_own_of_that_name(name, batch):
    given = {"token_level_rewards": batch["rewards"], "index": np.array(UIDS), "values": None}
    mask = batch["response_mask"]
    found, _ = ppo_utils.compute_advantages_and_returns(
        adv_estimator=register(name), response_mask=mask, **given, **GIVEN
    )
    theirs, _ = ppo_utils.compute_advantages_and_returns(
        adv_estimator=name, response_mask=mask.float(), **given, **GIVEN
    )
    torch.testing.assert_close(found, theirs, atol=1e-5, rtol=1e-5)


def test_copies_that_fill_a_batch_up_count_in_no_statistic(batch):
    expected = bare("reinforce_plus_plus", batch)
    data = of_trainer(register("reinforce_plus_plus"), pad_training_input_batch(batch, 2))
    torch.testing.assert_close(data["advantages"][:6], expected)
    assert not data["advantages"][6:].any()


def test_steps_share_the_advantage_of_their_trajectorys_last(batch):
    batch.metadata |= {"is_last_step": [False, True, True, False, False, True], "uids": ["a", "a", "a", "b", "b", "b"]}
    data = of_trainer(register("rloo"), batch, step_wise=True)
    last = advantages.rloo(batch["rewards"].sum(1)[[1, 2, 5]], ["a", "a", "b"])
    expected = torch.where(batch["response_mask"] != 0, last[[0, 0, 1, 2, 2, 2]][:, None], 0.0)
    torch.testing.assert_close(data["advantages"], expected)
    with pytest.raises(TypeError, match="reinforce_plus_plus needs token_rewards"):
        of_trainer(register("reinforce_plus_plus"), batch, step_wise=True)


def test_discount_and_lambda_are_skyrls(batch):
    data = of_trainer(register("gae"), batch, gamma=0.9, lambd=0.5)
    torch.testing.assert_close(data["advantages"], bare("gae", batch, discount=0.9, lambda_=0.5))
    with pytest.raises(ValueError, match=r"algorithm.gamma is 0.9, but rloo has no discount; set it to 1"):
        of_trainer(register("rloo"), batch, gamma=0.9)
    with pytest.raises(TypeError, match=r"gae: lambda_ is trainer.algorithm.lambd in SkyRL"):
        register("gae", {"lambda_": 0.9}, name="other")


def test_options_reach_the_estimator_and_are_checked_at_once(batch):
    data = of_trainer(register("lampo", {"temperature": 0.5}, name="mine"), batch)
    torch.testing.assert_close(data["advantages"], bare("lampo", batch, temperature=0.5))
    with pytest.raises(TypeError, match="grpo: takes no option 'dof'"):
        register("grpo", {"dof": 0})
    with pytest.raises(TypeError, match="gdpo"):
        register("gdpo")


def test_what_would_be_ignored_or_is_lacking_is_refused(batch):
    with pytest.raises(ValueError, match=r"grpo_norm_by_std is False, .* choose dr_grpo"):
        of_trainer(register("grpo"), batch, grpo_norm_by_std=False)
    with pytest.raises(TypeError, match="lampo needs logprobs"):
        of_trainer(register("lampo"), batch, whole=False)


def test_it_travels_to_rays_workers_as_skyrl_sends_it(batch, registry):
    called = register("rloo")
    registry[called] = pickle.loads(cloudpickle.dumps(registry[called]))
    torch.testing.assert_close(of_trainer(called, batch)["advantages"], bare("rloo", batch))


def test_a_moved_hook_is_an_error(monkeypatch):
    with pytest.raises(MovedHookError, match=r"compute_advantages_and_returns"):
        whole_batch(object)
    monkeypatch.delattr(ppo_utils, "AdvantageEstimatorRegistry")
    with pytest.raises(MovedHookError, match=r"ppo_utils has no AdvantageEstimatorRegistry.register"):
        register("rloo")


def test_the_host_says_that_it_is_real():
    assert HOSTS["SkyRL"].real
