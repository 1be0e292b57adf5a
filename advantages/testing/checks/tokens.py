"""Tokens and time: masks, padding, observations."""

import numpy as np
from hypothesis import strategies as st

from ...core.vocabulary import INPUTS
from ..subject import Draw, NotApplicable, Subject, same
from .base import check, take, token_words


def _per_token(subject: Subject) -> None:
    subject.needs("mask")
    if not subject.per_token:
        raise NotApplicable("has one advantage per response")


@check
def gives_masked_tokens_zero(subject: Subject, draw: Draw) -> None:
    """An advantage on an observation or padding token trains on what the policy did not write."""
    _per_token(subject)
    case = subject.case(draw)
    same(np.where(case["mask"], 0.0, subject(case)), 0.0, "masked tokens got an advantage", case, tolerance=0.0)


@check
def never_reads_masked_entries(subject: Subject, draw: Draw) -> None:
    """Critics and engines leave garbage under the mask; NaN times 0 is NaN."""
    subject.needs("mask")
    case = subject.case(draw)
    garbage = draw(st.sampled_from([np.nan, np.inf, -np.inf, 1e6]))
    dirty = dict(case)
    for name in token_words(subject, case):
        if INPUTS[name].kind == "real" and not (name == "token_rewards" and np.isfinite(garbage)):
            dirty[name] = np.where(case["mask"], case[name], garbage)
    if "token_rewards" in case:  # a finite reward on a masked token counts, see counts_rewards_on_masked_tokens
        case = {**case, "token_rewards": np.where(case["mask"], case["token_rewards"], 0.0)}
        if np.isfinite(garbage):
            dirty["token_rewards"] = case["token_rewards"]
    same(subject(dirty), subject(case), f"{garbage} under the mask changed the advantages", dirty)


@check
def ignores_padding(subject: Subject, draw: Draw) -> None:
    """The batch's width depends on its longest response; nothing else may."""
    subject.needs("mask")
    case = subject.case(draw)
    left, right = draw(st.sampled_from([(0, 1), (2, 0), (1, 3)]))
    tokens = token_words(subject, case)
    wide = {name: np.pad(x, ((0, 0), (left, right))) if name in tokens else x for name, x in case.items()}
    found = subject(wide)
    found = found[:, left : left + case["mask"].shape[1]] if subject.per_token else found
    same(found, subject(case), f"{left} columns of padding before and {right} after changed the advantages", case)


@check
def steps_over_observation_tokens(subject: Subject, draw: Draw) -> None:
    """Tool output is no decision: it costs no discount, and a critic's value there is not read."""
    subject.needs("mask")
    case = subject.case(draw)
    t = case["mask"].shape[1]
    place = draw(st.integers(0, t))
    tokens = token_words(subject, case)
    wide = {
        name: np.insert(x, [place, place], 50 if INPUTS[name].kind != "flag" and name != "token_rewards" else 0, axis=1)
        if name in tokens
        else x
        for name, x in case.items()
    }
    found = subject(wide)
    found = np.delete(found, [place, place + 1], axis=1) if subject.per_token else found
    same(found, subject(case), f"two observation tokens before token {place} changed the advantages", case)


@check
def counts_rewards_on_masked_tokens(subject: Subject, draw: Draw) -> None:
    """An outcome that lies on an observation, or behind the last trained token, belongs to the token before it."""
    subject.needs("mask", "token_rewards")
    case = subject.case(draw, t=5)
    case["token_rewards"] = np.where(case["mask"], case["token_rewards"], 0.0)
    moved = {**case, "token_rewards": case["token_rewards"].copy()}
    for row, on in enumerate(case["mask"]):
        places = np.flatnonzero(on)
        after = np.flatnonzero(~on & (np.arange(5) > (places[0] if len(places) else 5)))
        if len(after):
            before = places[places < after[0]][-1]
            moved["token_rewards"][row, after[0]] += moved["token_rewards"][row, before]
            moved["token_rewards"][row, before] = 0.0
    same(subject(moved), subject(case), "a reward on a masked token was lost or misplaced", moved)


@check
def gives_rows_without_a_trained_token_zero(subject: Subject, draw: Draw) -> None:
    """An aborted response has nothing to train on; it must not make the batch's statistics NaN."""
    _per_token(subject)
    case = subject.case(draw)
    empty = {**case, "mask": np.zeros_like(case["mask"])}
    same(subject(empty), 0.0, "a batch without a trained token", empty, tolerance=0.0)
    if subject.definition.lead == "token_rewards":
        some = {**case, "mask": case["mask"].copy()}
        some["mask"][0] = False
        if len(some["mask"]) > 1:
            same(subject(some)[1:], subject(take(some, slice(1, None))), "a row without a trained token counted", some)
