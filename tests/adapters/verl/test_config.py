"""What verl's configuration says about an estimator, checked where verl checks the rest of it."""

import pytest

pytest.importorskip("verl")
import functools
import warnings

from transformers import Qwen3Config
from verl.trainer.main_ppo import need_critic, need_reference_policy, validate_config
from verl_batches import composed

from advantages.policy.load import byte_tokenizer

ENOUGH = (
    "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=1",
    "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=1",
    "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu=1",
    "critic.ppo_micro_batch_size_per_gpu=1",
)


@pytest.fixture(scope="module")
def validate(tmp_path_factory):
    """As verl's main does, before it starts anything."""
    folder = tmp_path_factory.mktemp("model")  # verl reads the critic's tokenizer and shape
    byte_tokenizer().save_pretrained(folder)
    Qwen3Config(
        vocab_size=258, hidden_size=32, num_hidden_layers=1, architectures=["Qwen3ForCausalLM"]
    ).save_pretrained(folder)
    paths = [f"{part}.path={folder}" for part in ("actor_rollout_ref.model", "critic.model")]
    return functools.partial(_validate, *paths)


def _validate(*overrides):
    config = composed(*ENOUGH, *overrides)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        critic = need_critic(config)
    validate_config(config, need_reference_policy(config), critic)


@pytest.mark.parametrize(
    "overrides",
    [
        ("algorithm.adv_estimator=lampo", "+algorithm.advantage_options.temperature=0.5"),
        ("algorithm.adv_estimator=advantages.gae", "critic.enable=True"),
        ("algorithm.adv_estimator=advantages.gdpo", "+algorithm.gdpo_reward_keys=[right,short]"),
        ("algorithm.adv_estimator=advantages.estimators:lampo", "+algorithm.advantage_options.temperature=auto"),
        ("algorithm.adv_estimator=grpo", "algorithm.gamma=0.5"),
        ("algorithm.adv_estimator=gae",),
    ],
)
def test_runs_that_work(validate, overrides):
    validate(*overrides)


@pytest.mark.parametrize(
    ("name", "overrides", "error", "message"),
    [
        (
            "lampo",
            ["+algorithm.advantage_options.tau=1"],
            TypeError,
            "lampo: takes no option 'tau'; options are temperature, ",
        ),
        ("lampo", ["+algorithm.advantage_options.temperature=-1"], ValueError, "lampo: temperature is -1; pass "),
        ("lampo", ["+algorithm.advantage_options.across=x"], TypeError, "lampo: takes no option 'across'"),
        (
            "advantages.gdpo",
            ["+algorithm.advantage_options.across=x", "+algorithm.gdpo_reward_keys=[a]"],
            TypeError,
            "gdpo: across is set by the adapter: one process has the whole batch",
        ),
        (
            "advantages.gdpo",
            ["+algorithm.advantage_options.weights=[1]", "+algorithm.gdpo_reward_keys=[a]"],
            TypeError,
            "gdpo: weights is set by the adapter: pass .*gdpo_reward_weights; drop it",
        ),
        ("advantages.gdpo", [], ValueError, "gdpo takes the components of the reward apart; name them"),
        (
            "advantages.gae",
            [],
            TypeError,
            "gae needs values .*, but the run has no such model; pass critic.enable=True",
        ),
        ("lampo", ["critic.enable=True"], ValueError, "critic.enable is True, but lampo takes no values"),
        (
            "lampo",
            ["algorithm.gamma=0.9"],
            ValueError,
            "algorithm.gamma is 0.9, "
            "which shapes verl's own advantages and does nothing to those of lampo; leave it at 1",
        ),
        ("advantages.gae", ["algorithm.lam=0.9", "critic.enable=True"], ValueError, "algorithm.lam is 0.9"),
        (
            "lampo",
            ["algorithm.norm_adv_by_std_in_grpo=False"],
            ValueError,
            "algorithm.norm_adv_by_std_in_grpo is False",
        ),
        ("lampo", ["algorithm.use_pf_ppo=True"], ValueError, "algorithm.use_pf_ppo is True"),
        ("lampo", ["+algorithm.gdpo_reward_keys=[a]"], ValueError, r"algorithm.gdpo_reward_keys is \['a'\]"),
        (
            "lampo",
            ["+algorithm.advantage_logprobs=new"],
            ValueError,
            "algorithm.advantage_logprobs is 'new'; pass one of old, rollout",
        ),
        (
            "lampo",
            ["+algorithm.advantage_logprobs=rollout", "actor_rollout_ref.rollout.calculate_log_probs=False"],
            ValueError,
            "does not report its log-probabilities; pass actor_rollout_ref.rollout.calculate_log_probs=True",
        ),
        ("no.such:thing", [], ValueError, "advantage is 'no.such:thing', which cannot be imported"),
        ("test_config:of_reference", [], TypeError, "of_reference needs ref_token_logprobs .*; pass actor_rollout_ref"),
    ],
)
def test_a_run_that_cannot_work_is_refused_before_it_starts(validate, monkeypatch, name, overrides, error, message):
    import sys

    monkeypatch.setitem(sys.modules, "test_config", sys.modules[__name__])
    with pytest.raises(error, match=message):
        validate(f"algorithm.adv_estimator={name}", *overrides)


def of_reference(rewards, ref_token_logprobs):
    return rewards
