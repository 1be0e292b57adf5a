"""The exact expected update of an estimator on a bandit: a tree of answers of one token."""

from collections.abc import Callable
from typing import Any

from ..core.objectives import MEAN, Objective
from . import tree
from .tree import Tree, Updates

__all__ = ["Updates", "updates"]


def updates(
    estimator: Callable[..., Any], policy: Any, rewards: Any, n: int, objective: Objective = MEAN, **settings: Any
) -> Updates:
    """Enumerate the groups of `n` answers that a softmax policy can give to one prompt; see `tree.updates`.

        mean = sum over groups of P(group) * 1/n * sum over i of A_i * grad log pi(answer i)

    Args:
        estimator: takes words of the vocabulary, as numpy arrays.
        policy: (arms,) probabilities above zero.
        rewards: (arms,) reward of each answer.
        n: answers in a group.
        objective: whose gradient stands beside the mean.
        settings: of the estimator, and of the objective.

    Returns:
        The mean and the gradient are (arms,).

    >>> from advantages import rloo
    >>> found = updates(rloo, [0.5, 0.5], [1.0, 0.0], n=4)
    >>> found.mean.round(12), found.gradient
    (array([ 0.25, -0.25]), array([ 0.25, -0.25]))
    """
    arms: dict[tuple[int, ...], float] = {(arm,): float(reward) for arm, reward in enumerate(rewards)}
    found = tree.updates(estimator, Tree({(): policy}, arms), n, objective, **settings)
    return Updates(found.mean[0], found.deviation, found.gradient[0])
