"""Weighted REINFORCE (Zhu et al., 2025, arXiv:2506.01347)."""

from typing import Any, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Bound, Promises
from ..core.settings import NonNegative, Range
from ..core.types import A, RowOptions, Vector
from ..spec import per_batch


@per_batch
def spec(r: Vector, *, positive: float = 0.1) -> Any:
    return np.where(r == 1, positive, -1.0)


@estimator(
    spec=spec,
    portable=True,
    paper=Paper(
        "The surprising effectiveness of negative reinforcement in LLM reasoning", "Zhu et al.", 2025, "2506.01347"
    ),
    promises=Promises(monotone=True, unbiased=Bound("1.1", lambda n: 1.1)),
    ranges={"rewards": Range(0.0, 1.0, whole=True)},
)
def w_reinforce(
    rewards: A,
    *,
    positive: NonNegative = 0.1,
    **options: Unpack[RowOptions],
) -> A:
    """Wrong responses are pushed down in full, right ones reinforced a little.

        A_i = positive for a right response, -1 for a wrong one

    Rewards are verdicts, 0 or 1; the authors' code compares with both, and lets others through unchanged.

    Args:
        rewards: (N,) 1 where the response is right, else 0.
        positive: weight of right responses; 0 is NSR.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    Raises:
        ValueError: a reward is neither 0 nor 1.

    >>> import numpy as np
    >>> w_reinforce(np.array([1.0, 0.0]))
    array([ 0.1, -1. ])
    """
    advantages: Any = (1.0 + positive) * rewards - 1.0
    return advantages
