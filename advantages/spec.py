"""Lifts a formula for one group, or for one response's trained tokens, to a batch: the oracle of the test kit.

Everything here is float64 numpy and plain loops, and shares no code with the estimators it judges. Formulas are
written in the symbols of the papers:

    r  rewards (of a group), token rewards (of a response)      s  log-probabilities of whole responses
    v  critic values                                            l  lengths in tokens
"""

import functools
import inspect
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, overload

import numpy as np

from .core.groups import Groups
from .core.types import Vector
from .core.vocabulary import INPUTS

__all__ = [
    "per_batch",
    "per_group",
    "per_response",
    "per_responses",
    "per_tokens_of_group",
    "rollout_returns",
    "whitened",
]

_SYMBOLS = {"r": "rewards", "s": "logprobs", "l": "lengths", "b": "baselines"}
_TOKEN_SYMBOLS = {**_SYMBOLS, "r": "token_rewards", "v": "values"}
_NAMED = {name for name, word in INPUTS.items() if word.kind == "ids" and not word.per_token}
_SUMMED = [name for name, word in INPUTS.items() if word.of_trajectory == "sum"]

Formula = Callable[..., Any]


def per_group(formula: Formula) -> Formula:
    """Lift `formula(r, ...)`, for the scored responses of one group of at least two, to a batch of groups.

    >>> @per_group
    ... def spec(r):
    ...     return r - r.mean()
    >>> spec(rewards=np.array([1.0, 0.0, 5.0]), groups=["a", "a", "b"])
    array([ 0.5, -0.5,  0. ])
    """

    def batch(
        *columns: Any, groups: Sequence[Hashable], singleton: str = "zero", min_scored: int = 2, **settings: Any
    ) -> Any:
        result = np.zeros(len(groups))
        for group in dict.fromkeys(groups):
            rows = [row for row, other in enumerate(groups) if other == group]
            if len(rows) >= min_scored:
                result[rows] = formula(*(None if c is None else c[rows] for c in columns), **settings)
            elif singleton == "raw":
                result[rows] = columns[0][rows]
        return result

    return per_batch(batch, like=formula)


def per_batch(formula: Formula, *, like: Formula | None = None) -> Formula:
    """Lift `formula(r, ..., groups=, singleton=)`, for the scored rollouts of a batch, to rows.

    Rows that do not count are taken out, the last valid row of a trajectory stands for it (with its
    log-probabilities and lengths summed), and results are given back to all rows of a trajectory. A formula that
    takes `trajectories=` itself gets every row, and the ids. Keyword-only parameters that are words of ids are lists.
    `like` names the parameters where `formula` itself takes any.
    """
    names, takes = _parameters(like or formula, _SYMBOLS)
    takes |= _parameters(formula, {})[1]

    @functools.wraps(like or formula)
    def spec(*, valid: Any = None, trained: Any = None, trajectories: Any = None, **call: Any) -> Any:
        rows = len(call["rewards"])
        rollouts = _rollouts(rows, valid, None if "trajectories" in takes else trajectories)
        columns = {name: None if call.get(name) is None else np.asarray(call[name], np.float64) for name in names}
        kept: list[list[int]] = []
        whole: dict[str, list[Any]] = {name: [] for name in names}
        for members in rollouts:
            mine = {
                name: None if x is None else x[members].sum(0) if name in _SUMMED else x[members[-1]]
                for name, x in columns.items()
            }
            scored = [x is None or np.isfinite(x).any() for x in mine.values()]
            if all(scored):
                kept.append(members)
                for name in names:
                    whole[name].append(mine[name])
        result = np.zeros(rows)
        if not kept:
            return result
        settings = {key: value for key, value in call.items() if key in takes}
        given = call | {"trajectories": range(rows) if trajectories is None else trajectories}
        settings |= {name: _ids(given, name, rows, kept) for name in takes & _NAMED if given.get(name) is not None}
        arrays = [None if columns[name] is None else np.array(whole[name]) for name in names]
        for members, advantage in zip(kept, formula(*arrays, **settings), strict=True):
            result[members] = advantage
        return _only_trained(result, trained)

    return spec


