"""Rows and groups: who is compared with whom."""

from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from ...core.vocabulary import INPUTS
from .. import strategies
from ..subject import Case, Draw, NotApplicable, Subject, fail, same, show, to_float64
from .base import check, check_rarely, over, slots, take


@check
def ignores_the_order_of_rows(subject: Subject, draw: Draw) -> None:
    """Rows arrive in the order in which they finish; grouping by position mixes prompts."""
    case = subject.case(draw, "valid")
    order = np.array(draw(st.permutations(range(len(case[subject.definition.lead])))), int)
    same(subject(take(case, order)), subject(case)[order], f"rows in the order {order.tolist()} differ", case)


@check_rarely(0.2)
def ignores_the_names_of_groups(subject: Subject, draw: Draw) -> None:
    """Ids are names: negative, huge and sparse ones must not index, merge or allocate; "7" and "07" are two."""
    subject.needs("groups")
    case = subject.case(draw, n=draw(st.sampled_from([5, 12])))  # where numpy cannot broadcast ids that are pairs
    numbers = slots(case)
    case["groups"] = numbers
    expected = subject(case)
    for kind in subject.kinds if subject.library == "jax" else strategies.LOOKALIKES:
        for names in strategies.LOOKALIKES[kind]:
            other = {**case, "groups": strategies.as_array(names)[numbers]}
            try:
                found = subject(other)
            except AssertionError:
                if kind in subject.kinds:
                    raise
                break  # a plain function that says that it takes no such ids is believed
            same(found, expected, "the same groups under other names give other advantages", case, other)
            if subject.decorated:
                listed = {**case, "groups": other["groups"].tolist()}
                same(subject(listed), expected, "ids in a list give other advantages", case, listed)


@check
def keeps_groups_apart(subject: Subject, draw: Draw) -> None:
    """Rewards of one prompt must never reach another prompt's baseline."""
    subject.per_group()
    case, other = (subject.case(draw, n=12, t=3, k=2) for _ in range(2))
    mine = slots(case) == 0
    changed = {
        name: np.where(over(mine, x), x, other[name]) if name in INPUTS and name != "groups" else x
        for name, x in case.items()
    }
    same(subject(changed)[mine], subject(case)[mine], "another group changed the first row's group", case, changed)


