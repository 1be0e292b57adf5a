"""What verl's configuration says about an estimator, checked where verl checks the rest of it."""

import pytest

pytest.importorskip("verl")
import functools
import warnings

from ten import TEN
from transformers import Qwen3Config
from verl.trainer.main_ppo import need_critic, need_reference_policy, validate_config
from verl_batches import composed

from advantages.core.definition import definition_of
from advantages.host import resolve
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
    alone = any(text.startswith("actor_rollout_ref.rollout.n=") for text in overrides)
    config = composed(*ENOUGH, *([] if alone else ["actor_rollout_ref.rollout.n=4"]), *overrides)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        critic = need_critic(config)
    validate_config(config, need_reference_policy(config), critic)


@pytest.mark.parametrize(
    "overrides",
    [
        ("algorithm.adv_estimator=lampo", "+algorithm.advantage_options.temperature=0.5"),
        ("algorithm.adv_estimator=advantages.gae", "critic.enable=True"),
        ("algorithm.adv_estimator=advantages.gae", "critic.enable=True", "algorithm.lam=0.9", "algorithm.gamma=0.99"),
        ("algorithm.adv_estimator=advantages.reinforce_plus_plus", "actor_rollout_ref.rollout.n=1"),
        ("algorithm.adv_estimator=reinforce", "actor_rollout_ref.rollout.n=1"),
        ("algorithm.adv_estimator=grpo", "actor_rollout_ref.rollout.n=1"),
        (
            "algorithm.adv_estimator=lampo",
            "actor_rollout_ref.rollout.n=1",
            "+algorithm.advantage_options.singleton=raw",
        ),
        ("algorithm.adv_estimator=lampo", "+algorithm.recipe.horizon=3", "+algorithm.beta=0.1"),
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
            "gdpo: takes no option 'across' under verl; the estimator gets the whole batch, so drop it",
        ),
        (
            "advantages.gdpo",
            ["+algorithm.advantage_options.weights=[1]", "+algorithm.gdpo_reward_keys=[a]"],
            TypeError,
            r"gdpo: takes no option 'weights' under verl; pass \+algorithm.gdpo_reward_weights",
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
            "algorithm.gamma is 0.9, but lampo has no setting discount, which it stands for; leave it at 1",
        ),
        ("advantages.reinforce_plus_plus", ["algorithm.lam=0.9"], ValueError, "algorithm.lam is 0.9, but reinforce_pl"),
        (
            "advantages.gae",
            ["algorithm.lam=1.5", "critic.enable=True"],
            ValueError,
            "gae: algorithm.lam is 1.5; pass a number between 0 and 1",
        ),
        (
            "advantages.gae",
            ["+algorithm.advantage_options.lambda_=0.9", "critic.enable=True"],
            TypeError,
            "gae: takes no option 'lambda_' under verl; set algorithm.lam",
        ),
        (
            "lampo",
            ["algorithm.norm_adv_by_std_in_grpo=False"],
            ValueError,
            "algorithm.norm_adv_by_std_in_grpo is False.*dr_grpo does not divide by the deviation",
        ),
        ("lampo", ["algorithm.use_pf_ppo=True"], ValueError, "algorithm.use_pf_ppo is True"),
        ("lampo", ["+algorithm.gdpo_reward_keys=[a]"], ValueError, r"algorithm.gdpo_reward_keys is \['a'\]"),
        ("lampo", ["+algorithm.advantage_whiten=1"], TypeError, "advantage_whiten is 1; pass True or False"),
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
        ("no.such:thing", [], ValueError, "estimator 'no.such:thing': cannot be imported"),
        ("test_config:of_reference", [], TypeError, "of_reference needs ref_token_logprobs .*; pass actor_rollout_ref"),
    ],
)
def test_a_run_that_cannot_work_is_refused_before_it_starts(validate, monkeypatch, name, overrides, error, message):
    import sys

    monkeypatch.setitem(sys.modules, "test_config", sys.modules[__name__])
    with pytest.raises(error, match=message):
        validate(f"algorithm.adv_estimator={name}", *overrides)


GROUPED = [name for name in TEN if "groups" in definition_of(resolve(name)).needed]


