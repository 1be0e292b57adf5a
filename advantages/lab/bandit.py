"""The exact expected update of an estimator on a bandit, beside the gradient of the expected reward."""

import inspect
from collections.abc import Callable
from itertools import combinations_with_replacement
from math import factorial, prod
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Updates", "updates"]


class Updates(NamedTuple):
    """What one group's update A * grad log pi, averaged over the group, is over all groups that can be drawn."""

    mean: Any
    """(arms,) its expectation, by logit."""
    deviation: float
    """Root of the expected squared distance from that mean."""
    gradient: Any
    """(arms,) gradient of the expected reward by logit: what an unbiased estimator's mean is a multiple of."""


def updates(estimator: Callable[..., Any], policy: Any, rewards: Any, n: int, **settings: Any) -> Updates:
    """Enumerate the groups of `n` answers that a softmax policy can give to one prompt.

        mean = sum over groups of P(group) * 1/n * sum over i of A_i * grad log pi(answer i)

    Every group is one group of a single call, weighed by its probability. The order of a group's answers is left
    out, since an estimator's advantages follow its rows.

    Args:
        estimator: takes `rewards`, and any of `groups` and `logprobs`; numpy arrays.
        policy: (arms,) probabilities above zero.
        rewards: (arms,) reward of each answer.
        n: answers in a group.
        settings: of the estimator.

    >>> from advantages import rloo
    >>> found = updates(rloo, [0.5, 0.5], [1.0, 0.0], n=4)
    >>> found.mean.round(12), found.gradient
    (array([ 0.25, -0.25]), array([ 0.25, -0.25]))
    """
    policy, rewards = np.asarray(policy, np.float64), np.asarray(rewards, np.float64)
    arms = len(policy)
    drawn = np.array(list(combinations_with_replacement(range(arms), n)))
    weights = np.array([_probability(np.bincount(group, minlength=arms), policy) for group in drawn])
    inputs = {
        "rewards": rewards[drawn].ravel(),
        "groups": np.repeat(np.arange(len(drawn)), n),
        "logprobs": np.log(policy)[drawn].ravel(),
    }
    takes = inspect.signature(estimator).parameters
    advantages = estimator(**{name: x for name, x in inputs.items() if name in takes}, **settings)
    scores = np.eye(arms) - policy  # grad log pi of each answer
    each = np.einsum("gi,gik->gk", np.asarray(advantages).reshape(drawn.shape), scores[drawn]) / n
    mean = weights @ each
    deviation = np.sqrt(weights @ ((each - mean) ** 2).sum(1))
    return Updates(mean, float(deviation), policy * (rewards - policy @ rewards))


def _probability(counts: Any, policy: Any) -> float:
    ways = factorial(int(counts.sum())) // prod(factorial(int(k)) for k in counts)
    return float(ways * np.prod(policy**counts))
