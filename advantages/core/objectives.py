"""What estimators climb: functions of the policy over a prompt's answers, each with its derivative in closed form."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "BEST_OF_GROUP",
    "BEST_OF_K",
    "DISTILLED",
    "ENTROPIC",
    "LIKELIHOOD",
    "LIKELIHOOD_OF_GROUP",
    "LIKELIHOOD_OF_ORDER",
    "MEAN",
    "MIXED",
    "Answers",
    "Objective",
]


class Answers(NamedTuple):
    """All answers that can be given to one prompt."""

    probabilities: Any
    """(L,) under the policy, above zero."""
    rewards: Any
    """(L,)"""
    teacher: Any
    """(L,) probabilities under the teacher."""


@dataclass(frozen=True)
class Objective:
    """A function J of the policy, by its formula and its derivative.

    Args:
        formula: to print.
        worth: of `Answers`, the group's size n and the estimator's settings by name: (L,) the derivative of J by the
            probability of each answer, up to a constant; the gradient by logit is p * (worth - E[worth]).

    >>> answers = Answers(np.array([0.75, 0.25]), np.array([0.0, 1.0]), np.array([0.5, 0.5]))
    >>> MEAN.worth(answers, 4), LIKELIHOOD.worth(answers, 4)
    (array([0., 1.]), array([0., 4.]))
    """

    formula: str
    worth: Callable[..., Any]

    def __str__(self) -> str:
        return self.formula


def _mean(x: Answers, n: int, **settings: Any) -> Any:
    return x.rewards


def _best(x: Answers, k: int) -> Any:
    """J is the highest reward less the integral of P(r <= u)^k up to it, so that dJ/dp_i is less k P(r <= u)^(k - 1),
    integrated from r_i."""
    levels = np.unique(x.rewards)
    below = np.array([x.probabilities[x.rewards <= level].sum() for level in levels[:-1]])
    slopes = k * below ** (k - 1) * np.diff(levels)
    return np.array([-slopes[levels[:-1] >= r].sum() for r in x.rewards])


def _best_of_k(x: Answers, n: int, *, k: int = 2, **settings: Any) -> Any:
    return _best(x, k)


def _best_of_group(x: Answers, n: int, **settings: Any) -> Any:
    return _best(x, n)


def _likelihood(x: Answers, n: int, **settings: Any) -> Any:
    return x.rewards / (x.probabilities @ x.rewards)


def _series(x: Answers, order: int) -> Any:
    wrong = 1.0 - x.probabilities @ x.rewards
    return x.rewards * sum(wrong ** (k - 1) for k in range(1, order + 1))


def _likelihood_of_order(x: Answers, n: int, *, order: int = 2, **settings: Any) -> Any:
    return _series(x, min(order, n))


def _likelihood_of_group(x: Answers, n: int, **settings: Any) -> Any:
    return _series(x, n)


def _entropic(x: Answers, n: int, *, beta: float = 1.0, **settings: Any) -> Any:
    weights = np.exp(beta * (x.rewards - x.rewards.max()))
    return weights / (x.probabilities @ weights) / beta


def _distilled(x: Answers, n: int, **settings: Any) -> Any:
    return x.rewards + np.log(x.teacher / x.probabilities)


def _mixed(x: Answers, n: int, *, beta: float = 0.5, **settings: Any) -> Any:
    mixture = beta * x.teacher + (1.0 - beta) * x.probabilities
    return x.rewards - (1.0 - beta) * np.log(x.probabilities / mixture)


MEAN = Objective("E[r]", _mean)
BEST_OF_K = Objective("E[max of k]", _best_of_k)
BEST_OF_GROUP = Objective("E[max of n]", _best_of_group)
LIKELIHOOD = Objective("log E[r]", _likelihood)
LIKELIHOOD_OF_ORDER = Objective("log P(right) to the order", _likelihood_of_order)
LIKELIHOOD_OF_GROUP = Objective("log P(right) to order n", _likelihood_of_group)
ENTROPIC = Objective("log E[exp(beta r)]/beta", _entropic)
DISTILLED = Objective("E[r] - KL(policy, teacher)", _distilled)
MIXED = Objective("E[r] - JSD(policy, teacher)", _mixed)
