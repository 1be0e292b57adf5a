"""Numbers that an estimator's formula means nothing for are refused, and the kit draws none of them."""

import re

import numpy as np
import pytest

from advantages import Groups, estimator, grpo, lampo
from advantages.core.settings import Range
from advantages.estimators import maxrl
from advantages.testing import Subject, verdict_on
from advantages.testing.checks import CHECKS


@estimator(ranges={"rewards": Range(0.0, float("inf"))})
def rooted(rewards):
    return rewards**0.5


@estimator(ranges={"rewards": Range(0.0, 1.0, whole=True)})
def judged(rewards):
    return 2 * rewards - 1


@pytest.mark.parametrize("library", ["numpy", "torch", "jax.numpy"])
def test_a_number_out_of_range_is_named_with_its_rows(library):
    make = pytest.importorskip(library).asarray
    assert rooted(make([4.0, 0.25])).tolist() == [2.0, 0.5]
    with pytest.raises(
        ValueError, match=r"rooted: rewards of rows 1, 3 include -0.5; each must be a number of at least 0"
    ):
        rooted(make([4.0, -0.5, 1.0, -2.0]))
    with pytest.raises(ValueError, match=r"rows 0, 2 include 0.5; each must be a whole number between 0 and 1"):
        judged(make([0.5, 1.0, 2.0, 0.0]))
    with pytest.raises(ValueError, match=r"rows 0, 1, 2, 3, 4 and 3 more include 7"):
        judged(make([7] * 8))


def test_verdicts_may_be_booleans_and_integers():
    assert judged(np.array([True, False])).tolist() == [1.0, -1.0]
    assert judged(np.array([1, 0], np.uint8)).tolist() == [1.0, -1.0]


def test_what_does_not_count_may_be_anything():
    rewards = np.array([4.0, -1.0, np.nan, -np.inf])
    assert rooted(rewards, valid=np.array([1, 0, 1, 1])).tolist() == [2.0, 0.0, 0.0, 0.0]


@estimator(unit="token")
def told(
    rewards,
    mask,
    *,
    logprobs=None,
    token_logprobs=None,
    token_entropies=None,
    sum_squared_probs=None,
    planning=None,
    lengths=None,
    successes=None,
):
    return rewards[:, None]


WRONG = {
    "token_entropies": ([[2.0, 0.0], [0.5, -1.5]], "include -1.5; each must be a number of at least 0"),
    "sum_squared_probs": ([[1.0, 0.0], [0.5, 1.5]], "include 1.5; each must be a number between 0 and 1"),
    "planning": ([[1, 0], [2, 0]], "include 2; each must be a whole number between 0 and 1"),
    "lengths": ([7, -3], "include -3; each must be a whole number of at least 0"),
    "successes": ([0.0, 2.5], "include 2.5; each must be a whole number of at least 0"),
    "valid": ([1, -1], "include -1; each must be a whole number between 0 and 1"),
    "mask": ([[1, 1], [-100, 1]], "include -100; each must be a whole number between 0 and 1"),
}


@pytest.mark.parametrize("library", ["numpy", "torch", "jax.numpy"])
@pytest.mark.parametrize("name", WRONG)
def test_what_an_input_cannot_be_is_refused_for_every_estimator(name, library):
    array = pytest.importorskip(library).asarray
    numbers, sentence = WRONG[name]
    others = {"rewards": array([1.0, 0.0]), "mask": array([[True, True], [True, True]])}
    with pytest.raises(ValueError, match=re.escape(f"told: {name} of rows 1 {sentence}")):
        told(**{**others, name: array(numbers)})


def test_a_flag_beside_what_groups_count_is_looked_at_too():
    groups = Groups([0, 0, 1, 1]).where(np.array([True, True, True, False]))
    with pytest.raises(ValueError, match="grpo: valid of rows 1 include 2"):
        grpo(np.ones(4), groups, valid=np.array([1, 2, 1, 1]))


def test_padding_and_rounding_are_no_reason():
    mask = np.array([[True, False], [True, False]])
    told(np.ones(2), mask, token_entropies=np.array([[-0.06, -9.0], [1.0, np.nan]]))
    told(np.ones(2), mask, lengths=np.array([-1, 3]), valid=np.array([False, True]))


def test_scores_may_be_shifted():
    rewards, scores = np.array([1.0, 0.0, 0.5]), np.array([-2.0, -3.0, -1.0])
    np.testing.assert_allclose(lampo(rewards, 3, scores + 100), lampo(rewards, 3, scores))


def test_the_short_call_looks_too():
    with pytest.raises(ValueError, match="maxrl: rewards of rows 0 include -1"):
        maxrl(np.array([-1.0, 0.0]), 2)


def test_compiled_code_reads_no_values():
    jax = pytest.importorskip("jax")
    assert jax.jit(rooted)(np.array([4.0, 9.0])).tolist() == [2.0, 3.0]


@pytest.mark.parametrize("function", [rooted, judged])
def test_the_kit_draws_what_the_estimator_takes(function):
    for check in CHECKS:
        if check.library is None:
            verdict = verdict_on(Subject(function), check, examples=10)
            assert verdict.outcome in ("holds", "does not apply"), (check.name, verdict.detail)
