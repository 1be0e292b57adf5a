"""PRIME (Cui et al., 2025, arXiv:2502.01456)."""

from collections.abc import Hashable, Sequence
from typing import Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import Fraction, NonNegative
from ..core.types import A, Array, GroupOptions, Ids, Vector
from ..ops.elementwise import at_least, where
from ..ops.groupwise import group_above_others, group_count, group_sum
from ..ops.statistics import Weight, whiten
from ..ops.tokens import discounted_returns, ones_where
from ..spec import per_responses, whitened


@per_responses
def spec(
    rewards: list[float],
    token_rewards: list[Vector],
    *,
    groups: Sequence[Hashable],
    process_weight: float = 1.0,
    discount: float = 1.0,
    weight: str = "tokens",
    epsilon: float = 1e-6,
    singleton: str = "zero",
    min_scored: int = 2,
) -> list[Vector]:
    returns = []
    small = []
    for i, r in enumerate(token_rewards):
        peers = [k for k, group in enumerate(groups) if group == groups[i]]
        n = len(peers)
        small.append(n < min_scored)
        factor = n / max(n - 1, 1)
        outcome = factor * (rewards[i] - np.mean([rewards[k] for k in peers]))
        means = sum(token_rewards[k].mean() if len(token_rewards[k]) else 0.0 for k in peers)
        process = factor * r - means / max(n - 1, 1) if n > 1 else 0.0 * r
        g = process_weight * process
        for t in reversed(range(len(r) - 1)):
            g[t] += discount * g[t + 1]
        returns.append(g + outcome)
    white = whitened(returns, weight=weight, epsilon=epsilon)
    if singleton == "raw":
        return [np.full(len(a), rewards[i]) if small[i] else a for i, a in enumerate(white)]
    return [0.0 * a if small[i] else a for i, a in enumerate(white)]


@estimator(
    unit="token",
    spec=spec,
    paper=Paper("Process reinforcement through implicit rewards", "Cui et al.", 2025, "2502.01456"),
    promises=Promises(spans_batch=True, shift_invariant=True, scale="invariant"),
)
def prime(
    rewards: A,
    groups: Ids,
    mask: Array,
    token_rewards: Array,
    *,
    process_weight: NonNegative = 1.0,
    discount: Fraction = 1.0,
    weight: Weight = "tokens",
    epsilon: NonNegative = 1e-6,
    **options: Unpack[GroupOptions],
) -> A:
    """Leave-one-out outcome plus the reward-to-go of centred process rewards, whitened over the batch.

        A_t = whiten(n/(n-1) (r - mean(r)) + process_weight * G_t),    G_t = c_t + discount * G_{t+1},
        c_t = (n q_t - sum_j mean_t(q_j)) / (n - 1)    with q the rewards of tokens

    The baseline of the process rewards is subtracted at every token, so that a response's length enters its return, as
    printed. A response without siblings has neither part. A process reward on a masked token counts at the last trained
    one before it, as every reward does; where a model gave some to observations or padding, drop them first, with
    `advantages.ops.masked_rewards`.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        token_rewards: (N, T) process reward of each token, such as beta * log(p / q) of an implicit reward model.
        process_weight: of the process rewards against the outcome.
        discount: per trained token, of the process rewards.
        weight: statistics count all "tokens" alike, or all "responses" alike, whatever their lengths.
        epsilon: added to the deviation.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> process, mask = np.array([[0.0, 0.5], [0.0, 0.0]]), np.ones((2, 2), bool)
    >>> prime(np.array([1.0, 0.0]), ["a", "a"], mask, process).round(3)
    array([[ 0.791,  0.935],
           [-0.935, -0.791]])
    """
    n = 0.0 * rewards + group_count(rewards, groups)
    factor = n / at_least(n - 1, 1.0)
    process = where(mask, token_rewards, 0.0)
    means = process.sum(1) / at_least(ones_where(mask, process).sum(1), 1.0)
    others = group_sum(means, groups) / at_least(n - 1, 1.0)
    centered = where(mask & (n[:, None] > 1), factor[:, None] * process - others[:, None], 0.0)
    returns = discounted_returns(centered, mask, discount=discount)
    outcome = group_above_others(rewards, groups)[:, None]
    return whiten(process_weight * returns + outcome, mask, weight=weight, epsilon=epsilon)
