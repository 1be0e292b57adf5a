"""On-policy RL with the optimal reward baseline (Hao et al., 2025, arXiv:2505.23585)."""

from typing import Any, Unpack

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Bound, Promises
from ..core.types import A, Array, GroupOptions, Ids, Vector
from ..ops.elementwise import where
from ..ops.groupwise import group_centered, group_sum
from ..spec import per_group


@per_group
def spec(r: Vector, l: Vector) -> Vector:  # noqa: E741
    return r - (l * r).sum() / l.sum() if l.sum() > 0 else 0.0 * r


@estimator(
    spec=spec,
    portable=True,
    paper=Paper("On-policy RL with optimal reward baseline", "Hao et al.", 2025, "2505.23585"),
    promises=Promises(shift_invariant=True, scale="equivariant", monotone=True, gap_bound=Bound("1", lambda n: 1.0)),
)
def opo(rewards: A, groups: Ids, lengths: Array, **options: Unpack[GroupOptions]) -> A:
    """Reward above the group's mean, where a response counts as often as it has tokens.

        A_i = r_i - sum over j of l_j r_j / sum over j of l_j

    The baseline of least variance, if the squared norm of a response's gradient grows with its length. It is not
    unbiased: the baseline holds the own reward. A group without a trained token gets 0 (in verl, NaN).

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        lengths: (N,) trained tokens in each response.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`; none exceeds the largest gap.

    >>> import numpy as np
    >>> opo(np.array([1.0, 0.0]), ["a", "a"], np.array([30, 10]))
    array([ 0.25, -0.75])
    """
    centered: Any = group_centered(rewards, groups)
    total: Any = group_sum(lengths, groups)
    offset = group_sum(lengths * centered, groups) / where(total > 0, total, 1.0)
    return where(total > 0, centered - offset, 0.0)
