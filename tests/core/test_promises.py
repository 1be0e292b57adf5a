"""A promise that no test could mean anything by is refused with a sentence."""

import numpy as np
import pytest

from advantages import Promises, estimator


@pytest.mark.parametrize(
    ("promised", "error", "sentence"),
    [
        (
            {"scale": "equi"},
            ValueError,
            "scale is .equi.; pass .*; the nearest is equivariant",
        ),
        ({"scale": "Invariant"}, ValueError, "the nearest is invariant"),
        ({"scale": True}, ValueError, "scale is True; pass one of equivariant, invariant"),
        ({"scale": ["invariant"]}, ValueError, "pass one of equivariant, invariant"),
        ({"unbiased": True}, TypeError, "unbiased is True; .* unbiased=lambda n: 1.0"),
        ({"unbiased": False}, TypeError, "unbiased is False; pass a function of the group's size n"),
        ({"bound": 0.9}, TypeError, "bound is 0.9; .* bound=lambda n: 0.9"),
        ({"gap_bound": "1"}, TypeError, "gap_bound is '1'; pass a function of the group's size n"),
        ({"bound": lambda: 1.0}, TypeError, "bound cannot be called with n = 2"),
        ({"bound": lambda n: None}, TypeError, "bound gives None for n = 2, which is no number"),
        ({"bound": lambda n: float("nan")}, TypeError, "bound gives nan for n = 2"),
        ({"zero_sum": 1}, TypeError, "zero_sum is 1; pass True or False"),
        ({"monotone": "yes"}, TypeError, "monotone is 'yes'; pass True or False"),
        ({"spans_batch": None}, TypeError, "spans_batch is None; pass True or False"),
        ({"zero_sums": True}, TypeError, "there is no promise 'zero_sums'; .* the nearest is zero_sum$"),
        ({"unbias": True}, TypeError, "there is no promise 'unbias'; .* the nearest is unbiased$"),
    ],
)
def test_what_is_no_promise_is_refused(promised, error, sentence):
    with pytest.raises(error, match=f"^Promises: .*{sentence}"):
        Promises(**promised)


def test_promises_are_values():
    promises = Promises(True, scale="invariant", bound=lambda n: n)
    assert promises.spans_batch
    assert promises.scale == "invariant"
    assert promises.bound(3) == 3
    assert Promises() == Promises()
    assert repr(Promises(zero_sum=True)).startswith("Promises(spans_batch=False, zero_sum=True")


def test_an_estimator_without_parentheses_is_refused():
    with pytest.raises(TypeError, match=r"without parentheses; write @estimator\(\)"):

        @estimator
        def mine(rewards):
            return rewards


def test_promises_and_specs_of_the_wrong_type_are_refused():
    for wrong, sentence in (
        ({"promises": {"zero_sum": True}}, r"mine: promises is a dict; pass Promises\(...\)"),
        ({"promises": Promises}, r"mine: promises is a type; pass Promises\(...\)"),
        ({"spec": "x.py:spec"}, "mine: spec is a str; pass a function in numpy"),
    ):
        with pytest.raises(TypeError, match=sentence):

            @estimator(**wrong)
            def mine(rewards):
                return np.zeros_like(rewards)
