"""V-trace (Espeholt et al., 2018, arXiv:1802.01561)."""

from typing import Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import Fraction, Positive
from ..core.types import A, Array, RowOptions, Vector
from ..ops.elementwise import namespace, where
from ..ops.tokens import next_trained, scan_to_come
from ..spec import per_response


@per_response
def spec(
    r: Vector,
    v: Vector,
    token_logprobs: Vector,
    policy_token_logprobs: Vector,
    bootstrap_values: float | None,
    *,
    discount: float = 1.0,
    lambda_: float = 1.0,
    max_ratio: float = 1.0,
    max_trace: float = 1.0,
) -> Vector:
    a = np.zeros_like(r)
    next_value, next_correction = bootstrap_values or 0.0, 0.0
    for t in reversed(range(len(r))):
        ratio = np.exp(policy_token_logprobs[t] - token_logprobs[t])
        rho, c = min(ratio, max_ratio), lambda_ * min(ratio, max_trace)
        a[t] = rho * (r[t] + discount * (next_value + lambda_ * next_correction) - v[t])
        delta = rho * (r[t] + discount * next_value - v[t])
        next_correction = delta + discount * c * next_correction
        next_value = v[t]
    return a


@estimator(
    unit="token",
    spec=spec,
    paper=Paper(
        "IMPALA: scalable distributed deep-RL with importance weighted actor-learner architectures",
        "Espeholt et al.",
        2018,
        "1802.01561",
    ),
    promises=Promises(scale="equivariant"),
)
def v_trace(
    token_rewards: A,
    values: Array,
    mask: Array,
    token_logprobs: Array,
    policy_token_logprobs: Array,
    bootstrap_values: Array | None = None,
    *,
    discount: Fraction = 1.0,
    lambda_: Fraction = 1.0,
    max_ratio: Positive = 1.0,
    max_trace: Positive = 1.0,
    **options: Unpack[RowOptions],
) -> A:
    """Advantages of the trained policy from the tokens of another one, by truncated importance weights.

        A_t = rho_t * (r_t + discount * (V_{t+1} + lambda * D_{t+1}) - V_t)
        D_t = rho_t * (r_t + discount * V_{t+1} - V_t) + discount * c_t * D_{t+1}

    rho and c are the ratio of the two policies, cut at `max_ratio` and `max_trace`, c times lambda; V + D is the target
    of the critic. On-policy and with lambda 1 it is the return above the value. The advantage contains its ratio:
    a loss that multiplies by a ratio again counts it twice. Time steps over masked tokens.

    Args:
        token_rewards: (N, T) reward attributed to each token.
        values: (N, T) the critic's value before each token.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        token_logprobs: (N, T) nats, under the policy that sampled.
        policy_token_logprobs: (N, T) nats, under the policy that is trained.
        bootstrap_values: (N,) the critic's value beyond the last token of a truncated response; 0 where it ended.
        discount: per trained token.
        lambda_: 0 trusts the critic, 1 the rewards.
        max_ratio: where the ratios of the token itself are cut: it decides whose value is learned.
        max_trace: where the ratios of the tokens before are cut: it decides how fast.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `token_rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> one, half = np.zeros((1, 2)), np.log([[1.0, 0.5]])
    >>> v_trace(np.array([[0.0, 1.0]]), np.full((1, 2), 0.5), np.ones((1, 2), bool), one, half)
    array([[0.25, 0.25]])
    """
    xp = namespace(token_rewards)
    ratio = xp.exp(policy_token_logprobs - token_logprobs)
    rho, c = xp.clip(ratio, None, max_ratio), lambda_ * xp.clip(ratio, None, max_trace)
    value_after = next_trained(values, mask, bootstrap_values)
    delta = where(mask, rho * (token_rewards + discount * value_after - values), 0.0)
    correction = scan_to_come(where(mask, discount * c, 1.0), delta)
    return rho * (token_rewards + discount * (value_after + lambda_ * correction) - values)
