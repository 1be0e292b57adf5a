"""Reinforce-Ada (Xiong et al., 2025, arXiv:2510.04996)."""

from math import sqrt
from typing import Any, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import NonNegative, Range
from ..core.types import A, Array, RowOptions, Vector
from ..ops.elementwise import at_least, namespace, where
from ..spec import per_batch


@per_batch
def spec(r: Vector, successes: Vector, failures: Vector, *, epsilon: float = 1e-6) -> Any:
    a = np.zeros(len(r))
    for i, (x, c, f) in enumerate(zip(r, successes, failures, strict=True)):
        n = c + f
        if c > 0 and f > 0:
            a[i] = (x - c / n) / (sqrt(c * f / (n * (n - 1))) + epsilon)
    return a


@estimator(
    spec=spec,
    portable=True,
    paper=Paper(
        "Reinforce-Ada: an adaptive sampling framework for Reinforce-style LLM training",
        "Xiong et al.",
        2025,
        "2510.04996",
        note="read in the authors' code",
    ),
    promises=Promises(),
    ranges={"rewards": Range(0.0, 1.0, whole=True)},
)
def reinforce_ada(
    rewards: A,
    successes: Array,
    failures: Array,
    *,
    epsilon: NonNegative = 1e-6,
    **options: Unpack[RowOptions],
) -> A:
    """GRPO whose statistics are those of all responses that were sampled, of which the batch holds a few.

        A_i = (r_i - p) / (std + epsilon),    p = c / (c + f),    std^2 = c f / (n (n - 1)),    n = c + f

    Sampling until enough are right and wrong, and keeping as many of each, would make every prompt look half right.
    The published code clips the deviation at 1e-6 instead of adding to it. Where all are right, or all are wrong, there
    is nothing to compare, and the advantage is 0. Where the whole group is at hand, pass it to `grpo` with `trained`.

    Args:
        rewards: (N,) 1 where the response is right, else 0.
        successes, failures: (N,) responses to the same prompt that were right and wrong, those left out included.
        epsilon: added to the deviation.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    Raises:
        ValueError: a reward is neither 0 nor 1.

    >>> import numpy as np
    >>> reinforce_ada(np.array([1.0, 0.0]), np.array([1, 1]), np.array([3, 3]), epsilon=0.0)  # p = 1/4, std = 1/2
    array([ 1.5, -0.5])
    """
    right: Any = successes
    wrong: Any = failures
    n = right + wrong
    std = namespace(rewards).sqrt(right * wrong / at_least(n * (n - 1.0), 1.0))
    mixed = (right > 0) & (wrong > 0)
    return where(mixed, (rewards - right / at_least(n, 1.0)) / where(mixed, std + epsilon, 1.0), 0.0)
