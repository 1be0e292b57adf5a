"""Negative sample reinforcement (Zhu et al., 2025, arXiv:2506.01347)."""

from typing import Any, Unpack

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Bound, Promises
from ..core.settings import Range
from ..core.types import A, RowOptions, Vector
from ..spec import per_batch


@per_batch
def spec(r: Vector) -> Any:
    return r - 1


@estimator(
    spec=spec,
    portable=True,
    paper=Paper(
        "The surprising effectiveness of negative reinforcement in LLM reasoning", "Zhu et al.", 2025, "2506.01347"
    ),
    promises=Promises(monotone=True, unbiased=Bound("1", lambda n: 1.0)),
    ranges={"rewards": Range(0.0, 1.0, whole=True)},
)
def nsr(rewards: A, **options: Unpack[RowOptions]) -> A:
    """Wrong responses are pushed down, right ones left alone: probability moves to what else the policy holds likely.

        A_i = r_i - 1

    Rewards are verdicts, 0 or 1; the authors' code compares with both, and lets others through unchanged.

    Args:
        rewards: (N,) 1 where the response is right, else 0.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    Raises:
        ValueError: a reward is neither 0 nor 1.

    >>> import numpy as np
    >>> nsr(np.array([1.0, 0.0]))
    array([ 0., -1.])
    """
    advantages: Any = rewards - 1.0
    return advantages
