"""Estimators in verl's own functions: what compute_advantage and its V1 counterpart put into a batch."""

from types import SimpleNamespace

import pytest

pytest.importorskip("verl")
import torch
from ten import TEN
from verl.trainer.ppo import core_algos
from verl.trainer.ppo.ray_trainer import compute_advantage
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories
from verl_batches import LIKE_VERL, RIGHT, UIDS, algorithm, bare, bare_name, composed, make_batch, words

import advantages
from advantages.adapters.hooks import MovedHookError

FREE = ["dr_grpo", "lambdapo", "lampo", "reinforce"]
OURS = FREE + [f"advantages.{name}" for name in TEN]


def legacy(batch, config):
    return compute_advantage(batch, config.adv_estimator, config=config)


def v1(batch, config, keys=None):
    keys = keys or [f"{uid}_{row}_0" for row, uid in enumerate(batch.non_tensor_batch["uid"])]
    return compute_advantage_for_multi_trajectories(batch, keys, config.adv_estimator, config=config)


@pytest.mark.parametrize("trainer", [legacy, v1])
@pytest.mark.parametrize("name", OURS)
def test_a_batch_gets_what_a_bare_call_gives(name, trainer):
    batch = make_batch()
    before = {key: x.clone() for key, x in batch.batch.items()}
    result = trainer(batch, algorithm(name)).batch
    assert result["advantages"].any()
    torch.testing.assert_close(result["advantages"], bare(name, make_batch()), atol=1e-6, rtol=1e-5)
    values = before["values"] * before["response_mask"] if bare_name(name) == "gae" else 0.0
    torch.testing.assert_close(result["returns"], result["advantages"] + values)
    assert result["returns"].data_ptr() != result["advantages"].data_ptr()
    for key, x in before.items():
        assert torch.equal(result[key], x), key


def test_each_name_that_is_free_is_ours_and_no_other():
    for name in TEN:
        mine = core_algos.get_adv_estimator_fn(f"advantages.{name}")
        assert (core_algos.get_adv_estimator_fn(name) is mine) == (name in FREE)


@pytest.mark.parametrize("trainer", [legacy, v1])
@pytest.mark.parametrize("name", ["lampo", "advantages.gae", "advantages.grpo"])
def test_whitening_over_the_trained_tokens_where_it_is_asked_for(name, trainer):
    plain = trainer(make_batch(), algorithm(name)).batch
    white = trainer(make_batch(), algorithm(name, "+algorithm.advantage_whiten=True")).batch
    mask = plain["response_mask"] != 0
    torch.testing.assert_close(white["advantages"], advantages.ops.whiten(plain["advantages"], mask))
    assert torch.equal(white["returns"], plain["returns"])


def test_a_step_logs_what_trl_logs():
    metrics = {}

    def fit(batch, config):  # verl's trainers have such a variable where they compute advantages
        metrics["before"] = 1.0
        return legacy(batch, config)

    batch = make_batch()
    batch.batch["token_level_rewards"][0, 0] = torch.nan
    result = fit(batch, algorithm("rloo")).batch["advantages"][:, 0]
    assert set(metrics) == {"before"}
    result = fit(batch, algorithm("advantages.rloo")).batch["advantages"][:, 0]
    assert metrics.pop("advantages/responses_unscored") == 1 / 8
    assert metrics.pop("advantages/largest") == pytest.approx(result.abs().max().item(), abs=1e-6)
    names = ("mean", "std", "informative_groups", "unscored")
    assert {name: metrics[name] for name in ("before", *(f"advantages/{name}" for name in names))} == {
        "before": 1.0,
        "advantages/mean": pytest.approx(result.mean().item(), abs=1e-6),
        "advantages/std": pytest.approx(result.std(correction=0).item(), abs=1e-6),
        "advantages/informative_groups": 1.0,
        "advantages/unscored": 1 / 8,
    }


def test_options_reach_the_estimator():
    config = algorithm(
        "lampo", "+algorithm.advantage_options.temperature=0.5", "+algorithm.advantage_options.reduction=mean"
    )
    result = v1(make_batch(), config).batch["advantages"]
    torch.testing.assert_close(result, bare("lampo", make_batch(), temperature=0.5, reduction="mean"))
    assert not torch.allclose(result, bare("lampo", make_batch()))


@pytest.mark.parametrize("choice", ["old", "rollout"])
def test_log_probabilities_are_those_of_the_trained_engine_or_of_the_rollout(choice):
    batch = make_batch()
    batch.batch["old_log_probs"] = batch.batch[f"{choice}_log_probs"]
    expected = bare("lampo", batch)
    result = v1(make_batch(), algorithm("lampo", f"+algorithm.advantage_logprobs={choice}")).batch["advantages"]
    torch.testing.assert_close(result, expected)


def test_weights_of_the_components():
    config = algorithm("advantages.gdpo", "+algorithm.gdpo_reward_weights=[2,0.5]")
    expected = bare("gdpo", make_batch(), weights=[2.0, 0.5])
    torch.testing.assert_close(legacy(make_batch(), config).batch["advantages"], expected)


