"""REINFORCE leave-one-out (Ahmadian et al., 2024, arXiv:2402.14740; Kool et al., 2019)."""

from typing import Unpack

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Bound, Promises
from ..core.types import A, GroupOptions, Ids, Vector
from ..ops.groupwise import group_above_others
from ..spec import per_group


@per_group
def spec(r: Vector) -> Vector:
    return r - (r.sum() - r) / (len(r) - 1)


@estimator(
    spec=spec,
    portable=True,
    widens=True,
    paper=Paper(
        "Back to basics: revisiting REINFORCE style optimization for learning from human feedback in LLMs",
        "Ahmadian et al.",
        2024,
        "2402.14740",
    ),
    promises=Promises(
        zero_sum=True,
        shift_invariant=True,
        scale="equivariant",
        monotone=True,
        gap_bound=Bound("1", lambda n: 1.0),
        unbiased=Bound("1", lambda n: 1.0),
    ),
)
def rloo(rewards: A, groups: Ids, **options: Unpack[GroupOptions]) -> A:
    """Reward above the mean of the others in the group.

        A_i = r_i - 1/(n-1) * sum over j != i of r_j  =  n/(n-1) * (r_i - mean(r))

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    >>> import numpy as np
    >>> rloo(np.array([1.0, 0.0, 0.0, 7.0]), ["a", "a", "a", "b"])
    array([ 1. , -0.5, -0.5,  0. ])
    """
    return group_above_others(rewards, groups)