@pytest.mark.parametrize("name", GROUPED)
def test_one_response_to_a_prompt_is_refused(validate, name):
    keys = ["+algorithm.gdpo_reward_keys=[a]"] if name == "gdpo" else []
    message = rf"actor_rollout_ref.rollout.n is 1, but {name} compares the responses to a prompt: every advantage would"
    with pytest.raises(ValueError, match=message):
        validate(f"algorithm.adv_estimator=advantages.{name}", "actor_rollout_ref.rollout.n=1", *keys)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("lamp", "lampo"),
        ("advantages.lamp", "advantages.lampo"),
        ("advantage.grpo", "advantages.grpo"),
        ("grop", "grpo"),
        ("drgrpo", "dr_grpo"),
    ],
)
def test_a_misspelt_estimator_is_refused_with_the_nearest(validate, name, meant):
    with pytest.raises(ValueError, match=f"algorithm.adv_estimator is '{name}', .*; did you mean '{meant}'"):
        validate(f"algorithm.adv_estimator={name}")


def test_an_estimator_like_none_is_refused(validate):
    with pytest.raises(ValueError, match=r"algorithm.adv_estimator is 'xyzzy', which verl does not know; pass one of "):
        validate("algorithm.adv_estimator=xyzzy")


@pytest.mark.parametrize(
    ("name", "key", "meant"),
    [
        ("grpo", "algorithm.advantage_option.temperature", "algorithm.advantage_options"),
        ("lampo", "algorithm.advantage_option.temperature", "algorithm.advantage_options"),
        ("gae", "algorithm.advantages_options.temperature", "algorithm.advantage_options"),
        ("advantages.grpo", "algorithm.adv_options.epsilon", "algorithm.advantage_options"),
        ("rloo", "algorithm.advantage_logprob", "algorithm.advantage_logprobs"),
        ("lampo", "algorithm.advantage_logprob", "algorithm.advantage_logprobs"),
        ("gae", "algorithm.advantage_whitening", "algorithm.advantage_whiten"),
        ("grpo", "advantage_options.epsilon", "algorithm.advantage_options"),
        ("lampo", "advantage_option.epsilon", "algorithm.advantage_options"),
    ],
)
def test_a_misspelt_or_misplaced_key_is_refused_with_the_nearest(validate, name, key, meant):
    parts = key.split(".")
    found = ".".join(parts[:2]) if parts[0] == "algorithm" else parts[0]
    with pytest.raises(ValueError, match=f"^{found} is set, but nothing reads it; did you mean {meant}"):
        validate(f"algorithm.adv_estimator={name}", f"+{key}=1")


@pytest.mark.parametrize("where", ["actor_rollout_ref", "trainer"])
def test_a_misplaced_key_is_named_with_its_place(validate, where):
    message = rf"^{where}\.advantage_options is set, but nothing reads it; did you mean algorithm\.advantage_options\?"
    with pytest.raises(ValueError, match=message):
        validate("algorithm.adv_estimator=lampo", f"+{where}.advantage_options.temperature=1")


def test_a_name_with_stages_is_an_estimator(validate):
    validate('algorithm.adv_estimator="grpo+clipped.limit=5"', "+algorithm.advantage_options.epsilon=0.1")
    with pytest.raises(ValueError, match=r"actor_rollout_ref.rollout.n is 1, but "):
        validate('algorithm.adv_estimator="advantages.rloo+clipped.limit=2"', "actor_rollout_ref.rollout.n=1")
    with pytest.raises(ValueError, match=r"there is no stage 'cliped'; .*did you mean 'clipped'"):
        validate('algorithm.adv_estimator="grpo+cliped.limit=5"')


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("temperature", "algorithm.advantage_options.temperature"),
        ("temprature", "algorithm.advantage_options.temperature"),
        ("options.temperature", "algorithm.advantage_options"),
        ("gdpo_reward_key", "algorithm.gdpo_reward_keys"),
        ("gama", "algorithm.gamma"),
    ],
)
def test_settings_in_the_wrong_place_are_refused(validate, key, meant):
    with pytest.raises(ValueError, match=f"nothing reads it; did you mean {meant}"):
        validate("algorithm.adv_estimator=lampo", f"+algorithm.{key}=1")


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("grpo", "advantage_options.epsilon=1e-3"),
        ("gae", "advantage_options.lambda_=0.9"),
        ("rloo", "advantage_logprobs=rollout"),
        ("gae", "advantage_whiten=True"),
        ("grpo_vectorized", "advantage_options.epsilon=1e-3"),
    ],
)
def test_options_beside_verls_own_estimators_are_refused(validate, name, option):
    better = f"pass algorithm.adv_estimator={'an estimator of' if name == 'grpo_vectorized' else f'advantages.{name}'}"
    with pytest.raises(ValueError, match=f"but the estimator {name} is none of `advantages` and does not.*{better}"):
        validate(f"algorithm.adv_estimator={name}", f"+algorithm.{option}")


def of_reference(rewards, ref_token_logprobs):
    return rewards
