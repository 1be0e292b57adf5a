"""Hypothesis strategies for every word of the vocabulary, as numpy arrays that shrink to small, readable ones.

from hypothesis import given
from advantages.testing import strategies

@given(strategies.inputs("rewards", "groups"))
def test_mine(case):
    assert mine(**case).shape == case["rewards"].shape

How a word is drawn follows from its kind, shape and range in the vocabulary; `strategies.rewards(n)`,
`strategies.mask(n, t)` and so on, for each word by its name, draw one array of a given size.
"""

import functools
import uuid
from collections.abc import Callable, Hashable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ..core.definition import Definition
from ..core.settings import Range
from ..core.vocabulary import INPUTS, Input

__all__ = ["LOOKALIKES", "array", "as_array", "dense", "ids", "inputs", "large", "pools", "settings", "sizes"]

Strategy = st.SearchStrategy[Any]

_UUIDS = [uuid.UUID(int=(0xD3B0 << 112) + k) for k in (1, 2, 1 << 64, 1 << 40)]

LOOKALIKES: dict[str, list[list[Hashable]]] = {
    "integers": [
        [0, 1, 7, -3],
        [-5, 5, -1, 1],
        [7, 7 + 2**8, 7 + 2**16, 7 + 2**24],
    ],
    "integers of 64 bits": [
        [7, 7 + 2**40, 7 + 2**33, 7 - 2**40],
        [2**40, 2**40 + 64, 2**40 + 2**24, 2**40 + 1],
        [2**53, 2**53 + 1, -(2**53), -(2**53) - 1],
        [2**62, 2**62 + 1, 2**62 + 512, -(2**62)],
    ],
    "strings": [
        ["7", "07", "7 ", "+7"],
        ["7", "7.0", "7e0", "\u0667"],
        ["a", "A", " a", "a\n"],
        ["", " ", "0", "None"],
        ["\u00e9", "e\u0301", "e", "E\u0301"],
        ["a/b", "a", "b", "/"],
        ["nan", "NaN", "inf", "-inf"],
        [f"{'q' * 70}{end}" for end in "abcd"],
        [f"{start}{'q' * 70}" for start in "abcd"],
        [str(name) for name in _UUIDS],
    ],
    "UUIDs": [list(_UUIDS)],
    "tuples": [[(0, "a"), (0, "b"), (1, "a"), (1, "b")], [("a", "bc"), ("ab", "c"), ("a", "b"), ("abc", "")]],
    "integers beyond 64 bits": [[2**70, 2**70 + 1, -(2**70), 5]],
    "ids of several types": [[7, "7", (7, 7), b"7"]],
}
"""Ids that are different names, by kind; four of each, which a cast, a cut or a hash takes for one another."""

_VERDICTS = [0.0, 1.0]
_SCORES = [0.0, 1.0, 0.01, 0.7, -10.1]  # which binary numbers round
_EIGHTHS = [0.0, *(sign * k / 8 for k in range(1, 65) for sign in (1, -1))]  # exact in every dtype, halves included
_HUNDREDS = [-2.0, *(-float(k) for k in range(0, 400, 3))]  # ties, near certain, hundreds of nats


@functools.cache  # a strategy that is made anew is looked through anew by hypothesis, which takes longer than drawing
def sizes(most: int = 12) -> Strategy:
    """A number of rows or tokens, from a few, so that compilers see few shapes."""
    return st.sampled_from([size for size in (1, 2, 3, 5, 12) if size <= most])


def pools(word: str) -> list[Any]:
    """Arrays of values, the simplest first, from one of which all entries of an input are drawn: ties are common."""
    entry = INPUTS[word]
    low, high = entry.range.low, entry.range.high
    if entry.kind == "flag":
        return [np.array([True, True, False])]
    if entry.kind == "count":
        return [np.arange(1, 51)]
    if entry.kind == "ids":
        return [np.array(names) for names in LOOKALIKES["integers"]]
    some = [_EIGHTHS, _HUNDREDS] if high <= 0 and len(entry.shape) == 1 else [_EIGHTHS]
    if word in ("rewards", "token_rewards"):  # verdicts and scores, mostly on one token
        some = [_VERDICTS, _SCORES, _EIGHTHS] if word == "rewards" else [[0.0] * 126 + _EIGHTHS]
    return [np.array([x for x in values if low <= x <= high]) for values in some]


def array(word: str, *size: int) -> Strategy:
    """An input of the vocabulary as an array of a given size, such as (N,) or (N, T)."""
    return _array(word, INPUTS[word], size)


@functools.cache
def _array(word: str, entry: Input, size: tuple[int, ...]) -> Strategy:
    """`entry` is the word's own, which a test may change."""
    return _entries(pools(word), size)


def ids(n: int, kinds: Sequence[str] = ("integers",)) -> Strategy:
    """(N,) ids: ragged, interleaved, with lone members, not dense, and easily taken for one another."""
    return _ids(n, tuple(kinds))


