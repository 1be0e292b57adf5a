"""REINFORCE++ with a group baseline (Hu et al., 2025, arXiv:2501.03262)."""

from collections.abc import Hashable, Sequence
from typing import Any, Unpack

import numpy as np

from ..call import Promises, estimator
from ..core.types import A, Array, BlockOptions, Ids, NonNegative, Singleton, Vector, required
from ..ops import Weight, to_tokens, whiten
from ..spec import per_responses
from .dr_grpo import dr_grpo
from .dr_grpo import spec as dr_grpo_spec
from .reinforce_plus_plus import whitened


@per_responses
def spec(
    r: list[float],
    *,
    groups: Sequence[Hashable],
    lengths: list[int],
    singleton: str = "zero",
    weight: str = "tokens",
    epsilon: float = 1e-6,
) -> list[Vector]:
    above = dr_grpo_spec(rewards=np.array(r), groups=groups, singleton=singleton)
    return whitened([np.full(n, a) for n, a in zip(lengths, above, strict=True)], weight=weight, epsilon=epsilon)


@estimator(spec=spec, promises=Promises(spans_batch=True, shift_invariant=True, scale="invariant"))
def reinforce_plus_plus_baseline(
    rewards: A,
    groups: Ids = required,
    mask: Array = required,
    *,
    weight: Weight = "tokens",
    epsilon: NonNegative = 1e-6,
    across: Any = None,
    singleton: Singleton = "zero",
    **options: Unpack[BlockOptions],
) -> A:
    """Reward above the group's mean, whitened over all trained tokens of the batch.

        A_it = (a_i - mean(a)) / (std(a) + epsilon),    a_i = r_i - mean(r)

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        weight: statistics count all "tokens" alike, or all "responses" alike, whatever their lengths.
        epsilon: added to the deviation.
        across: how to reach the other ranks for the batch's statistics, see `advantages.ops.moments`.
        singleton: what a response that is alone in its group has before whitening: "zero", "raw" (its reward) or
            "error".

    Returns:
        (N, T) advantages of the library, device and floating dtype of `rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> reinforce_plus_plus_baseline(np.array([1.0, 0.0]), ["a", "a"], np.ones((2, 2), bool)).round(3)
    array([[ 0.866,  0.866],
           [-0.866, -0.866]])
    """
    above = dr_grpo(rewards, groups, singleton=singleton)
    return whiten(to_tokens(above, mask), mask, weight=weight, epsilon=epsilon, across=across)
