"""Hierarchy-aware credit assignment (Wang et al., 2025, arXiv:2509.03646)."""

from typing import Any, Unpack

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import NonNegative
from ..core.types import A, Array, GroupOptions, Ids, Vector
from ..ops.elementwise import namespace, where
from ..ops.groupwise import group_zscore
from ..spec import per_tokens_of_group


@per_tokens_of_group
def spec(r: Vector, planning: list[Vector], *, alpha: float = 0.2, epsilon: float = 1e-6) -> list[Any]:
    z = 0.0 * r if r.max() == r.min() else (r - r.mean()) / (r.std(ddof=1) + epsilon)
    return [z_i + alpha * abs(z_i) * plan for z_i, plan in zip(z, planning, strict=True)]


@estimator(
    unit="token",
    spec=spec,
    paper=Paper(
        "Emergent hierarchical reasoning in LLMs through reinforcement learning",
        "Wang et al.",
        2025,
        "2509.03646",
        note="formula read in third-party code",
    ),
    promises=Promises(shift_invariant=True, scale="invariant"),
)
def hicra(
    rewards: A,
    groups: Ids,
    planning: Array,
    mask: Array,
    *,
    alpha: NonNegative = 0.2,
    epsilon: NonNegative = 1e-6,
    **options: Unpack[GroupOptions],
) -> A:
    """GRPO, with more credit and less blame for the tokens that plan.

        A_it = z_i + alpha * |z_i| where the token plans, else z_i

    z is GRPO's advantage. Which tokens plan is for the caller to say.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        planning: (N, T) bool, tokens that plan what follows, rather than carry it out.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        alpha: how much more, as a share.
        epsilon: added to the deviation.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> plan = np.array([[True, False], [True, False]])
    >>> hicra(np.array([1.0, 0.0]), ["a", "a"], plan, np.ones((2, 2), bool)).round(3)
    array([[ 0.849,  0.707],
           [-0.566, -0.707]])
    """
    z: Any = group_zscore(rewards, groups, epsilon=epsilon)[:, None]
    return where(planning, z + alpha * namespace(z).abs(z), z)
