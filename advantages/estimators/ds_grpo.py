"""GRPO with differential smoothing, as in the MaxRL code (Tajwar et al., 2026, arXiv:2602.02710)."""

from typing import Any, Literal, Unpack

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import NonNegative
from ..core.types import A, Array, GroupOptions, Ids, Vector
from ..ops.elementwise import where, with_finite_squares
from ..ops.groupwise import group_zscore
from ..spec import per_group


@per_group
def spec(
    r: Vector, s: Vector, *, right: float = 0.01, wrong: float = 0.01, epsilon: float = 1e-6, ddof: int = 0
) -> Vector:
    z = 0.0 * r if r.max() == r.min() else (r - r.mean()) / (r.std(ddof=ddof) + epsilon)
    return z - right * s * (r > 0) + wrong * s * (r == 0)


@estimator(
    spec=spec,
    portable=True,
    paper=Paper(
        "Maximum likelihood reinforcement learning",
        "Tajwar et al.",
        2026,
        "2602.02710",
        note="differential smoothing as in its code",
    ),
    promises=Promises(scale="invariant", equals_get_zero=False),
)
def ds_grpo(
    rewards: A,
    groups: Ids,
    logprobs: Array,
    *,
    right: NonNegative = 0.01,
    wrong: NonNegative = 0.01,
    epsilon: NonNegative = 1e-6,
    ddof: Literal[0, 1] = 0,
    **options: Unpack[GroupOptions],
) -> A:
    """GRPO, with more for unlikely right responses, and less for unlikely wrong ones.

        A_i = z_i - right * s_i if r_i > 0;    z_i + wrong * s_i if r_i = 0

    s is the log-probability of the whole response, whose size grows with its length, so that long responses are moved
    most. The two terms are there in groups of equal rewards, too. The weights' published values were not read; these
    are ours. It lowers credit for likely right responses, where `lampo` raises it.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        logprobs: (N,) log-probability of the whole response under the policy that sampled it, in nats.
        right, wrong: advantage per nat.
        epsilon: added to the deviation.
        ddof: 0 for the population's deviation, as published; 1 for the sample's.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    >>> import numpy as np
    >>> ds_grpo(np.array([1.0, 0.0]), ["a", "a"], np.array([-20.0, -10.0])).round(3)  # 1 + 0.2 and -1 - 0.1
    array([ 1.2, -1.1])
    """
    rewards = with_finite_squares(rewards)
    z = group_zscore(rewards, groups, epsilon=epsilon, ddof=ddof)
    r: Any = rewards
    s: Any = logprobs
    return z - where(r > 0, right * s, 0.0) + where(r == 0, wrong * s, 0.0)
