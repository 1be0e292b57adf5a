"""Rows that do not count, rows of one rollout, and calls that must be refused."""

import numpy as np
from hypothesis import strategies as st

from ...core.vocabulary import INPUTS
from ..subject import Case, Draw, NotApplicable, Subject, fail, same
from .base import check, over, take, token_words


@check
def leaves_out_unscored_rows(subject: Subject, draw: Draw) -> None:
    """A failed judge returns NaN; that row gets 0, and its siblings what they would get without it."""
    case = subject.case(draw)
    lead = subject.definition.lead
    n = len(case[lead])
    failed = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool)
    bad = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    broken = {**case, lead: case[lead].copy()}
    if lead == "rewards":
        broken[lead][failed] = bad
    else:
        failed &= case["mask"].any(1)
        for row in np.flatnonzero(failed):
            broken[lead][row, np.flatnonzero(case["mask"][row])[0]] = bad
    found = subject(broken)
    same(found[failed], 0.0, f"rows with reward {bad} must get 0", broken)
    if (~failed).any():
        same(found[~failed], subject(take(case, ~failed)), f"rows with reward {bad} changed their siblings", broken)


@check
def leaves_out_invalid_rows(subject: Subject, draw: Draw) -> None:
    """Padding rows and rejected rows enter no statistic, whatever they hold."""
    subject.needs("valid")
    case = subject.case(draw, "valid")
    valid = case["valid"]
    garbage = draw(st.sampled_from([np.nan, np.inf, 1e9]))
    dirty = {
        name: np.where(over(valid, x), x, garbage) if name in INPUTS and INPUTS[name].kind == "real" else x
        for name, x in case.items()
    }
    found = subject(dirty)
    same(found[~valid], 0.0, "invalid rows must get 0", dirty)
    if valid.any():
        kept = take({name: x for name, x in case.items() if name != "valid"}, valid)
        same(found[valid], subject(kept), "invalid rows changed the others", dirty)


@check
def counts_a_trajectory_once(subject: Subject, draw: Draw) -> None:
    """A rollout that became several rows is one sample: else long rollouts shift every baseline."""
    subject.needs("trajectories")
    if subject.decorated and "trajectories" in subject.definition.own:
        raise NotApplicable("its rows are the steps of a trajectory")
    if subject.per_token and not subject.takes("groups"):
        raise NotApplicable("a trajectory is one long response: see joins_the_rows_of_a_trajectory")
    whole = subject.case(draw, n=5)
    pieces = np.array(draw(st.lists(st.integers(1, 3), min_size=5, max_size=5)))
    rows = np.repeat(np.arange(5), pieces)
    last = np.cumsum(pieces) - 1
    split = take(whole, rows)
    for name in whole:
        if name in INPUTS and INPUTS[name].of_trajectory == "sum":
            split[name] = np.zeros_like(split[name])
            split[name][last] = whole[name]
    lead = split["rewards"]
    lead[np.setdiff1d(np.arange(len(rows)), last)] = draw(st.sampled_from([0.0, 5.0, np.nan]))
    split["trajectories"] = np.array([f"rollout {row}" for row in rows])
    if subject.per_token:
        earlier = np.setdiff1d(np.arange(len(rows)), last)
        split["mask"][earlier] = False
        if "token_rewards" in split:  # one on a masked token counts, and is not to count twice
            split["token_rewards"][earlier] = 0.0
        same(subject(split)[last], subject(whole), "a rollout in pieces differs from the rollout", whole, split)
        return
    same(subject(split), subject(whole)[rows], "a rollout in pieces differs from the rollout", whole, split)


@check
def joins_the_rows_of_a_trajectory(subject: Subject, draw: Draw) -> None:
    """Rewards flow back from a rollout's later rows to its earlier ones, as if it had never been cut."""
    subject.needs("trajectories", "mask")
    if not subject.per_token:
        raise NotApplicable("has one advantage per response")
    whole = subject.case(draw, n=3, t=5)
    cut = draw(st.integers(1, 4))
    order = draw(st.permutations(range(6)))
    rows = sorted(range(6), key=lambda row: (order[row // 2 * 2], row))  # rollouts shuffled, pieces in order
    split: Case = {"trajectories": np.array([f"rollout {row // 2}" for row in rows])}
    for name, x in whole.items():
        if name not in INPUTS:
            split[name] = x
        elif subject.shape(name) == ("N", "T"):
            first, second = np.zeros_like(x), np.zeros_like(x)
            first[:, :cut], second[:, : 5 - cut] = x[:, :cut], x[:, cut:]
            split[name] = np.stack([first, second], 1).reshape(6, 5)[rows]
        elif INPUTS[name].of_trajectory == "sum":
            split[name] = np.stack([0 * x, x], 1).reshape(6)[rows]
        else:
            split[name] = np.repeat(x, 2, 0)[rows]
    found = np.empty((6, 5))
    found[rows] = subject(split)
    joined = np.concatenate([found[0::2, :cut], found[1::2, : 5 - cut]], 1)
    same(joined, subject(whole), "a rollout cut in two differs from the rollout", whole, split)


@check
def refuses_rows_that_do_not_match(subject: Subject, draw: Draw) -> None:
    """A batch whose arrays disagree about the number of rows is a bug upstream; broadcasting hides it."""
    case = subject.case(draw, n=3)
    longer = subject.case(draw, n=5)
    tokens = token_words(subject, case)
    for name in [name for name in case if name in INPUTS][1:]:
        mixed = {**case, name: longer[name]}
        if len({mixed[token].shape[1] for token in tokens}) > 1:
            continue
        _must_raise(subject, mixed, f"{name} has 5 rows where others have 3, and nothing was said")
        if name in tokens and len(tokens) > 1:
            short = {**case, name: case[name][:, :1].repeat(case[name].shape[1] + 1, 1)}
            _must_raise(subject, short, f"{name} has one token more than the others, and nothing was said")


@check
def refuses_settings_it_does_not_know(subject: Subject, draw: Draw) -> None:
    """A misspelt setting that is swallowed trains for a week with the default."""
    _must_raise(subject, {**subject.case(draw), "temprature": 1.0}, "swallowed the unknown setting temprature=1.0")


def _must_raise(subject: Subject, case: Case, sentence: str) -> None:
    try:
        subject.raw(case)
    except Exception:
        return
    fail(sentence, case)