def test_a_component_that_is_not_there_is_said():
    config = algorithm("advantages.gdpo", "algorithm.gdpo_reward_keys=[right,kind]")
    with pytest.raises(ValueError, match=r"algorithm.gdpo_reward_keys names kind, which the batch does not have"):
        legacy(make_batch(), config)


# Sessions of several rows

PIECES = ["b_0_1", "a_0_0", "b_1_0", "a_1_2", "b_0_0", "a_1_0", "b_1_1", "a_1_1"]
IN_ORDER = [1, 2, 4, 5, 0, 6, 7, 3]


def sessions():
    """A batch in which verl has repeated each session's reward on every one of its rows."""
    of = {"b_0": 1.0, "a_0": 0.0, "b_1": 0.25, "a_1": 0.5}
    batch = make_batch(rewards=[of[key[:3]] for key in PIECES])
    batch.batch["token_level_rewards"] = batch.batch["token_level_scores"] - 0.1 * batch.batch["ref_log_prob"]
    return batch


@pytest.mark.parametrize("name", OURS)
def test_a_session_counts_once(name):
    """Against a call with trajectories, in order, and the session's reward on its last row alone."""
    result = v1(sessions(), algorithm(name), PIECES).batch["advantages"]
    batch = sessions().select_idxs(IN_ORDER)
    keys = [PIECES[row][:3] for row in IN_ORDER]
    pieces = {row for row, key in enumerate(keys) if key in keys[row + 1 :]}
    for row in pieces:
        batch.batch["token_level_scores"][row] = 0.0
    given = words(batch)
    kl = 0.1 * batch.batch["ref_log_prob"]
    given["token_rewards"] = batch.batch["token_level_scores"] - kl
    estimator = getattr(advantages, bare_name(name))
    if bare_name(name) == "gdpo":
        columns = batch.non_tensor_batch
        given["rewards"] = torch.stack([torch.tensor(columns[key]).float() for key in ("right", "short")], 1)
    taken = {word: given[word] for word in estimator.__advantages__.inputs if word in given}
    expected = estimator(**taken, trajectories=keys, **LIKE_VERL.get(bare_name(name), {}))
    expected = (expected if expected.ndim == 2 else expected[:, None]) * given["mask"]
    assert expected.any()
    torch.testing.assert_close(result[IN_ORDER], expected, atol=1e-6, rtol=1e-5)


def test_dr_grpo_of_sessions_by_hand():
    result = v1(
        make_batch(rewards=sessions().batch["token_level_scores"].sum(1).tolist()), algorithm("dr_grpo"), PIECES
    )
    first = result.batch["advantages"][:, 0]
    torch.testing.assert_close(first, torch.tensor([0.375, -0.25, -0.375, 0.25, 0.375, 0.25, -0.375, 0.25]))


# Rows with which verl fills up a batch


def filled(count=3):
    """A batch with the rows that verl's upsampling would add, in between the others."""
    pad = "pad" + "0123456789abcdef" * 2
    lengths = [2, 3, 4, 5, 6, 2, 3, 4, *[1] * count]
    batch = make_batch([*UIDS, *[pad] * count], [*RIGHT, *[0.0] * count], lengths=lengths)
    for key in ("response_mask", "rollout_log_probs", "old_log_probs"):
        batch.batch[key][len(UIDS) :] = 0
    keys = [f"{uid}_{row}_0" for row, uid in enumerate(batch.non_tensor_batch["uid"])]
    order = [8, 0, 1, 9, 2, 3, 4, 5, 6, 10, 7]
    return batch.select_idxs(order), [keys[row] for row in order]


@pytest.mark.parametrize("trainer", ["legacy", "v1"])
@pytest.mark.parametrize("name", OURS)
def test_rows_that_fill_up_a_batch_count_nowhere(name, trainer):
    batch, keys = filled()
    real = [row for row, key in enumerate(keys) if not key.startswith("pad")]
    expected = torch.zeros_like(batch.batch["token_level_rewards"])
    expected[real] = bare(name, batch, real)
    result = v1(batch, algorithm(name), keys) if trainer == "v1" else legacy(batch, algorithm(name))
    torch.testing.assert_close(result.batch["advantages"], expected, atol=1e-6, rtol=1e-5)


# Functions of a user's own


def halved(rewards, groups, valid, *, power: float = 1.0):
    assert valid.all()
    return rewards**power / 2


def of_tokens(token_rewards, mask):
    return token_rewards + 3.0


def wrong_shape(rewards):
    return rewards[:3]


def not_finite(rewards):
    return rewards / 0.0


def of_numpy(rewards):
    return rewards.numpy()


def whole_numbers(rewards):
    return rewards.long()


@advantages.estimator()
def decorated(rewards):
    return rewards / 4


def named(function):
    return f"{__name__}:{function.__name__}"


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or __import__(__name__))


def test_a_function_is_named_by_its_path():
    batch = make_batch()
    config = algorithm(named(halved), "+algorithm.advantage_options.power=2.0")
    for trainer in (legacy, v1):
        expected = batch.batch["response_mask"] * (torch.tensor(RIGHT) ** 2 / 2)[:, None]
        torch.testing.assert_close(trainer(make_batch(), config).batch["advantages"], expected)
    result = v1(make_batch(), algorithm(named(of_tokens))).batch["advantages"]
    mask = batch.batch["response_mask"]
    torch.testing.assert_close(result, (batch.batch["token_level_rewards"] + 3.0) * mask)


