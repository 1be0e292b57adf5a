"""The real SkyRL: its registry, its trainer's method, and its own estimators beside ours."""

import operator
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
    from skyrl.train.config import AlgorithmConfig, SkyRLTrainConfig
    from skyrl.train.trainer import RayPPOTrainer

from ten import TEN

import advantages
from advantages import estimators
from advantages.adapters.hooks import MovedHookError
from advantages.adapters.hosts import HOSTS
from advantages.adapters.skyrl import register, whole_batch
from advantages.core.definition import definition_of

GIVEN = {"config": AlgorithmConfig(), "grpo_norm_by_std": True, "gamma": 1.0, "lambd": 1.0}
UIDS = ["a", "b", "a", "b", "a", "b"]
SERVED = [name for name in TEN if name not in ("gdpo",)]
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


def configured(name, **changed):
    """SkyRL's own configuration with its defaults, but for what is changed by its dotted path."""
    cfg = SkyRLTrainConfig()
    settings = {"trainer.algorithm.advantage_estimator": name, "generator.n_samples_per_prompt": 5} | changed
    for path, value in settings.items():
        owner, _, key = path.rpartition(".")
        owner = operator.attrgetter(owner)(cfg)
        assert hasattr(owner, key)
        setattr(owner, key, value)
    return cfg


class Started(Exception):
    """SkyRL's own constructor was called."""


class Trainer(RayPPOTrainer):
    def __init__(self, cfg, tracker):
        raise Started


def started(name, **changed):
    """Make a trainer as an entry script does."""
    whole_batch(Trainer)(cfg=configured(name, **changed), tracker=None)


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
    with pytest.raises(
        ValueError, match=r"algorithm\.gamma is 0\.9, but rloo has no setting discount, .*; leave it at 1\.0"
    ):
        of_trainer(register("rloo"), batch, gamma=0.9)
    with pytest.raises(TypeError, match=r"gae: takes no option 'lambda_' under SkyRL; set trainer\.algorithm\.lambd"):
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


@pytest.mark.parametrize(
    ("name", "changed", "error", "message"),
    [
        ("gae", {}, TypeError, r"gae needs values \(.*\), which SkyRL does not hand to estimators here"),
        (
            "grpo",
            {"generator.n_samples_per_prompt": 1},
            ValueError,
            r"generator\.n_samples_per_prompt is 1, but grpo comp",
        ),
        (
            "rloo",
            {"generator.n_samples_per_prompt": 1},
            ValueError,
            r"generator\.n_samples_per_prompt is 1, but rloo comp",
        ),
        ("lampo", {"generator.n_samples_per_prompt": 1}, ValueError, "is 1, but lampo compares the responses"),
        ("dr_grpo", {"generator.n_samples_per_prompt": 1}, ValueError, "is 1, but dr_grpo compares the responses"),
        ("reinforce_plus_plus_baseline", {"generator.n_samples_per_prompt": 1}, ValueError, "_per_prompt is 1, but"),
        (
            "reinforce_plus_plus",
            {"generator.step_wise_trajectories": True},
            TypeError,
            "reinforce_plus_plus needs token_",
        ),
        ("lampo", {"generator.step_wise_trajectories": True}, TypeError, "lampo needs logprobs"),
        ("grpo", {"trainer.algorithm.grpo_norm_by_std": False}, ValueError, "is False, .* True, and choose dr_grpo"),
        (
            "rloo",
            {"trainer.algorithm.gamma": 0.9},
            ValueError,
            r"algorithm\.gamma is 0\.9, but rloo has no setting disc",
        ),
        (
            "grpo",
            {"trainer.algorithm.lambd": 0.9},
            ValueError,
            r"algorithm\.lambd is 0\.9, but grpo has no setting lam",
        ),
        (
            "gae",
            {"trainer.critic.model.path": "x", "trainer.algorithm.lambd": 2},
            ValueError,
            r"algorithm\.lambd is 2; pass",
        ),
    ],
)
def test_a_configuration_that_cannot_work_is_refused_before_a_model_is_loaded(name, changed, error, message):
    with pytest.raises(error, match=message):
        started(register(name), **changed)


def towards_reference(rewards, token_logprobs, ref_token_logprobs, mask): ...


