"""Numbers that an estimator's formula means nothing for are refused, and the kit draws none of them."""

import numpy as np
import pytest

from advantages import estimator
from advantages.core.settings import Range
from advantages.testing import Subject, verdict_on
from advantages.testing.checks import CHECKS


@estimator(ranges={"rewards": Range(0.0, float("inf"))})
def rooted(rewards):
    return rewards**0.5


@estimator(ranges={"rewards": Range(0.0, 1.0, whole=True)})
def judged(rewards):
    return 2 * rewards - 1


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_a_number_out_of_range_is_named_with_its_rows(library):
    make = {"numpy": np.asarray}.get(library) or pytest.importorskip(
        "jax.numpy" if library == "jax" else library
    ).asarray
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


def test_compiled_code_reads_no_values():
    jax = pytest.importorskip("jax")
    assert jax.jit(rooted)(np.array([4.0, 9.0])).tolist() == [2.0, 3.0]


@pytest.mark.parametrize("function", [rooted, judged])
def test_the_kit_draws_what_the_estimator_takes(function):
    for check in CHECKS:
        if check.library is None:
            verdict = verdict_on(Subject(function), check, examples=10)
            assert verdict.outcome in ("holds", "does not apply"), (check.name, verdict.detail)
