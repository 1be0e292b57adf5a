"""GRPO with an entropy bonus in the advantage (Cheng et al., 2025, arXiv:2506.14758)."""

from typing import Annotated, Any, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import NonNegative, Range
from ..core.types import A, Array, GroupOptions, Ids, Vector
from ..ops.elementwise import raised_by_entropy
from ..ops.groupwise import group_zscore
from ..spec import per_tokens_of_group


@per_tokens_of_group
def spec(
    r: Vector, token_entropies: list[Vector], *, alpha: float = 0.4, kappa: float = 2.0, epsilon: float = 1e-6
) -> list[Any]:
    z = 0.0 * r if r.max() == r.min() else (r - r.mean()) / (r.std(ddof=1) + epsilon)
    return [z_i + np.minimum(alpha * h, abs(z_i) / kappa) for z_i, h in zip(z, token_entropies, strict=True)]


@estimator(
    unit="token",
    spec=spec,
    paper=Paper("Reasoning with exploration: an entropy perspective", "Cheng et al.", 2025, "2506.14758"),
    promises=Promises(shift_invariant=True, scale="invariant"),
)
def entropy_shaped_grpo(
    rewards: A,
    groups: Ids,
    token_entropies: Array,
    mask: Array,
    *,
    alpha: NonNegative = 0.4,
    kappa: Annotated[float, Range(1.0, float("inf"))] = 2.0,
    epsilon: NonNegative = 1e-6,
    **options: Unpack[GroupOptions],
) -> A:
    """GRPO, with more advantage where the policy hesitated.

        A_it = z_i + min(alpha * H_it, |z_i| / kappa)

    z is GRPO's advantage, H the policy's entropy at the token, through which no gradient flows. The bonus never flips
    a sign, and vanishes where rewards are equal; it raises the sum over a group. It is `grpo` with the stage
    `entropy_shaped` behind it, which any other estimator may have instead.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        token_entropies: (N, T) entropy of the policy at each token, in nats.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        alpha: per nat.
        kappa: the bonus is at most the advantage's size over this, which is at least 1.
        epsilon: added to the deviation.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> entropies = np.array([[0.5, 5.0], [0.5, 5.0]])
    >>> entropy_shaped_grpo(np.array([1.0, 0.0]), ["a", "a"], entropies, np.ones((2, 2), bool)).round(3)
    array([[ 0.907,  1.061],
           [-0.507, -0.354]])
    """
    z: Any = group_zscore(rewards, groups, epsilon=epsilon)
    return raised_by_entropy(z[:, None], token_entropies, alpha=alpha, kappa=kappa)