@overload
def per_response(formula: Formula) -> Formula: ...
@overload
def per_response(*, then: Formula) -> Callable[[Formula], Formula]: ...
def per_response(formula: Formula | None = None, *, then: Formula | None = None) -> Any:
    """Lift `formula(r, v, ...)`, for the trained tokens of one response, to a batch of padded rows.

    Args:
        formula: gets each response's trained tokens and nothing else; a reward on a masked token has moved to
            the last trained token before it.
        then: what is done to the list of all responses' results, such as whitening; its settings are keyword-only.

    >>> @per_response
    ... def spec(r):
    ...     return np.cumsum(r[::-1])[::-1]
    >>> spec(token_rewards=np.array([[0.0, 0.0, 1.0]]), mask=np.array([[True, False, True]]))
    array([[1., 0., 1.]])
    """

    if formula is None:
        return lambda some: _responses_of(some, then)
    return _responses_of(formula, None)


def _responses_of(formula: Formula, then: Formula | None) -> Formula:
    after = _parameters(then, {})[1] if then else set()

    def responses(*columns: Any, **settings: Any) -> Any:
        own = {key: value for key, value in settings.items() if key not in after}
        results = [formula(*row, **own) for row in zip(*columns, strict=True)]
        return then(results, **{key: settings[key] for key in settings if key in after}) if then else results

    return per_responses(responses, like=formula, takes=after)


def per_responses(
    formula: Formula,
    *,
    like: Formula | None = None,
    takes: Iterable[str] = (),
    symbols: dict[str, str] | None = None,
) -> Formula:
    """Lift `formula(r, ..., groups=, lengths=)`, for the trained tokens of all scored responses, to padded rows.

    A column is a list with one entry per response: an array over its trained tokens, or a number. The rows of a
    trajectory are one long response.
    """
    names, own = _parameters(like or formula, symbols or (_TOKEN_SYMBOLS if like else _SYMBOLS))
    takes = own.union(takes)

    @functools.wraps(like or formula)
    def spec(*, mask: Any, valid: Any = None, trained: Any = None, trajectories: Any = None, **call: Any) -> Any:
        mask = np.asarray(mask) != 0
        rows, steps = mask.shape
        columns = {name: np.asarray(call[name], np.float64) for name in names if call.get(name) is not None}
        kept: list[list[int]] = []
        tokens: list[Any] = []
        whole: dict[str, list[Any]] = {name: [] for name in names}
        for members in _rollouts(rows, valid, trajectories):
            on = mask[members].reshape(-1)
            mine: dict[str, Any] = {}
            for name, x in columns.items():
                if x.ndim == 1:
                    mine[name] = x[members].sum(0) if name in _SUMMED else x[members[-1]]
                elif name == "token_rewards":
                    mine[name] = _carried(x[members].reshape(-1), on)
                else:
                    mine[name] = x[members].reshape(-1)[on]
            if all(np.isfinite(x).all() for x in mine.values()):
                kept.append(members)
                tokens.append(on)
                for name in names:
                    whole[name].append(mine.get(name))
        settings = {key: value for key, value in call.items() if key in takes}
        settings |= {name: _ids(call, name, rows, kept) for name in takes & _NAMED if call.get(name) is not None}
        if "lengths" in takes:
            settings["lengths"] = [int(on.sum()) for on in tokens]
        result = np.zeros((rows, steps))
        for members, on, advantages in zip(kept, tokens, formula(*whole.values(), **settings), strict=True):
            long = np.zeros(len(on))
            long[on] = advantages
            result[members] = long.reshape(len(members), steps)
        return _only_trained(result, trained)

    return spec