def test_reference_logprobs_need_a_reference_model():
    called, none = register(towards_reference), {"trainer.algorithm.use_kl_loss": False}
    with pytest.raises(TypeError, match="towards_reference needs ref_token_logprobs"):
        started(called, **none)
    for flag in ("use_kl_loss", "use_kl_in_reward"):
        with pytest.raises(Started):
            started(called, **none | {f"trainer.algorithm.{flag}": True})


def test_a_configuration_that_can_work_is_let_through():
    for name in SERVED:
        with pytest.raises(Started):
            started(register(name), **{"trainer.critic.model.path": "critic"})
    for name in ("grpo", "gae"):  # SkyRL's own are its own business
        with pytest.raises(Started):
            started(name, **{"generator.n_samples_per_prompt": 1})
    one = {"generator.n_samples_per_prompt": 1}
    for name in (register("reinforce"), register("grpo", {"singleton": "raw"}, name="raw")):
        with pytest.raises(Started):
            started(name, **one)


def test_dr_grpo_is_not_told_to_choose_itself():
    with pytest.raises(ValueError, match=r"nothing to the advantages of dr_grpo; leave it at True$"):
        started(register("dr_grpo"), **{"trainer.algorithm.grpo_norm_by_std": False})


@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "rloo"])
@pytest.mark.parametrize("whole", [True, False])
def test_one_sample_a_prompt_could_never_learn(name, whole, batch):
    batch.metadata["uids"] = list("abcdef")
    called = register(name)
    if whole:
        with pytest.raises(ValueError, match=r"n_samples_per_prompt is 1"):
            started(called, **{"generator.n_samples_per_prompt": 1})
    else:
        with pytest.raises(ValueError, match=f"n_samples_per_prompt is 1, but {name} compares the responses"):
            of_trainer(called, batch, whole=False)
        with pytest.raises(ValueError, match="n_samples_per_prompt is 1"):
            of_trainer(called, pad_training_input_batch(batch, 2), whole=False)
    data = of_trainer(register(name, {"singleton": "raw"}, name="raw"), batch, whole=False)
    torch.testing.assert_close(data["advantages"].amax(1), batch["rewards"].sum(1))


# gae beside SkyRL's own


@pytest.fixture
def without_tools(batch):
    """SkyRL's gae knows nothing of observations."""
    batch["loss_mask"] = batch["response_mask"].clone()
    # SkyRL's recursion starts in the padding: it is theirs only where the critic says 0 there
    batch["values"] = batch["values"] * batch["response_mask"]
    return batch


@pytest.mark.parametrize("scale", [1e-6, 1e-4, 1e-2, 1.0, 1e3])
@pytest.mark.parametrize(("gamma", "lambd"), [(1.0, 1.0), (0.9, 0.7)])
def test_gae_whitened_is_skyrls_own_at_every_scale(scale, gamma, lambd, without_tools):
    batch = without_tools
    batch["rewards"], batch["values"] = scale * batch["rewards"], scale * batch["values"]
    theirs = of_trainer("gae", batch, gamma=gamma, lambd=lambd)
    expected, returns = theirs["advantages"].clone(), theirs["returns"].clone()
    found = of_trainer(register("gae", whiten=True), batch, gamma=gamma, lambd=lambd)
    mask = batch["response_mask"] != 0
    torch.testing.assert_close(found["advantages"][mask], expected[mask], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found["returns"][mask], returns[mask], atol=1e-6 * scale, rtol=1e-4)
    assert not found["advantages"][~mask].any()
    assert expected[mask].abs().max() > 1e-3


def test_whitening_leaves_out_padding_observations_and_unscored_rows(batch):
    called = register("gae", whiten=True)
    found = of_trainer(called, pad_training_input_batch(batch, 2))["advantages"]
    mask = batch["loss_mask"] != 0
    assert abs(found[:6][mask].mean()) < 1e-6
    assert abs(found[:6][mask].std() - 1) < 1e-5
    assert not found[6:].any()
    assert not found[:6][~mask].any()

    batch["rewards"][2, 0] = torch.nan
    found = of_trainer(called, batch)["advantages"]
    mask[2] = False
    assert not found[2].any()
    assert abs(found[mask].mean()) < 1e-6
    assert abs(found[mask].std() - 1) < 1e-5


def test_whitening_is_for_estimators_per_token():
    with pytest.raises(TypeError, match=r"grpo: whiten is for estimators per token; drop it, or set .*batch_normalize"):
        register("grpo", whiten=True)


