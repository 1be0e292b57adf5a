"""From right and wrong completions to pass@k, maj@k and their intervals."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from math import comb
from typing import Any

import numpy as np
from scipy.special import stdtrit

__all__ = ["interval", "maj_at_k", "pass_at_k", "sampling_error"]

MOST_COMPLETIONS = 1000
"""Of one problem: beyond it, the binomial coefficients of `maj_at_k` leave the range of float64."""


def pass_at_k(completions: int, right: int, k: int) -> float:
    """Probability that k completions of one problem, drawn from those that there are, hold a right one.

        1 - C(n - c, k) / C(n, k)

    An unbiased estimate of the chance that k new completions hold one (Chen et al., 2021, arXiv:2107.03374); for k = 1
    it is the share that is right.

    Raises:
        ValueError: k is not between 1 and the number of completions.

    >>> pass_at_k(4, 1, 1), pass_at_k(4, 1, 2), pass_at_k(4, 3, 2)
    (0.25, 0.5, 1.0)
    """
    _check_k("pass@k", completions, k)
    return 1.0 - comb(completions - right, k) / comb(completions, k)


def maj_at_k(votes: Sequence[Hashable | None], right: Sequence[float], k: int) -> float:
    """Probability that the most frequent answer of k completions, drawn from those that there are, is right.

    The exact expectation over all C(n, k) draws and over ties, which are broken at random, each of the tied answers
    being as likely: a two-way tie between a right and a wrong answer counts one half. So it is as unbiased as
    `pass_at_k`. A completion without an answer abstains; where all of a draw abstain, it is wrong. For k = 1 this is
    pass@1.

    Args:
        votes: (n,) each completion's answer; equal where answers are the same, None where there is none.
        right: (n,) 1 where the answer is right, else 0. Where completions of one answer differ, the answer counts as
            their mean.
        k: completions in a draw.

    Raises:
        ValueError: k is not between 1 and the number of completions, or there are more than 1000 of these.

    >>> maj_at_k(["7", "7", "8"], [1, 1, 0], 3), maj_at_k(["7", "8"], [1, 0], 2), maj_at_k(["7", None], [1, 0], 2)
    (1.0, 0.5, 1.0)
    """
    _check_k("maj@k", len(votes), k)
    if len(votes) > MOST_COMPLETIONS:
        raise ValueError(f"maj@k: there are {len(votes)} completions of a problem; pass at most {MOST_COMPLETIONS}")
    sizes = Counter(vote for vote in votes if vote is not None)
    worth: dict[Hashable, float] = defaultdict(float)
    for vote, value in zip(votes, right, strict=True):
        if vote is not None:
            worth[vote] += value / sizes[vote]
    of_size: dict[int, float] = defaultdict(float)
    for vote, size in sizes.items():
        of_size[size] += worth[vote]  # answers of one size are as likely to win
    abstaining = len(votes) - sizes.total()
    wins = 0.0
    for size, value in of_size.items():
        if value:
            others = list(sizes.values())
            others.remove(size)
            for most in range(1, min(size, k) + 1):
                ways = comb(size, most) * _ways(others, abstaining, k - most, most)
                wins += value * float((ways / np.arange(1, len(ways) + 1)).sum())
    return min(1.0, wins / comb(len(votes), k))


def _ways(sizes: Sequence[int], free: int, drawn: int, most: int) -> Any:
    """(tied,) in how many ways `drawn` responses have no answer more than `most` times, and 0, 1 ... answers so often.

    Answers have so many responses each; `free` responses have none, and are not limited.
    """
    table = np.zeros((drawn + 1, drawn // most + 1))
    table[0, 0] = 1.0
    for size in sizes:
        new = table.copy()
        for count in range(1, min(size, most, drawn) + 1):
            old = comb(size, count) * table[: drawn + 1 - count]
            if count < most:
                new[count:] += old
            else:
                new[count:, 1:] += old[:, :-1]
        table = new
    return sum(comb(free, count) * table[drawn - count] for count in range(min(free, drawn) + 1))


def interval(values: Any, trials: int | None = None, confidence: float = 0.95) -> tuple[float, float]:
    """Confidence interval of the mean over problems, for a population of problems of which these are a sample.

    Problems are the clusters: completions of one problem are alike, so only the spread between problems counts
    (Miller, 2024, arXiv:2411.00640). The clustered standard error says how many independent trials the mean is worth,
    n* = m(1 - m) / se^2, and Wilson's score interval (1927) is taken at n* trials, with Student's t in place of the
    normal quantile: the effective sample size of Korn and Graubard (1998) in the interval that Dean and Pagano (2015,
    doi:10.1093/jssam/smv024) found best for clustered proportions. So it stays within [0, 1], and all right or all
    wrong gives no interval of width 0: there n* is the number of problems.

    Args:
        values: (problems,) each one's mean, in [0, 1].
        trials: independent trials behind all values, which n* never exceeds; None: any number.
        confidence: how often the interval shall hold the population's mean.

    >>> low, high = interval([1.0, 1.0, 0.0, 1.0, 0.5, 0.0, 1.0, 1.0])
    >>> round(low, 2), round(high, 2)
    (0.31, 0.92)
    """
    values = np.asarray(values, dtype=np.float64)
    problems, mean = len(values), float(values.mean())
    square = float(values.var(ddof=1)) / problems if problems > 1 else 0.0
    worth = min(mean * (1.0 - mean) / square, trials or np.inf) if square else float(problems)
    quantile = float(stdtrit(max(1, problems - 1), 0.5 + confidence / 2.0))
    spread = quantile**2 / worth
    centre = (mean + spread / 2.0) / (1.0 + spread)
    half = np.sqrt(spread * mean * (1.0 - mean) + spread**2 / 4.0) / (1.0 + spread)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def sampling_error(completions: int, right: Any) -> float | None:
    """Standard error of pass@1 over new completions of the same problems; None where each has but one completion.

    Args:
        completions: of each problem.
        right: (problems,) how many of them are right.
    """
    if completions < 2:
        return None
    share = np.asarray(right, dtype=np.float64) / completions
    return float(np.sqrt((share * (1.0 - share) / (completions - 1)).sum()) / len(share))


def _check_k(who: str, completions: int, k: int) -> None:
    if not 1 <= k <= completions:
        raise ValueError(f"{who}: k is {k} but a problem has {completions} completions; pass a k from 1 to that")
