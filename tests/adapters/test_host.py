"""What all adapters share: hosts, options, and the check of what an estimator answers."""

import numpy as np
import pytest

from advantages import estimators, grpo, lampo
from advantages.adapters.hooks import MovedHookError, hook, warn_outside_tested_range
from advantages.adapters.hosts import HOSTS
from advantages.host import Host, check, estimate, resolve

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
        ("grpo", {"singleton": 0}, TypeError, "grpo: singleton is a int; pass"),
        (mine, {"strict": True}, TypeError, "mine: takes no option 'strict'; options are temperature"),
    ],
)  # fmt: skip
def test_a_run_that_cannot_work_is_refused_before_it_starts(name, options, error, message):
    with pytest.raises(error, match=message):
        check(resolve(name), HOST, options)


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
