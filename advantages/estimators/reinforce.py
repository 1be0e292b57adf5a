"""REINFORCE (Williams, 1992, Machine Learning 8:229-256)."""

from typing import Unpack

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Bound, Promises
from ..core.types import A, RowOptions, Vector
from ..spec import per_batch


@per_batch
def spec(r: Vector) -> Vector:
    return r


@estimator(
    spec=spec,
    portable=True,
    paper=Paper(
        "Simple statistical gradient-following algorithms for connectionist reinforcement learning",
        "Williams",
        1992,
        venue="Machine Learning 8:229-256",
    ),
    promises=Promises(scale="equivariant", monotone=True, unbiased=Bound("1", lambda n: 1.0)),
)
def reinforce(rewards: A, **options: Unpack[RowOptions]) -> A:
    """The reward itself, with no baseline.

        A_i = r_i

    Args:
        rewards: (N,) outcome reward of each response.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    >>> import numpy as np
    >>> reinforce(np.array([1.0, np.nan, -0.5]))
    array([ 1. ,  0. , -0.5])
    """
    return rewards
