"""Rows and groups: who is compared with whom."""

from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from .. import strategies
from ..subject import Draw, NotApplicable, Subject, fail, same, to_float64, to_library
from .base import check, row_words, take


@check
def ignores_the_order_of_rows(subject: Subject, draw: Draw) -> None:
    """Rows arrive in the order in which they finish; grouping by position mixes prompts."""
    case = subject.case(draw, *row_words(subject, "valid"))
    order = np.array(draw(st.permutations(range(len(case[subject.definition.lead])))), int)
    same(subject(take(case, order)), subject(case)[order], f"rows in the order {order.tolist()} differ", case)


@check
def ignores_the_names_of_groups(subject: Subject, draw: Draw) -> None:
    """Ids are names: negative, huge and sparse ones must not index, merge or allocate."""
    subject.needs("groups")
    case = subject.case(draw)
    names: Any = (
        draw(strategies.group_ids()) if subject.decorated else draw(st.sampled_from([[3, 2, 1, 0], [-1, -5, 2**40, 0]]))
    )
    _, slots = np.unique(case["groups"], return_inverse=True)
    renamed = [names[slot] for slot in slots]
    other = {**case, "groups": renamed if subject.decorated else np.array(renamed, np.int64)}
    same(subject(other), subject(case), "the same groups under other names give other advantages", case, other)


@check
def keeps_groups_apart(subject: Subject, draw: Draw) -> None:
    """Rewards of one prompt must never reach another prompt's baseline."""
    subject.per_group()
    case, other = (subject.case(draw, n=12, t=3, k=2) for _ in range(2))
    mine = case["groups"] == case["groups"][0]
    changed = {
        name: x if name == "groups" else np.where(mine.reshape(-1, *[1] * (x.ndim - 1)), x, other[name])
        for name, x in case.items()
    }
    same(subject(changed)[mine], subject(case)[mine], "another group changed the first row's group", case, changed)


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
    case = subject.case(draw)
    groups = case["groups"]
    levels = {
        g: draw(st.sampled_from([0.7, 0.1, 10.1, 1.1, 1e-3, 1000.1, -0.3, 0.0])) for g in sorted(set(groups.tolist()))
    }
    flat = np.array([levels[g] for g in groups.tolist()])
    case["rewards"] = np.ones_like(case["rewards"]) * flat.reshape(-1, *[1] * (case["rewards"].ndim - 1))
    if subject.singleton == "raw":
        assume(np.unique(groups, return_counts=True)[1].min() > 1)
    for dtype in ("float64", "float32", "float16"):
        typed = {name: to_library(x, subject.library, dtype) for name, x in case.items()}
        found = to_float64(subject.function(**typed))
        if found.any() or not np.isfinite(found).all():
            fail(f"groups of equal {dtype} rewards got {found}", case)


@check
def gives_lone_responses_what_it_says(subject: Subject, draw: Draw) -> None:
    """A response that is alone in its group gets 0 (or its raw reward, where that was asked for), never NaN."""
    subject.per_group()
    case = subject.case(draw, n=5)
    case["groups"] = np.arange(5)
    expected = np.zeros(5) if subject.singleton == "zero" else case["rewards"]
    same(subject(case), expected, "lone responses", case)
    if subject.decorated and "singleton" in subject.definition.settings:
        same(subject({**case, "singleton": "raw"}), case["rewards"], 'lone responses with singleton="raw"', case)


@check
def takes_a_group_size_for_blocks(subject: Subject, draw: Draw) -> None:
    """A number for `groups` is a shorthand for the ids of equal blocks, not another estimator."""
    subject.needs("groups")
    if not subject.decorated:
        raise NotApplicable("takes ids only")
    case = subject.case(draw, n=12)
    size = draw(st.sampled_from([1, 2, 3, 4, 6, 12]))
    case["groups"] = np.repeat(np.arange(12 // size), size)
    same(subject({**case, "groups": size}), subject(case), f"groups={size} differs from ids", case)