def test_whitening_needs_the_mask(batch):
    def spread(rewards, token_rewards):
        return torch.ones_like(token_rewards) * rewards[:, None]

    def repeated(rewards):
        return rewards

    for function in (spread, repeated):
        assert of_trainer(register(function, whiten=True), batch)["advantages"].shape == (6, 6)
    refused = pytest.raises(TypeError, match=r"repeated: whiten needs the mask, .* wrap the trainer in whole_batch")
    with refused:
        of_trainer("advantages.repeated", batch, whole=False)
    with refused:
        started("advantages.repeated", **{"generator.step_wise_trajectories": True})


# What comes back


UNFIT = {
    "nan": (lambda rewards: rewards * torch.nan, ValueError, "advantages that are not finite"),
    "numpy": (lambda rewards: rewards.numpy(), TypeError, "numpy array of float32; .* must be a torch tensor"),
    "list": (lambda rewards: rewards.tolist(), TypeError, "returned a value of type list"),
    "nothing": (lambda rewards: None, TypeError, "returned a value of type NoneType"),
    "integers": (lambda rewards: rewards.long(), TypeError, "torch tensor of torch.int64"),
    "shape": (lambda rewards: rewards[:, None], ValueError, r"returned shape \(6, 1\); .* must have shape \(6,\)"),
}


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("case", UNFIT)
def test_what_would_spoil_the_training_is_refused(case, whole, batch):
    function, error, message = UNFIT[case]
    with pytest.raises(error, match=message):
        of_trainer(register(function, name=case), batch, whole=whole)


def test_a_function_may_ask_which_rows_count_and_cannot_write_into_skyrls_batch(batch):
    def greedy(token_rewards, values, token_logprobs, mask, valid):
        result = torch.where(valid[:, None], token_rewards.sum(1, keepdim=True), 0.0) * mask
        for x in (token_rewards, values, token_logprobs, mask, valid):
            x.zero_()
        return result

    batch["rewards"][3, 0] = torch.nan
    before = {key: batch[key].clone() for key in ("rewards", "values", "action_log_probs", "loss_mask")}
    found = of_trainer(register(greedy), batch)["advantages"]
    for key, x in before.items():
        torch.testing.assert_close(batch[key], x, equal_nan=True)
    sums = before["rewards"].sum(1, keepdim=True).nan_to_num()
    torch.testing.assert_close(found, torch.where(before["loss_mask"] != 0, sums, 0.0))
    of_trainer(register(lambda rewards, groups, valid: valid * rewards.nan_to_num(), name="asks"), batch)


# Names and options


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("lamp", {}, ValueError, "estimator 'lamp': there is none; .* did you mean 'lampo'"),
        ("advantages.grop", {}, ValueError, "did you mean 'grpo'"),
        ("lampo", {"temprature": 1.0}, TypeError, "takes no option 'temprature'; .* did you mean 'temperature'"),
        ("reinforce_plus_plus", {"across": None}, TypeError, "takes no option 'across' under SkyRL; .* whole batch"),
        ("grpo", {"group_size": 2}, TypeError, "takes no option 'group_size'; options are epsilon, "),
        ("gae", {"discount": 0.9}, TypeError, r"takes no option 'discount' under SkyRL; set trainer\.algorithm\.gamma"),
        ("grpo", [("ddof", 0)], TypeError, "pass a mapping from settings to values"),
    ],
)
def test_what_is_misspelt_or_said_elsewhere_is_refused_at_once(name, options, error, message):
    with pytest.raises(error, match=message):
        register(name, options)


def test_two_configurations_need_two_names(batch):
    assert register("grpo") == register("grpo") == "advantages.grpo"
    with pytest.raises(ValueError, match=r"SkyRL has another advantage estimator 'advantages\.grpo' already; pass ano"):
        register("grpo", {"ddof": 0})
    with pytest.raises(ValueError, match="SkyRL has another advantage estimator 'rloo' already"):
        register("rloo", name="rloo")
    other = register("grpo", {"ddof": 0}, name="population")
    torch.testing.assert_close(of_trainer("advantages.grpo", batch)["advantages"], bare("grpo", batch))
    torch.testing.assert_close(of_trainer(other, batch)["advantages"], bare("grpo", batch, ddof=0))


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