@check_rarely(0.04)
def keeps_many_groups_apart(subject: Subject, draw: Draw) -> None:
    """Hundreds of prompts a batch, or hundreds of responses each: a table of 64 slots, or places, merges or drops."""
    n = 640
    case = subject.large_case(draw, n=n)
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    apart = not subject.promises.spans_batch
    mine = np.arange(n) < 3
    if "groups" in case:
        members = generator.integers(0, n // draw(st.sampled_from([2, 8, 64, 200])), n)
        some = 2**31 if subject.library == "jax" else 2**62
        case["groups"] = generator.integers(-some, some, n)[members]
        mine = np.isin(members, members[:3])
    found = subject(case)
    order = generator.permutation(n)
    _same_large(subject(take(case, order)), found[order], f"{n} rows in another order differ", case)
    if "groups" in case:
        dense = {**case, "groups": slots(case)}
        _same_large(subject(dense), found, "many groups under other names give other advantages", case)
    if apart:
        alone = take(case, mine)
        _same_large(subject(alone), found[mine], f"{mine.sum()} rows alone differ from the same among {n}", case)


def _same_large(found: Any, expected: Any, sentence: str, case: Case) -> None:
    """Fail with the first rows that differ, since nobody reads a thousand."""
    close = np.abs(found - expected) <= 1e-5 * max(1.0, np.abs(expected).max(initial=0.0))
    if not close.all():
        row = np.flatnonzero(~close.reshape(len(close), -1).all(1))[0]
        groups = f", in {len(set(case['groups'].tolist()))} groups" if "groups" in case else ""
        fail(f"{sentence}{groups}\nrow {row}: found {show(found[row])}, expected {show(expected[row])}")


@check_rarely(0.2)
def tells_large_rewards_apart(subject: Subject, draw: Draw) -> None:
    """A clip inside flattens what lies beyond it; one that is meant is declared, as Promises(bound=...)."""
    if subject.promises.bound or subject.promises.gap_bound:
        raise NotApplicable("promises a bound")
    if subject.spec is not None:
        raise NotApplicable("its spec says what large rewards get")
    n = draw(st.sampled_from([4, 4, 400]))  # a z-score is large where few of many stand out
    one = subject.case(draw, n=1, t=1, k=1)
    case = take(one, np.zeros(n, int))
    if "mask" in case:
        case["mask"] = np.ones_like(case["mask"])
    if "trajectories" in case:
        case["trajectories"] = np.arange(n)
    lead, places = subject.definition.lead, draw(st.sampled_from([[n - 2, n - 1], [0, 1]]))
    gaps = np.arange(n) / 8
    large = gaps.copy()
    large[places] = draw(st.sampled_from([64.0, 1024.0, 16384.0])) * np.array(
        [[2.0, 3.0], [-3.0, -2.0]][places[0] == 0]
    )
    found = []
    for levels in (gaps, large):
        case[lead] = np.ones_like(case[lead]) * over(levels, case[lead])
        found.append(subject(case).reshape(n))
    (first, second), (low, high) = (x[places] for x in found)
    flat = abs(high - low) <= 1e-9 * abs(low)
    if first != second and flat and abs(low) > 1.0:  # what ends at 1 is squashed on purpose
        fail(
            f"rewards {large[places]} in a group of {n} both get {high:.6g}, "
            f"where {gaps[places]} get {first:.6g} and {second:.6g}"
        )


@check
def keeps_responses_apart(subject: Subject, draw: Draw) -> None:
    """Without groups, a response's advantages are its own."""
    if subject.takes("groups"):
        raise NotApplicable("compares the responses of a group")
    if subject.promises.spans_batch:
        raise NotApplicable("its statistics span the batch")
    case = subject.case(draw, n=3)
    same(subject(take(case, slice(0, 1))), subject(case)[:1], "the first row's advantages need the other rows", case)


@check
def gives_equal_rewards_exactly_zero(subject: Subject, draw: Draw) -> None:
    """A rounded mean over a rounded deviation gives a whole group of equals a common, large advantage."""
    subject.needs("groups")
    if not subject.promises.equals_get_zero:
        raise NotApplicable("pushes groups of equals, and says so")
    case = subject.case(draw)
    if subject.decorated:  # a word that names another form may ask for a push
        case = {name: x for name, x in case.items() if not isinstance(x, (str, bool))}
    groups = slots(case)
    levels = st.sampled_from([0.7, 0.1, 10.1, 1.1, 1e-3, 1000.1, -0.3, 0.0])
    flat = np.array([draw(levels) for _ in range(groups.max() + 1)])[groups]
    case["rewards"] = np.ones_like(case["rewards"]) * over(flat, case["rewards"])
    if "token_rewards" in case:  # others beside them, such as those of turns
        case["token_rewards"] = np.zeros_like(case["token_rewards"])
    if subject.singleton == "raw":
        assume(np.bincount(groups).min() > 1)
    for dtype in ("float64", "float32", "float16"):
        found = to_float64(subject.raw(case, dtype=dtype))
        if found.any() or not np.isfinite(found).all():
            fail(f"groups of equal {dtype} rewards got {found}", case)


@check
def gives_lone_responses_what_it_says(subject: Subject, draw: Draw) -> None:
    """A response that is alone in its group gets 0 (or its raw reward, where that was asked for), never NaN."""
    subject.per_group()
    case = subject.case(draw, n=5)
    case["groups"] = np.arange(5)
    raw = np.where(case["mask"], case["rewards"][:, None], 0.0) if subject.per_token else case["rewards"]
    same(subject(case), 0.0 if subject.singleton == "zero" else raw, "lone responses", case)
    if subject.decorated and "singleton" in subject.definition.settings:
        same(subject({**case, "singleton": "raw"}), raw, 'lone responses with singleton="raw"', case)


@check
def takes_a_group_size_for_blocks(subject: Subject, draw: Draw) -> None:
    """A number for `groups` is a shorthand for the ids of equal blocks, not another estimator."""
    subject.needs("groups")
    case = subject.case(draw, n=12)
    size = draw(st.sampled_from([1, 2, 3, 4, 6, 12]))
    if not subject.decorated:
        raise NotApplicable("takes ids only")
    case["groups"] = np.repeat(np.arange(12 // size), size)
    same(subject({**case, "groups": size}), subject(case), f"groups={size} differs from ids", case)
