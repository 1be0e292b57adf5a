"""What an estimator promises beyond what all must."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...core.vocabulary import INPUTS
from ...lab.tree import Tree, updates
from ..subject import Case, Draw, NotApplicable, Subject, fail, same, to_float64
from .base import check, slots


def _promised(subject: Subject, promise: str) -> Any:
    value = getattr(subject.promises, promise)
    if value is None or value is False:
        raise NotApplicable(f"does not promise {promise}")
    return value


def _by_group(case: Case) -> list[Any]:
    numbers = slots(case)
    return [np.flatnonzero(numbers == number) for number in range(numbers.max() + 1)]


def _in_eighths(case: Case, name: str) -> Case:
    """Numbers that stay exact in single precision when a constant is added to them."""
    return {**case, name: np.round(case[name] * 8) / 8}


@check
def sums_to_zero_in_a_group(subject: Subject, draw: Draw) -> None:
    """What some responses gain, their siblings lose: no push on the whole group."""
    _promised(subject, "zero_sum")
    case = subject.case(draw, defaults=True)
    result = subject(case)
    for rows in _by_group(case):
        if len(rows) > 1:
            same(result[rows].sum(), 0.0, "a group's advantages do not sum to zero", case, tolerance=1e-5)


@check
def ignores_a_shift_of_rewards(subject: Subject, draw: Draw) -> None:
    """A constant added to a prompt's rewards is no information; in single precision it exposes a cancelled variance."""
    _promised(subject, "shift_invariant")
    case = _in_eighths(subject.case(draw, defaults=True), "rewards")
    shift = draw(st.sampled_from([1.0, -3.0, 1024.0]))
    shifted = {**case, "rewards": case["rewards"] + shift}
    for dtype, tolerance in (("float64", 1e-6), ("float32", 1e-4)):
        found, expected = (to_float64(subject.raw(some, dtype=dtype)) for some in (shifted, case))
        same(found, expected, f"{shift:+g} on every {dtype} reward changed the advantages", case, tolerance=tolerance)


@check
def scales_with_the_rewards(subject: Subject, draw: Draw) -> None:
    """Rewards in other units change advantages in proportion, or not at all, as the estimator declares."""
    scale = _promised(subject, "scale")
    lead = subject.definition.lead
    case = _in_eighths(subject.case(draw, defaults=True), lead)
    factor = draw(st.sampled_from([0.5, 2.0, 16.0, 1024.0, 2.0**17]))
    scaled = {name: x * factor for name, x in case.items() if name in INPUTS and INPUTS[name].reward_unit}
    found = subject({**case, **scaled})
    expected = subject(case) * (factor if scale == "equivariant" else 1.0)
    # An epsilon beside the deviation makes invariance approximate: eighths deviate by at least 1/32 here.
    tolerance = 1e-6 if scale == "equivariant" else 2e-4
    same(found, expected, f"rewards times {factor} must leave the advantages scale-{scale}", case, tolerance=tolerance)


@check
def never_ranks_a_better_response_lower(subject: Subject, draw: Draw) -> None:
    """Within a group, a higher reward has no lower advantage."""
    _promised(subject, "monotone")
    case = subject.case(draw, defaults=True)
    result = subject(case)
    for rows in _by_group(case) if "groups" in case else [np.arange(len(result))]:
        order = rows[np.argsort(case["rewards"][rows], kind="stable")]
        if (np.diff(result[order]) < -1e-6).any():
            fail(f"advantages {result[order]} fall while rewards {case['rewards'][order]} rise", case)


@check
def keeps_its_bound(subject: Subject, draw: Draw) -> None:
    """One step with an advantage of a million ends a run."""
    if subject.promises.bound is None and subject.promises.gap_bound is None:
        raise NotApplicable("does not promise a bound")
    subject.needs("rewards", "groups")
    case = subject.case(draw, defaults=True)
    if draw(st.booleans()):  # near-equal rewards, where a rounded deviation explodes
        case["rewards"] = 1.0 + case["rewards"] * 1e-9
    result = subject(case)
    for rows in _by_group(case):
        gap = float(np.ptp(case["rewards"][rows]))
        for promised, unit in ((subject.promises.bound, 1.0), (subject.promises.gap_bound, gap)):
            if promised is not None and len(rows) > 1:
                most = promised(len(rows)) * unit
                if np.abs(result[rows]).max() > most * (1 + 1e-6) + 1e-12:
                    fail(f"advantages {result[rows]} exceed {most} in a group of {len(rows)}", case)


@check
def points_along_the_true_gradient(subject: Subject, draw: Draw) -> None:
    """Unbiased up to a stated factor: the update's mean over all possible groups, by enumeration in small worlds."""
    factor = _promised(subject, "unbiased")
    objective, n = subject.promises.objective, draw(st.sampled_from([2, 3]))
    shape: list[tuple[int, ...]] = [(), (0,)] if subject.per_token else [()]  # answers of one token, or of up to two
    arms = 2 if subject.per_token else 3
    policy = {prefix: _softmax(draw(st.lists(st.integers(-2, 2), min_size=arms, max_size=arms))) for prefix in shape}
    answers = [(0, 0), (0, 1), (1,)] if subject.per_token else [(0,), (1,), (2,)]
    drawn = draw(st.lists(st.sampled_from([0.0, 1.0, 0.5, -2.0]), min_size=3, max_size=3))
    worth = subject.fitted({"rewards": np.array(drawn)})["rewards"]
    tree = Tree(policy, dict(zip(answers, worth.tolist(), strict=True)))
    on_numpy = functools.wraps(subject.function)(lambda **case: subject(case))
    found = updates(on_numpy, tree, n, objective)
    same(
        found.mean,
        factor(n) * found.gradient,
        f"the mean update over groups of {n} is not {factor(n):.3g} times the gradient of {objective}\n"
        f"policy    {policy}\nrewards   {worth}",
        tolerance=1e-7,
    )


def _softmax(logits: Sequence[int]) -> Any:
    weights = np.exp(np.array(logits, float))
    return weights / weights.sum()


@check
def agrees_with_its_spec(subject: Subject, draw: Draw) -> None:
    """The formula of the paper, in plain numpy loops, is what the name stands for."""
    if subject.spec is None:
        raise NotApplicable("has no spec")
    optional = [word for word in subject.definition.inputs if draw(st.booleans()) or word == "lengths"]
    case = subject.case(draw, *optional, defaults=True)
    lead = subject.definition.lead
    case[lead] = case[lead] * draw(st.sampled_from([1.0, 1.0, 1024.0, 2.0**17]))
    if draw(st.booleans()):
        case[lead] = np.where(np.arange(case[lead].size).reshape(case[lead].shape) % 5 == 4, np.nan, case[lead])
    call = subject.fitted({**case, **draw(subject.options)})
    if "singleton" in subject.definition.settings:
        call["singleton"] = draw(st.sampled_from(["zero", "raw"]))
    same(subject(call), subject.spec(**call), "differs from its spec", call, tolerance=1e-5)
