"""LUFFY: learning to reason under off-policy guidance (Yan et al., 2025, arXiv:2504.14945)."""

from typing import Any, Unpack

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import NonNegative
from ..core.types import A, Array, GroupOptions, Ids, Vector
from ..ops.elementwise import namespace, where, with_finite_squares
from ..ops.groupwise import group_mean, group_std, group_sum
from ..spec import per_group


@per_group
def spec(r: Vector, on_policy: Vector, *, epsilon: float = 1e-6, one_sided: bool = False) -> Vector:
    own = r[on_policy == 1]
    if not len(own):
        return 0.0 * r
    std = own.std(ddof=1) + epsilon if len(own) > 1 and own.max() > own.min() else 1.0
    a = (r - own.mean()) / std
    if one_sided:
        a[(on_policy == 0) & (a < 0)] = 0.0
    return a


@estimator(
    spec=spec,
    portable=True,
    paper=Paper("Learning to reason under off-policy guidance", "Yan et al.", 2025, "2504.14945"),
    promises=Promises(shift_invariant=True, monotone=True),
)
def luffy(
    rewards: A,
    groups: Ids,
    on_policy: Array,
    *,
    epsilon: NonNegative = 1e-6,
    one_sided: bool = False,
    **options: Unpack[GroupOptions],
) -> A:
    """GRPO whose statistics are those of the policy's own responses; a teacher's are measured by them.

        A_i = (r_i - mean(r on policy)) / (std(r on policy) + epsilon)

    Where the own rewards are equal, or only one is there, nothing is divided. A group without a response of the policy
    has no baseline, and gets 0; the published code fails there. ExGRPO uses the same for replayed responses.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        on_policy: (N,) bool, responses that the trained policy sampled itself.
        epsilon: added to the deviation.
        one_sided: others' responses that are below the mean get 0.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    >>> import numpy as np
    >>> own = np.array([True, True, False])
    >>> luffy(np.array([1.0, 0.0, 1.0]), ["a"] * 3, own, epsilon=0.0).round(3)
    array([ 0.707, -0.707,  0.707])
    """
    rewards = with_finite_squares(rewards)
    own = groups.where(on_policy)  # type: ignore[union-attr]
    ones = namespace(rewards).ones_like(rewards)
    std: Any = group_std(rewards, own)
    advantages = (rewards - group_mean(rewards, own)) / where(std > 0, std + epsilon, 1.0)
    if one_sided:
        advantages = where(on_policy | (advantages > 0), advantages, 0.0)
    return where(group_sum(ones, own) > 0, advantages, 0.0)
