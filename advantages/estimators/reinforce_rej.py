"""Reinforce-Rej (Xiong et al., 2025, arXiv:2504.11343)."""

from typing import Unpack

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.types import A, GroupOptions, Ids, Vector
from ..ops.elementwise import where
from ..ops.groupwise import group_max, group_min
from ..spec import per_group


@per_group
def spec(r: Vector) -> Vector:
    return r if r.max() > r.min() else 0.0 * r


@estimator(
    spec=spec,
    portable=True,
    paper=Paper(
        "A minimalist approach to LLM reasoning: from rejection sampling to Reinforce",
        "Xiong et al.",
        2025,
        "2504.11343",
    ),
    promises=Promises(scale="equivariant", monotone=True),
)
def reinforce_rej(rewards: A, groups: Ids, **options: Unpack[GroupOptions]) -> A:
    """The reward itself, where a group's rewards differ: prompts that are all right or all wrong are rejected.

        A_i = r_i if max(r) > min(r), else 0

    The published test is a deviation above 0, which rounding passes for equal rewards; here it is on the rewards.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    >>> import numpy as np
    >>> reinforce_rej(np.array([1.0, -1.0, 1.0, 1.0]), ["a", "a", "b", "b"])
    array([ 1., -1.,  0.,  0.])
    """
    return where(group_max(rewards, groups) > group_min(rewards, groups), rewards, 0.0)
