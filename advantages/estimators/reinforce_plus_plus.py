"""REINFORCE++ (Hu et al., 2025, arXiv:2501.03262)."""

from typing import Any, Unpack

import numpy as np

from ..call import Promises, estimator
from ..core.types import A, Array, Fraction, NonNegative, RowOptions, Vector, required
from ..ops import Weight, discounted_returns, whiten
from ..spec import per_response


def whitened(rows: list[Vector], *, weight: str, epsilon: float) -> list[Vector]:
    """Shift and scale all tokens of all responses to mean 0 and sample deviation 1."""
    rows_with_tokens = [row for row in rows if len(row)]
    if not rows_with_tokens:
        return rows
    x = np.concatenate(rows_with_tokens)
    if weight == "tokens":
        counts = np.ones(len(x))
    else:
        counts = np.concatenate([np.full(len(row), 1 / len(row)) for row in rows_with_tokens])
    mean = np.sum(counts * x) / np.sum(counts)
    variance = np.sum(counts * (x - mean) ** 2) / max(np.sum(counts) - 1, 1)
    if np.ptp(x) == 0:
        return [0.0 * row for row in rows]
    return [(row - mean) / (np.sqrt(variance) + epsilon) for row in rows]


def _then(results: list[Vector], *, weight: str = "tokens", epsilon: float = 1e-6, across: Any = None) -> list[Vector]:
    return whitened(results, weight=weight, epsilon=epsilon)


@per_response(then=_then)
def spec(r: Vector, *, discount: float = 1.0) -> Vector:
    g = r.copy()
    for t in reversed(range(len(r) - 1)):
        g[t] = r[t] + discount * g[t + 1]
    return g


@estimator(spec=spec, promises=Promises(spans_batch=True, scale="invariant"))
def reinforce_plus_plus(
    token_rewards: A,
    mask: Array = required,
    *,
    discount: Fraction = 1.0,
    weight: Weight = "tokens",
    epsilon: NonNegative = 1e-6,
    across: Any = None,
    **options: Unpack[RowOptions],
) -> A:
    """Reward-to-go of each token, whitened over the whole batch.

        G_t = r_t + discount * G_{t+1},    A_t = (G_t - mean(G)) / (std(G) + epsilon)

    The paper's KL penalty belongs into `token_rewards`: r_t = -beta * KL_t, plus the outcome on the last token.
    Time steps over masked tokens.

    Args:
        token_rewards: (N, T) reward attributed to each token.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        discount: per trained token.
        weight: statistics count all "tokens" alike, or all "responses" alike, whatever their lengths.
        epsilon: added to the deviation.
        across: how to reach the other ranks for the batch's statistics, see `advantages.ops.moments`.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `token_rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> token_rewards = np.array([[0.0, 1.0], [0.0, -1.0]])
    >>> reinforce_plus_plus(token_rewards, np.ones((2, 2), bool)).round(3)
    array([[ 0.866,  0.866],
           [-0.866, -0.866]])
    """
    returns = discounted_returns(token_rewards, mask, discount=discount)
    return whiten(returns, mask, weight=weight, epsilon=epsilon, across=across)
