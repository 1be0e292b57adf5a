"""Dr. GRPO (Liu et al., 2025, arXiv:2503.20783)."""

from typing import Unpack

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Bound, Promises
from ..core.types import A, GroupOptions, Ids, Vector
from ..ops.groupwise import group_centered
from ..spec import per_group


@per_group
def spec(r: Vector) -> Vector:
    return r - r.mean()


@estimator(
    spec=spec,
    portable=True,
    widens=True,
    paper=Paper("Understanding R1-Zero-like training: a critical perspective", "Liu et al.", 2025, "2503.20783"),
    promises=Promises(
        zero_sum=True,
        shift_invariant=True,
        scale="equivariant",
        monotone=True,
        gap_bound=Bound("(n - 1)/n", lambda n: (n - 1) / n),
        unbiased=Bound("(n - 1)/n", lambda n: (n - 1) / n),
    ),
)
def dr_grpo(rewards: A, groups: Ids, **options: Unpack[GroupOptions]) -> A:
    """Reward above the group's mean; not divided by its deviation.

        A_i = r_i - mean(r)

    The paper's other change, a constant instead of the response's length in the loss, is the loss's business.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    >>> import numpy as np
    >>> dr_grpo(np.array([1.0, 0.0, 5.0, 5.0]), ["a", "a", "b", "b"])
    array([ 0.5, -0.5,  0. ,  0. ])
    """
    return group_centered(rewards, groups)
