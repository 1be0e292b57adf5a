"""Rewards without a verifier: how far the responses to a prompt agree, and who wins when they are compared."""

from collections import Counter
from collections.abc import Hashable, Sequence
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["borda", "bradley_terry", "empo", "ttrl"]

Numbers = NDArray[np.float64]


def ttrl(labels: Sequence[Hashable], groups: Sequence[Hashable]) -> Numbers:
    """(N,) 1 where a response gives the answer that most responses to its prompt give, else 0 (arXiv:2504.16084).

    Answers that are given equally often are all right, so that the order of responses does not matter; the published
    code takes the one that it meets first. A label of None stands for no answer: it gets 0 and has no vote.

    Args:
        labels: (N,) the answer that each response gives, as any hashable.
        groups: (N,) ids, equal where responses answer the same prompt.

    >>> ttrl(["42", "42", "7", None], ["a"] * 4)
    array([1., 1., 0., 0.])
    """
    result = np.zeros(len(labels))
    for rows, counts in _answers("ttrl", labels, groups):
        most = max(counts.values(), default=0)
        for row in rows:
            result[row] = labels[row] is not None and counts[labels[row]] == most
    return result


def empo(labels: Sequence[Hashable], groups: Sequence[Hashable]) -> Numbers:
    """(N,) the part of the responses to a prompt that give the same answer (arXiv:2504.05812).

    A group in which all answers differ, whose entropy is the largest there is, gets 0: there is nothing to agree on. A
    label of None stands for no answer: it gets 0, and counts as a response that agrees with none.

    Args:
        labels: (N,) the cluster of meaning that each response belongs to, as any hashable.
        groups: (N,) ids, equal where responses answer the same prompt.

    >>> empo(["x", "x", "y", None, "x", "y"], ["a"] * 4 + ["b"] * 2)
    array([0.5 , 0.5 , 0.25, 0.  , 0.  , 0.  ])
    """
    result = np.zeros(len(labels))
    for rows, counts in _answers("empo", labels, groups):
        n = len(rows)
        alone = n - sum(counts.values())
        entropy = -sum(count / n * log(count / n) for count in [*counts.values(), *[1] * alone])
        if n == 1 or entropy < log(n) - 1e-9:
            for row in rows:
                result[row] = 0.0 if labels[row] is None else counts[labels[row]] / n
    return result


def _answers(who: str, labels: Sequence[Hashable], groups: Sequence[Hashable]) -> Any:
    """Rows of each group, and how often each answer is given there."""
    if len(labels) != len(groups):
        raise ValueError(f"{who}: got {len(labels)} labels but {len(groups)} group ids; pass one of each per response")
    names: list[Hashable] = getattr(groups, "tolist", lambda: list(groups))()
    rows: dict[Hashable, list[int]] = {}
    for row, name in enumerate(names):
        rows.setdefault(name, []).append(row)
    return [(some, Counter(labels[row] for row in some if labels[row] is not None)) for some in rows.values()]


def borda(wins: Any) -> Numbers:
    """(n,) the part of its comparisons that each of n responses won, ties as half a win.

    It depends on whom a response was compared with; where not all met all equally often, `bradley_terry` does not.

    Args:
        wins: (n, n) how often the row's response beat the column's; a tie is half a win for both. The diagonal is 0.

    Returns:
        (n,) numbers from 0 to 1; 1/2 without a comparison.

    Raises:
        ValueError: `wins` is no square of finite numbers of at least 0 with zeros on its diagonal.

    >>> borda([[0, 2, 1], [0, 0, 1.5], [1, 0.5, 0]])  # 3 of 4, 1.5 of 4, 1.5 of 4
    array([0.75 , 0.375, 0.375])
    """
    wins = _wins("borda", wins)
    met = wins + wins.T
    return np.where(met.sum(1) > 0, wins.sum(1) / np.maximum(met.sum(1), 1e-300), 0.5)


def bradley_terry(wins: Any, *, prior: float = 0.1, iterations: int = 1000) -> Numbers:
    """(n,) strengths s with P(i beats j) = sigmoid(s_i - s_j) that make the comparisons likeliest; their mean is 0.

    Args:
        wins: as in `borda`.
        prior: wins, and as many losses, of every response against one of strength 0: without any, a response that
            never lost would be infinitely strong, and two that never met could not be compared.
        iterations: at most; fewer where strengths have settled.

    Raises:
        ValueError: `wins` is as `borda` refuses it, or `prior` is not above 0.

    >>> bradley_terry([[0, 3], [1, 0]], prior=1e-9).round(3)  # half of log 3 either way
    array([ 0.549, -0.549])
    """
    wins = _wins("bradley_terry", wins)
    if not prior > 0:
        raise ValueError(f"bradley_terry: prior is {prior!r}; pass a number above 0, such as 0.1")
    met = wins + wins.T
    strength = np.zeros(len(wins))
    for _ in range(iterations):  # one Newton step for each response alone, damped: the likelihood is concave
        p = 1 / (1 + np.exp(-np.clip(strength[:, None] - strength[None, :], -500, 500)))
        own = 1 / (1 + np.exp(-np.clip(strength, -500, 500)))
        slope = (wins - met * p).sum(1) + prior - 2 * prior * own
        bend = (met * p * (1 - p)).sum(1) + 2 * prior * own * (1 - own)
        step = np.clip(slope / (2 * np.maximum(bend, 1e-12)), -1, 1)
        strength = strength + step
        if np.abs(step).max(initial=0.0) < 1e-12:
            break
    return strength - strength.mean() if len(wins) else strength


def _wins(who: str, wins: Any) -> Numbers:
    wins = np.asarray(wins, np.float64)
    if wins.ndim != 2 or wins.shape[0] != wins.shape[1]:
        raise ValueError(f"{who}: wins have shape {wins.shape}; pass one row and one column per response")
    if not np.isfinite(wins).all() or (wins < 0).any() or np.diagonal(wins).any():
        raise ValueError(
            f"{who}: wins must be finite, at least 0, and 0 on the diagonal; count a tie as half a win each"
        )
    return wins
