"""What all adapters share: hosts, options, and the check of what an estimator answers."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advantages import estimator, estimators, gae, grpo, lampo
from advantages.adapters.hooks import MovedHookError, hook, warn_outside_tested_range
from advantages.adapters.hosts import HOSTS
from advantages.core.definition import definition_of
from advantages.host import Flag, Host, check, check_group_size, estimate, measures, resolve, units, with_flags

HOST = Host("Mill", "numpy", ">=1.0,<2.0", frozenset({"rewards", "groups", "logprobs", "mask"}), real=False)


def mine(rewards, groups, *, temperature: float = 1.0):
    return rewards * temperature


def test_an_estimator_is_found_by_name_by_path_or_is_one():
    assert resolve("lampo") is lampo
    assert resolve("advantages.estimators:grpo") is grpo
    assert resolve(mine) is mine


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("lambo", ValueError, "estimator 'lambo': there is none; pass one of dr_grpo, gae, .*; did you mean 'lampo'"),
        ("no.such:thing", ValueError, "estimator 'no.such:thing': cannot be imported"),
        ("advantages:nothing", ValueError, "cannot be imported .*has no 'nothing'"),
        (3, TypeError, "advantage is 3; pass a name"),
    ],
)
def test_what_names_no_estimator_is_said_in_a_sentence(name, error, message):
    with pytest.raises(error, match=message):
        resolve(name)


def test_only_words_that_the_estimator_takes_are_computed():
    asked = []

    def supply(name, value):
        return name, lambda: (asked.append(name), value)[1]

    words = dict(
        [
            supply("rewards", np.array([1.0, 0.0])),
            supply("groups", [1, 1]),
            supply("logprobs", np.array([-1.0, -1.0])),
            supply("valid", None),
        ]
    )
    np.testing.assert_allclose(estimate(grpo, words, {"ddof": 0}), [1.0, -1.0], atol=1e-5)
    assert asked == ["rewards", "groups", "valid"]
    assert estimate(lampo, words, {}).tolist() == [0.5, -0.5]
    assert estimate(mine, words | {"valid": lambda: np.ones(2, bool)}, {"temperature": 2.0}).tolist() == [2.0, 0.0]


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("gae", {}, TypeError, r"gae needs token_rewards \(.*\), which Mill does not .*; it hands rewards, "),
        ("lampo", {"tau": 1.0}, TypeError, "lampo: takes no option 'tau'; options are temperature, reduction, "),
        ("lampo", {"group_size": 8}, TypeError, "lampo: takes no option 'group_size'"),
        ("lampo", {"rewards": 8}, TypeError, "lampo: takes no option 'rewards'"),
        ("lampo", {"temperature": -1}, ValueError, 'lampo: temperature is -1; pass "auto" or a number above 0'),
        ("grpo", {"singleton": 0}, TypeError, "grpo: singleton is 0; pass"),
        (mine, {"strict": True}, TypeError, "mine: takes no option 'strict'; options are temperature"),
    ],
)  # fmt: skip
def test_a_run_that_cannot_work_is_refused_before_it_starts(name, options, error, message):
    with pytest.raises(error, match=message):
        check(resolve(name), HOST, options)


@pytest.mark.parametrize("advantage", ["lampo", "advantages.lampo", "advantages:lampo", "advantages.estimators:lampo"])
def test_one_estimator_has_the_same_names_under_every_framework(advantage):
    assert resolve(advantage) is lampo


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temprature": 1.0}, "takes no option 'temprature'; .*; did you mean 'temperature'?"),
        ({"Temperature": 1.0}, "did you mean 'temperature'?"),
        ({"redution": "mean"}, "did you mean 'reduction'?"),
        ({"singletons": "raw"}, "did you mean 'singleton'?"),
        ({"across": None}, "takes no option 'across'"),
        (["temperature"], r"its options are \['temperature'\]; pass a mapping"),
        ("temperature=1", "its options are 'temperature=1'; pass a mapping"),
    ],
)
def test_options_that_do_not_exist_are_answered_with_the_nearest(options, message):
    with pytest.raises(TypeError, match=message):
        check(lampo, HOST, options)


@pytest.mark.parametrize("name", ["gdpo", "reinforce_plus_plus", "reinforce_plus_plus_baseline"])
@pytest.mark.parametrize("host", HOSTS.values(), ids=lambda host: host.name)
def test_across_is_no_option_where_the_whole_batch_is_there(host, name):
    if not host.lacks(resolve(name)):
        message = f"{name}: takes no option 'across' under {host.name}; the estimator gets the whole batch, so drop it"
        with pytest.raises(TypeError, match=message):
            check(resolve(name), host, {"across": len})


# Flags of a framework


WITH_FLAGS = HOST._replace(flags={"discount": Flag("--gamma"), "lambda_": Flag("--lam", 0.95)})


@given(gamma=st.floats(0.0, 1.0), lam=st.floats(0.0, 1.0))
def test_flags_are_the_settings_of_an_estimator_that_has_them(gamma, lam):
    flags = {"discount": gamma, "lambda_": lam}
    assert with_flags(definition_of(gae), WITH_FLAGS, {"strict": True}, flags) == {"strict": True, **flags}
    if gamma == 1.0 and lam == 0.95:
        return
    with pytest.raises(ValueError, match=r"--(gamma|lam) is .*, but lampo has no setting (discount|lambda_)"):
        with_flags(definition_of(lampo), WITH_FLAGS, {}, flags)


def test_flags_at_the_frameworks_defaults_ask_nothing():
    defaults = {"discount": 1.0, "lambda_": 0.95}
    assert with_flags(definition_of(lampo), WITH_FLAGS, {"temperature": 2.0}, defaults) == {"temperature": 2.0}


def test_what_a_flag_says_is_no_option_and_stays_in_its_range():
    with pytest.raises(TypeError, match="gae: takes no option 'lambda_' under Mill; set --lam"):
        check(gae, WITH_FLAGS._replace(words=frozenset({"token_rewards", "values", "mask"})), {"lambda_": 1.0})
    with pytest.raises(ValueError, match=r"gae: --lam is 1\.5; pass a number between 0 and 1"):
        with_flags(definition_of(gae), WITH_FLAGS, {}, {"discount": 1.0, "lambda_": 1.5})


@pytest.mark.parametrize("host", HOSTS.values(), ids=lambda host: host.name)
def test_every_host_with_a_critic_has_both_flags(host):
    assert set(host.flags) == ({"discount", "lambda_"} if "values" in host.words else set())


@pytest.mark.parametrize("name", estimators.__all__)
def test_one_response_to_a_prompt_is_refused_where_nothing_could_be_learned(name):
    d, host = definition_of(resolve(name)), HOST._replace(samples="--samples")
    check_group_size(d, host, {}, 2)
    check_group_size(d, host, {"singleton": "raw"}, 1)
    if "groups" not in d.needed:
        check_group_size(d, host, {}, 1)
        return
    with pytest.raises(ValueError, match=f"--samples is 1, but {name} compares the responses to a prompt"):
        check_group_size(d, host, {}, 1)


# What an estimator answers


REWARDS = np.array([1.0, 0.0, 0.5, 0.25], np.float32)
MASK = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 1, 0]], bool)
SUPPLY = {"rewards": lambda: REWARDS, "mask": lambda: MASK, "valid": lambda: None}


def in_library(library):
    array = {"numpy": np.asarray, "torch": pytest.importorskip("torch").as_tensor}
    array["jax"] = pytest.importorskip("jax.numpy").asarray
    return {name: (lambda x=x: x() if x() is None else array[library](x())) for name, x in SUPPLY.items()}


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda rewards: rewards[:3], ValueError, r"returned shape \(3,\); .* must have shape \(4,\)$"),
        (lambda rewards: rewards[:, None], ValueError, r"returned shape \(4, 1\); .* shape \(4,\) or \(4, 3\)$"),
        (lambda rewards: rewards[0], ValueError, r"returned shape \(\); .* must have shape \(4,\)$"),
        (lambda rewards: rewards > 0, TypeError, r"returned a .* of .*bool; its advantages must be a .* of floating"),
        (lambda rewards: None, TypeError, "returned a value of type NoneType; its advantages must be a "),
        (lambda rewards: rewards.tolist(), TypeError, "returned a value of type list; its advantages must be a "),
        (lambda rewards: rewards / 0.0, ValueError, "returned advantages that are not finite"),
        (lambda rewards, mask: mask * rewards[:, None] / 0.0, ValueError, "returned advantages that are not finite"),
    ],
)
@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value)")
def test_an_answer_that_cannot_be_trained_on_is_refused(function, error, message, library):
    with pytest.raises(error, match=message):
        estimate(function, in_library(library), {})


@functools.wraps(lampo)
def of_tokens(**words):
    return lampo(**words)[:, None]


@functools.wraps(gae)
def of_responses(**words):
    return gae(**words).sum(1)


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_an_answer_has_the_unit_that_is_declared(library):
    supply = in_library(library)
    supply |= {name: (lambda: supply["mask"]() * 1.0) for name in ("token_rewards", "values")}
    supply |= {"groups": lambda: [0, 0, 1, 1], "logprobs": supply["rewards"]}

    @estimator()
    def per_response(rewards, mask):
        return rewards * mask.sum(1)

    @estimator(unit="token")
    def per_token(rewards, mask):
        return rewards[:, None]

    def either(rewards, mask, *, tokens: bool = False):
        return rewards[:, None] * mask if tokens else rewards

    assert estimate(per_response, supply, {}).shape == (4,)
    assert estimate(per_token, supply, {}).shape == (4, 3)
    assert [units(function) for function in (per_response, per_token)] == [("response",), ("token",)]
    assert [estimate(either, supply, {"tokens": tokens}).shape for tokens in (False, True)] == [(4,), (4, 3)]
    with pytest.raises(ValueError, match=r"lampo: returned shape \(4, 1\); its advantages must have shape \(4,\)$"):
        estimate(of_tokens, supply, {})
    with pytest.raises(ValueError, match=r"gae: returned shape \(4,\); its advantages must have shape \(4, 3\)$"):
        estimate(of_responses, supply, {})
    with pytest.raises(ValueError, match=r"either: returned shape \(4, 3\); its advantages must have shape \(4,\)$"):
        estimate(either, supply, {"tokens": True}, per_token=False)


def test_an_answer_of_another_library_is_refused():
    with pytest.raises(TypeError, match="returned a numpy array of float32; its advantages must be a torch tensor of"):
        estimate(lambda rewards: rewards.numpy(), in_library("torch"), {})


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value)")
def test_what_is_not_trained_is_0_whatever_a_function_says_there(library):
    def loud(rewards, mask):
        return rewards[:, None] / mask  # NaN and infinities where it is False

    found = estimate(loud, in_library(library), {})
    assert found.tolist() == np.where(MASK, REWARDS[:, None], 0.0).tolist()


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_a_plain_function_cannot_write_into_the_batch(library):
    def scribbles(rewards, mask):
        rewards[:] = 7.0
        mask[:] = False
        return rewards

    supply = in_library(library)
    kept = {name: supply[name]() for name in ("rewards", "mask")}
    before = {name: x.tolist() for name, x in kept.items()}
    estimate(scribbles, {name: (lambda x=x: x) for name, x in kept.items()}, {})
    assert {name: x.tolist() for name, x in kept.items()} == before


def test_no_gradient_flows_from_advantages():
    torch = pytest.importorskip("torch")
    rewards = torch.tensor([1.0, 0.0], requires_grad=True)
    assert not estimate(lambda rewards: rewards * 2, {"rewards": lambda: rewards}, {}).requires_grad


def test_measures_are_those_of_what_is_trained():
    found = measures(np.array([1.0, -1.0, 0.0, 0.0]), None, ["a", "a", "b", "b"], np.array([1, 0, 1, np.nan]))
    assert found == {
        "advantages/mean": 0.0,
        "advantages/std": pytest.approx(0.5**0.5),
        "advantages/informative_groups": 0.5,
        "advantages/unscored": 0.25,
    }
    tokens = np.where(MASK, 3.0, 0.0)
    found = measures(tokens, MASK, [1, 2, 3, 4], np.full((4, 2), [np.nan, 1.0]))
    assert (found["advantages/mean"], found["advantages/std"], found["advantages/unscored"]) == (3.0, 0.0, 0.0)
    assert measures(np.zeros((0,)), None, [], np.zeros(0)) == {}


def test_a_run_that_can_work_is_let_through():
    assert check(lampo, HOST, {"temperature": "auto", "singleton": "raw"}).name == "lampo"
    assert check(mine, HOST, {"temperature": 2}).name == "mine"


def test_a_moved_hook_is_an_error_that_names_it():
    assert hook(np, "linalg.norm") is np.linalg.norm
    with pytest.raises(MovedHookError, match=r"numpy has no linalg.nrm, which the adapter holds on to; install"):
        hook(np, "linalg.nrm")


def test_a_version_outside_the_tested_range_warns_once():
    with pytest.warns(UserWarning, match=r"Mill .* is outside the range that the adapter was tested with, >=1.0,<2.0"):
        warn_outside_tested_range(HOST)
    warn_outside_tested_range(HOST)
    warn_outside_tested_range(HOST._replace(distribution="no-such-thing"))
    warn_outside_tested_range(HOST._replace(name="either", tested=f">=99 or =={np.__version__}"))


@pytest.mark.parametrize("host", HOSTS.values(), ids=lambda host: host.name)
def test_every_host_serves_what_the_command_line_says(host):
    for name in estimators.__all__:
        if host.lacks(resolve(name)):
            with pytest.raises(TypeError, match=f"^{name} needs "):
                check(resolve(name), host, {})
        else:
            check(resolve(name), host, {})
    if "groups" in host.words:
        assert not any(host.lacks(resolve(name)) for name in ("dr_grpo", "grpo", "rloo", "reinforce"))


def test_the_sum_of_rewards_is_not_their_components():
    assert HOST._replace(components=False).lacks(resolve("gdpo")) == ["rewards by component"]
    with pytest.raises(TypeError, match="gdpo needs rewards by component, but Mill hands their sum"):
        check(resolve("gdpo"), HOST._replace(components=False), {})
