"""REINFORCE with a baseline from outside (Williams, 1992, Machine Learning 8:229-256)."""

from typing import Unpack

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Bound, Promises
from ..core.types import A, Array, RowOptions, Vector
from ..spec import per_batch


@per_batch
def spec(r: Vector, b: Vector) -> Vector:
    return r - b


@estimator(
    spec=spec,
    portable=True,
    paper=Paper(
        "Simple statistical gradient-following algorithms for connectionist reinforcement learning",
        "Williams",
        1992,
        venue="Machine Learning 8:229-256",
    ),
    promises=Promises(scale="equivariant", unbiased=Bound("1", lambda n: 1.0)),
)
def baselined(rewards: A, baselines: Array, **options: Unpack[RowOptions]) -> A:
    """Reward above a baseline that comes from elsewhere: a greedy rollout, a reference policy, a running mean.

        A_i = r_i - b_i

    Unbiased where the baseline does not depend on the response itself. With the reward of the greedy response it is
    ReMax for outcome rewards, with tau * log(mean(exp(r / tau))) over a reference policy's samples the target of A*-PO.

    Args:
        rewards: (N,) outcome reward of each response.
        baselines: (N,) what each is compared with.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    >>> import numpy as np
    >>> baselined(np.array([1.0, 0.0]), np.array([0.25, 0.25]))
    array([ 0.75, -0.25])
    """
    return rewards - baselines