def per_tokens_of_group(formula: Formula) -> Formula:
    """Lift `formula(r, h, ...)`, for the scored responses of one group of at least two, to padded rows.

    r is the vector of the group's rewards; every other column is a list of arrays, one per response, over its trained
    tokens. The formula gives such a list, or one number per response.
    """

    def responses(
        *columns: Any,
        groups: Sequence[Hashable],
        lengths: Sequence[int],
        singleton: str = "zero",
        min_scored: int = 2,
        **settings: Any,
    ) -> list[Any]:
        result: list[Any] = [0.0] * len(groups)
        for group in dict.fromkeys(groups):
            rows = [row for row, other in enumerate(groups) if other == group]
            if len(rows) >= min_scored:
                some = [[column[row] for row in rows] for column in columns]
                for row, advantages in zip(rows, formula(np.array(some[0]), *some[1:], **settings), strict=True):
                    result[row] = advantages
            elif singleton == "raw":
                for row in rows:
                    result[row] = columns[0][row]
        return [result[row] + np.zeros(lengths[row]) for row in range(len(groups))]

    return per_responses(responses, like=formula, takes=_parameters(responses, {})[1], symbols={"r": "rewards"})


def whitened(rows: list[Any], *, weight: str, epsilon: float, ddof: int = 1) -> list[Any]:
    """Shift and scale all tokens of all responses to mean 0 and deviation 1."""
    rows_with_tokens = [row for row in rows if len(row)]
    if not rows_with_tokens:
        return rows
    x = np.concatenate(rows_with_tokens)
    if weight == "tokens":
        counts = np.ones(len(x))
    else:
        counts = np.concatenate([np.full(len(row), 1 / len(row)) for row in rows_with_tokens])
    mean = np.sum(counts * x) / np.sum(counts)
    variance = np.sum(counts * (x - mean) ** 2) / max(np.sum(counts) - ddof, 1)
    if np.ptp(x) == 0:
        return [0.0 * row for row in rows]
    return [(row - mean) / (np.sqrt(variance) + epsilon) for row in rows]


def _only_trained(result: Any, trained: Any) -> Any:
    if trained is not None:
        result[np.asarray(trained) == 0] = 0.0
    return result


def _parameters(formula: Formula, symbols: dict[str, str]) -> tuple[list[str], set[str]]:
    parameters = inspect.signature(formula).parameters.values()
    names = [symbols.get(p.name, p.name) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    return names, {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}


def _rollouts(rows: int, valid: Any, trajectories: Any) -> list[list[int]]:
    """Valid rows, sorted into rollouts; without trajectories, each row is one."""
    names = range(rows) if trajectories is None else _names(trajectories)
    rollouts: dict[Hashable, list[int]] = {}
    for row, name in enumerate(names):
        if valid is None or valid[row]:
            rollouts.setdefault(name, []).append(row)
    return list(rollouts.values())


def _ids(call: dict[str, Any], name: str, rows: int, kept: list[list[int]]) -> list[Hashable]:
    groups = call[name]
    names = [row // groups for row in range(rows)] if isinstance(groups, int) else _names(groups)
    return [names[members[-1]] for members in kept]


def _names(ids: Any) -> list[Hashable]:
    if isinstance(ids, Groups):
        ids = ids.slots
    return ids.tolist() if hasattr(ids, "tolist") else list(ids)


def _carried(rewards: Any, trained: Any) -> Any:
    """Rewards of the trained tokens, with those of masked tokens moved to the last trained one before them."""
    places = np.flatnonzero(trained)
    result = rewards[places].copy()
    for place in np.flatnonzero(~trained):
        if len(places) and np.isfinite(rewards[place]):
            result[max(0, np.searchsorted(places, place) - 1)] += rewards[place]
    return result


def rollout_returns(r: Vector, trajectories: Sequence[Hashable], discount: float) -> Vector:
    """(N,) G_t = r_t + discount * G_{t+1} of rows that are steps, in order within their rollout.

    >>> rollout_returns(np.array([0.0, 5.0, 1.0]), ["a", "b", "a"], 0.5)
    array([0.5, 5. , 1. ])
    """
    g = np.zeros_like(r)
    for t in reversed(range(len(r))):
        later = [k for k in range(t + 1, len(r)) if trajectories[k] == trajectories[t]]
        g[t] = r[t] + (discount * g[later[0]] if later else 0.0)
    return g
