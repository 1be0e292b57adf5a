"""Finite-horizon generalized advantage estimation (2026, arXiv:2602.03386)."""

from typing import Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import Fraction
from ..core.types import A, Array, RowOptions, Vector
from ..ops.elementwise import where
from ..ops.tokens import next_trained, reverse_scan, scan_to_come
from ..spec import per_response


@per_response
def spec(
    r: Vector, v: Vector, bootstrap_values: float | None, *, discount: float = 1.0, lambda_: float = 0.95
) -> Vector:
    a = np.zeros_like(r)
    later = np.append(v[1:], bootstrap_values or 0.0)
    for t in range(len(r)):
        steps = range(1, len(r) - t + 1)
        total = sum(lambda_ ** (k - 1) for k in steps)
        for k in steps:
            k_step = sum(discount**j * r[t + j] for j in range(k)) + discount**k * later[t + k - 1] - v[t]
            a[t] += lambda_ ** (k - 1) / total * k_step
    return a


@estimator(
    unit="token",
    spec=spec,
    paper=Paper(
        "finite-horizon weights for generalized advantage estimation",
        "authors of arXiv:2602.03386",
        2026,
        "2602.03386",
        note="read in its abstract only: title, authors and formula are not as printed",
    ),
    promises=Promises(scale="equivariant"),
)
def finite_horizon_gae(
    token_rewards: A,
    values: Array,
    mask: Array,
    bootstrap_values: Array | None = None,
    *,
    discount: Fraction = 1.0,
    lambda_: Fraction = 0.95,
    **options: Unpack[RowOptions],
) -> A:
    """Mean of the n-step advantages that the response has room for, with weights that sum to one.

        A_t = sum_{k=1..L} lambda^(k-1) A_t^(k) / sum_{k=1..L} lambda^(k-1),    L trained tokens from t to the end

    GAE gives all the weight beyond the end, lambda^(L-1), to the full return. Where the reward comes at the end, as
    it mostly does for language models, the two differ by much: here a short response trusts its critic as much as a
    long one. Time steps over masked tokens. This is written from the paper's description: its formulas could not be
    read in full.

    Args:
        token_rewards: (N, T) reward attributed to each token.
        values: (N, T) the critic's value before each token.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        bootstrap_values: (N,) the critic's value beyond the last token of a truncated response; 0 where it ended.
        discount: per trained token.
        lambda_: 0 trusts the critic; 1 gives all n-step advantages the same weight.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `token_rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> token_rewards, values = np.array([[0.0, 1.0]]), np.array([[0.0, 0.5]])
    >>> finite_horizon_gae(token_rewards, values, np.ones((1, 2), bool), lambda_=1.0)
    array([[0.75, 0.5 ]])
    """
    # With [L] = 1 + lambda + ... + lambda^(L-1), [L] A_t = [L] delta_t + discount lambda [L-1] A_{t+1}.
    delta = token_rewards + discount * next_trained(values, mask, bootstrap_values) - values
    ones = where(mask, 0.0 * values + 1.0, 0.0)
    total = reverse_scan(where(mask, lambda_ * ones, 1.0), ones)
    decay = where(mask, discount * lambda_ * ones, 1.0)
    step = where(mask, total * delta, 0.0)
    return (step + decay * scan_to_come(decay, step)) / where(mask, total, 1.0)
