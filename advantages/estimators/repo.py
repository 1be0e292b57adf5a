"""Entropy-preserving reinforcement learning, REPO-R (Petrenko et al., 2026, arXiv:2603.11682)."""

from typing import Any, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import Finite, NonNegative
from ..core.types import A, Array, GroupOptions, Ids, Vector
from ..ops.elementwise import at_least
from ..ops.groupwise import group_zscore
from ..spec import per_tokens_of_group


@per_tokens_of_group
def spec(r: Vector, token_logprobs: list[Vector], *, zeta: float = 0.001, epsilon: float = 1e-6) -> list[Any]:
    z = 0.0 * r if r.max() == r.min() else (r - r.mean()) / (r.std(ddof=1) + epsilon)
    return [
        z_i * np.array([max(0.0, 1 - zeta * logp if z_i > 0 else 1 + zeta * logp) for logp in s])
        for z_i, s in zip(z, token_logprobs, strict=True)
    ]


@estimator(
    unit="token",
    spec=spec,
    paper=Paper(
        "Entropy-preserving reinforcement learning",
        "Petrenko et al.",
        2026,
        "2603.11682",
        note="REPO-R, read in notes on the paper and in an example of SkyRL",
    ),
    promises=Promises(shift_invariant=True, scale="invariant"),
)
def repo(
    rewards: A,
    groups: Ids,
    token_logprobs: Array,
    mask: Array,
    *,
    zeta: Finite = 0.001,
    epsilon: NonNegative = 1e-6,
    **options: Unpack[GroupOptions],
) -> A:
    """GRPO whose unlikely tokens count more where they were good, and less where they were bad: entropy is kept.

        A_it = z_i * max(0, 1 - zeta log p_it) where z_i > 0,    z_i * max(0, 1 + zeta log p_it) where z_i < 0

    z is GRPO's advantage. A policy loses entropy as far as its advantages go along with its log-probabilities; REPO
    subtracts a multiple of the latter, A - beta (log p - E[log p]). REPO-R, this one, has beta = zeta |A| and leaves
    the mean out. A zeta below 0 spends entropy instead. The paper's controller doubles and halves zeta by whether the
    entropy is below where it began, between 0.0001 and 0.05; here it is a setting. It was not read as printed: what we
    saw agrees, and the log-probabilities may be those of the policy that is trained.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        token_logprobs: (N, T) log-probability of each token under the policy that sampled it, in nats.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        zeta: per nat; 0 is GRPO.
        epsilon: added to the group's deviation.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> logprobs = np.array([[0.0, -2.0], [0.0, -2.0]])
    >>> repo(np.array([1.0, 0.0]), ["a", "a"], logprobs, np.ones((2, 2), bool), zeta=0.25, epsilon=0.0).round(3)
    array([[ 0.707,  1.061],
           [-0.707, -0.354]])
    """
    z: Any = group_zscore(rewards, groups, epsilon=epsilon)[:, None]
    sign: Any = (z > 0) * 2.0 - 1.0
    return z * at_least(1.0 - zeta * sign * token_logprobs, 0.0)