@functools.cache
def _ids(n: int, kinds: tuple[str, ...]) -> Strategy:
    return _entries([as_array(names) for kind in kinds for names in LOOKALIKES[kind]], (n,))


def _entries(pools: Sequence[Any], size: tuple[int, ...]) -> Strategy:
    count = prod(size)
    picks = st.binary(min_size=count, max_size=count)  # one draw, however many entries

    def picked(drawn: tuple[Any, bytes]) -> Any:
        pool, picks = drawn
        return pool[np.frombuffer(picks, np.uint8).astype(int) % len(pool)].reshape(size)

    return st.tuples(st.sampled_from(pools), picks).map(picked)


def as_array(names: Sequence[Hashable]) -> Any:
    """(N,) ids as an array, of objects where numpy has no type for them."""
    if len(set(map(type, names))) == 1 and isinstance(names[0], (int, str)):
        return np.array(names)  # Python integers beyond 64 bits become objects
    made = np.empty(len(names), object)
    made[:] = names
    return made


@st.composite
def inputs(
    draw: Any,
    *words: str,
    shapes: Mapping[str, Any] | None = None,
    n: int | None = None,
    t: int | None = None,
    k: int | None = None,
    kinds: Sequence[str] = ("integers",),
) -> dict[str, Any]:
    """Arrays for some words of the vocabulary that fit together.

    Args:
        words: names of inputs.
        shapes: for a word with another shape than the vocabulary's, the shapes it may have.
        n, t, k: numbers of responses, tokens and reward components; drawn where not given.
        kinds: kinds of ids, from `LOOKALIKES`.
    """
    dims = {
        "N": n if n is not None else draw(sizes()),
        "T": t if t is not None else draw(sizes(5)),
        "K": k if k is not None else draw(sizes(3)),
    }
    case = {}
    for word in words:
        size = _size(word, shapes, dims)
        case[word] = draw(ids(*size, kinds) if INPUTS[word].kind == "ids" and len(size) == 1 else array(word, *size))
    return _nested(case)


def large(words: Sequence[str], seed: int, *, shapes: Mapping[str, Any] | None = None, n: int, t: int = 2) -> Any:
    """The same, for more rows or tokens than hypothesis draws well, from the seed of a random generator."""
    generator = np.random.default_rng(seed)
    case = {}
    for word in words:
        some = pools(word)
        size = _size(word, shapes, {"N": n, "T": t, "K": 2})
        case[word] = generator.choice(some[generator.integers(len(some))], size)
    return _nested(case)


def _size(word: str, shapes: Mapping[str, Any] | None, dims: Mapping[str, int]) -> tuple[int, ...]:
    shape = (shapes or {}).get(word, (INPUTS[word].shape,))[0]
    return tuple(dims[dim] for dim in shape)


def _nested(case: dict[str, Any]) -> dict[str, Any]:
    """A rollout answers one prompt, so its id names the group, too; and a turn is a run of tokens."""
    if "turns" in case:  # and where rows are laid end to end, it is one, too
        axis = None if "trajectories" in case else 1
        case["turns"] = np.sort(case["turns"], axis).reshape(case["turns"].shape)
    if "trajectories" in case and "groups" in case:
        pairs = zip(dense(case["groups"]), case["trajectories"], strict=True)
        case["trajectories"] = np.array([f"{group}/{rollout}" for group, rollout in pairs], str)
    return case


def dense(ids: Any) -> Any:
    """(N,) the number of each id, in the order in which they are first seen."""
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(name, len(seen)) for name in ids.tolist()], np.int64)


def settings(definition: Definition) -> Strategy:
    """Settings that an estimator's type hints allow; without a checkable hint, some between 0 and the default."""
    chosen = {}
    for name, default in definition.settings.items():
        if name in _ASKED_FOR:
            continue
        check = definition.checks.get(name)
        options: list[Any] = []
        if check is not None:
            options += [*check.literals, *(x for allowed in check.ranges for x in _numbers(allowed))]
            options += [False, True] if bool in check.types else []
        if not options and isinstance(default, (bool, float)):
            options = [False, True] if isinstance(default, bool) else [default / 2, default * 0.9]
        if options:
            chosen[name] = st.one_of(st.just(default), st.sampled_from(options))
    return st.fixed_dictionaries(chosen)


def _numbers(allowed: Range) -> list[float]:
    middle = (allowed.low + allowed.high) / 2
    return [x for x in (*_SOME, allowed.low, allowed.high, middle) if np.isfinite(x) and x in allowed]


_ASKED_FOR = ("strict", "singleton", "min_scored", "unscored")  # whose values the checks themselves choose
_SOME = (0.0, 1e-6, 0.25, 0.5, 0.95, 1.0, 3.0, 10.0)


def __getattr__(name: str) -> Callable[..., Strategy]:
    if name in INPUTS:
        return functools.partial(array, name)
    raise AttributeError(f"strategies: there is no {name!r}; words are {', '.join(INPUTS)}")