def test_a_function_that_knows_no_trajectories_gets_none():
    with pytest.raises(TypeError, match=r"halved: the agent loop gave several rows to a session, but the function"):
        v1(sessions(), algorithm(named(halved)), PIECES)
    assert v1(sessions(), algorithm(named(decorated)), PIECES).batch["advantages"].any()


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (
            wrong_shape,
            ValueError,
            r"wrong_shape: returned shape \(3,\); its advantages must have shape \(8,\)",
        ),
        (not_finite, ValueError, "not_finite: returned advantages that are not finite"),
        (
            of_numpy,
            TypeError,
            "of_numpy: returned a numpy array of float32; its advantages must be a torch tensor of floating",
        ),
        (
            whole_numbers,
            TypeError,
            "whole_numbers: returned a torch tensor of torch.int64; its advantages must be a torch tensor of floating",
        ),
    ],
)
def test_advantages_that_cannot_be_are_said(function, error, message):
    with pytest.raises(error, match=message):
        v1(make_batch(), algorithm(named(function)))


# What goes wrong


def test_a_response_that_verl_has_rejected_is_unknown_to_an_estimator_of_log_probabilities():
    batch = make_batch()
    batch.batch["response_mask"][2] = 0
    others = [0, 1, 3, 4, 5, 6, 7]
    expected = bare("lampo", batch, others)
    result = v1(batch, algorithm("lampo")).batch["advantages"]
    torch.testing.assert_close(result[others], expected)
    assert not result[2].any()


@pytest.mark.parametrize(
    ("name", "column", "message"),
    [
        ("advantages.gae", "values", "gae needs values .*, which verl does not hand to estimators here"),
        ("lampo", "old_log_probs", "lampo needs logprobs .*, which verl does not hand to estimators here"),
    ],
)
def test_a_column_that_is_not_there_is_said(name, column, message):
    batch = make_batch()
    batch.batch.pop(column)
    with pytest.raises(TypeError, match=message):
        v1(batch, algorithm(name))


def test_the_first_batch_refuses_what_the_configuration_has_wrong():
    with pytest.raises(TypeError, match="lampo: takes no option 'tau'; options are temperature, "):
        legacy(make_batch(), algorithm("lampo", "+algorithm.advantage_options.tau=1"))


def separate(batch, *overrides):
    """The step of the one-step-off-policy trainer and of the fully asynchronous one, which validates nothing before."""
    from verl.experimental.separation.ray_trainer import SeparateRayPPOTrainer

    scores, metrics = batch.batch["token_level_scores"], {}
    trainer = SimpleNamespace(
        config=composed(*overrides), metrics=metrics, timing_raw={}, reward_tensor=scores, reward_extra_infos_dict={}
    )
    return SeparateRayPPOTrainer._fit_compute_advantage(trainer, batch), metrics


@pytest.mark.parametrize("name", ["lampo", "advantages.grpo", "advantages.reinforce_plus_plus"])
def test_trainers_that_are_apart_from_their_rollouts(name):
    n = "actor_rollout_ref.rollout.n=4"
    result, metrics = separate(make_batch(), n, f"algorithm.adv_estimator={name}")
    torch.testing.assert_close(result.batch["advantages"], bare(name, make_batch()), atol=1e-6, rtol=1e-5)
    assert metrics["advantages/informative_groups"] == 1
    with pytest.raises(ValueError, match=r"algorithm\.adv_estimator is 'lamp', .*; did you mean 'lampo'"):
        separate(make_batch(), n, "algorithm.adv_estimator=lamp")
    with pytest.raises(TypeError, match="takes no option 'tau'"):
        separate(make_batch(), n, f"algorithm.adv_estimator={name}", "+algorithm.advantage_options.tau=1")


def test_one_response_to_a_prompt_is_refused_where_no_configuration_was_validated():
    alone = [str(row) for row in range(8)]
    with pytest.raises(ValueError, match=r"actor_rollout_ref\.rollout\.n is 1, but lampo compares the responses"):
        separate(make_batch(alone), "algorithm.adv_estimator=lampo")
    raw = "+algorithm.advantage_options.singleton=raw"
    assert separate(make_batch(alone), "algorithm.adv_estimator=lampo", raw)[0].batch["advantages"].any()
    n = "actor_rollout_ref.rollout.n=4"  # a batch whose groups have lost all but one response is none's fault
    assert not separate(make_batch(alone), "algorithm.adv_estimator=lampo", n)[0].batch["advantages"].any()


def test_a_caller_without_a_batch_is_a_moved_hook():
    batch = make_batch()
    with pytest.raises(MovedHookError, match="a function other than compute_advantage"):
        core_algos.get_adv_estimator_fn("lampo")(
            token_level_rewards=batch.batch["token_level_rewards"],
            response_mask=batch.batch["response_mask"],
            config=algorithm("lampo"),
        )
