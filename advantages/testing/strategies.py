"""Hypothesis strategies for every word of the vocabulary, as numpy arrays that shrink to small, readable ones.

from hypothesis import given
from advantages.testing import strategies

@given(strategies.inputs("rewards", "groups"))
def test_mine(case):
    assert mine(**case).shape == case["rewards"].shape
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ..core.definition import Definition
from ..core.settings import Range
from ..core.vocabulary import INPUTS

__all__ = [
    "baselines",
    "group_ids",
    "groups",
    "inputs",
    "lengths",
    "logprobs",
    "mask",
    "ref_token_logprobs",
    "rewards",
    "settings",
    "sizes",
    "teacher_token_logprobs",
    "token_logprobs",
    "token_rewards",
    "trajectories",
    "valid",
    "values",
]

Strategy = st.SearchStrategy[Any]

_EIGHTHS = st.integers(-64, 64).map(lambda k: k / 8)  # exact in every floating dtype, sums and halves included


def sizes(most: int = 12) -> Strategy:
    """A number of rows or tokens, from a few, so that compilers see few shapes."""
    return st.sampled_from([size for size in (1, 2, 3, 5, 12) if size <= most])


def _vector(elements: Strategy, n: int, dtype: Any = np.float64) -> Strategy:
    return st.lists(elements, min_size=n, max_size=n).map(lambda items: np.array(items, dtype))


def _table(elements: Strategy, n: int, t: int, dtype: Any = np.float64) -> Strategy:
    return _vector(elements, n * t, dtype).map(lambda items: items.reshape(n, t))


def rewards(n: int, k: int | None = None) -> Strategy:
    """(N,) or (N, K) rewards: verdicts, scores that binary numbers round, or eighths; ties are common."""
    elements = st.sampled_from([st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0, 0.01, 0.7, -10.1]), _EIGHTHS])
    return elements.flatmap(lambda some: _vector(some, n) if k is None else _table(some, n, k))


def groups(n: int) -> Strategy:
    """(N,) integer ids: ragged, interleaved, with lone members, and not dense."""
    return _vector(st.sampled_from([0, 1, 7, -3]), n, np.int64)


def group_ids() -> Strategy:
    """Four distinct ids of one kind: integers, negative, huge, strings that look alike, tuples, UUIDs."""
    return st.sampled_from(
        [
            [3, 2, 1, 0],
            [-1, -5, 10**6, 0],
            [2**70, 2**70 + 1, -(2**70), 5],
            ["7", "07", "7 ", ""],
            [(0, "a"), (0, "b"), (1, "a"), ()],
            ["d3b0", "c1aa", "ffff", "0000"],
        ]
    )


def logprobs(n: int) -> Strategy:
    """(N,) log-probabilities of responses: from near certain to hundreds of nats, ties included."""
    return _vector(st.one_of(st.just(-2.0), st.integers(-80, 0).map(lambda k: k / 8), st.integers(-400, 0)), n)


def mask(n: int, t: int) -> Strategy:
    """(N, T) booleans with holes, padding on either side, and rows without a trained token."""
    return _table(st.sampled_from([True, True, False]), n, t, bool)


def token_rewards(n: int, t: int) -> Strategy:
    """(N, T) rewards, mostly zero."""
    return _table(st.one_of(st.just(0.0), st.just(0.0), _EIGHTHS), n, t)


def token_logprobs(n: int, t: int) -> Strategy:
    """(N, T) log-probabilities of tokens."""
    return _table(st.integers(-40, 0).map(lambda k: k / 8), n, t)


ref_token_logprobs = teacher_token_logprobs = token_logprobs


def values(n: int, t: int) -> Strategy:
    """(N, T) critic values."""
    return _table(_EIGHTHS, n, t)


def lengths(n: int) -> Strategy:
    """(N,) trained tokens."""
    return _vector(st.integers(1, 50), n, np.int64)


def baselines(n: int) -> Strategy:
    """(N,) baselines."""
    return _vector(_EIGHTHS, n)


def trajectories(n: int) -> Strategy:
    """(N,) ids of agent rollouts."""
    return _vector(st.integers(0, 3), n, np.int64)


def valid(n: int) -> Strategy:
    """(N,) rows that count."""
    return _vector(st.sampled_from([True, True, True, False]), n, bool)


def _drawn(name: str, *sizes: int) -> Strategy:
    """A word of the vocabulary: by the strategy that bears its name, or else by what its entry says of it."""
    if name in globals():
        strategy: Strategy = globals()[name](*sizes)
        return strategy
    word = INPUTS[name]
    elements: dict[str, Strategy] = {
        "real": _EIGHTHS,
        "count": st.integers(1, 50),
        "flag": st.sampled_from([True, True, False]),
        "ids": st.sampled_from([0, 1, 7, -3]),
    }
    dtype = {"real": np.float64, "count": np.int64, "flag": bool, "ids": np.int64}[word.kind]
    return (_table if len(sizes) == 2 else _vector)(elements[word.kind], *sizes, dtype=dtype)


@st.composite
def inputs(
    draw: Any,
    *words: str,
    shapes: Mapping[str, Any] | None = None,
    n: int | None = None,
    t: int | None = None,
    k: int | None = None,
) -> dict[str, Any]:
    """Arrays for some words of the vocabulary that fit together.

    Args:
        words: names of inputs.
        shapes: for a word with another shape than the vocabulary's, the shapes it may have.
        n, t, k: numbers of responses, tokens and reward components; drawn where not given.
    """
    dims = {
        "N": n if n is not None else draw(sizes()),
        "T": t if t is not None else draw(sizes(5)),
        "K": k if k is not None else draw(sizes(3)),
    }
    case = {}
    for word in words:
        shape = (shapes or {}).get(word, (INPUTS[word].shape,))[0]
        case[word] = draw(_drawn(word, *(dims[dim] for dim in shape)))
    if "trajectories" in case and "groups" in case:  # a rollout answers one prompt
        case["trajectories"] = np.array([f"{g}/{t}" for g, t in zip(case["groups"], case["trajectories"], strict=True)])
    return case


@st.composite
def settings(draw: Any, definition: Definition) -> dict[str, Any]:
    """Settings that an estimator's type hints allow; one without a checkable hint keeps its default."""
    chosen = {}
    for name, check in definition.checks.items():
        options: list[Strategy] = [st.sampled_from(check.literals)] if check.literals else []
        options += [_numbers(allowed) for allowed in check.ranges]
        options += [st.booleans()] if bool in check.types else []
        if options and name not in ("strict", "singleton", "min_scored"):
            chosen[name] = draw(st.one_of(st.just(definition.settings[name]), *options))
    return chosen


def _numbers(allowed: Range) -> Strategy:
    some = [0.0, 1e-6, 0.25, 0.5, 0.95, 1.0, 3.0, 10.0]
    return st.sampled_from([x for x in some if x in allowed])
