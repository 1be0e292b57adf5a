"""Retrace(lambda) (Munos et al., 2016, arXiv:1606.02647)."""

from typing import Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import Fraction
from ..core.types import A, Array, RowOptions, Vector
from ..ops.elementwise import namespace, where
from ..ops.tokens import scan_to_come
from ..spec import per_response


@per_response
def spec(
    r: Vector,
    v: Vector,
    action_values: Vector,
    token_logprobs: Vector,
    policy_token_logprobs: Vector,
    bootstrap_values: float | None,
    *,
    discount: float = 1.0,
    lambda_: float = 1.0,
) -> Vector:
    a = np.zeros_like(r)
    to_come = bootstrap_values or 0.0
    for t in reversed(range(len(r))):
        target = r[t] + discount * to_come
        c = lambda_ * min(1.0, np.exp(policy_token_logprobs[t] - token_logprobs[t]))
        to_come = v[t] + c * (target - action_values[t])
        a[t] = target - v[t]
    return a


@estimator(
    unit="token",
    spec=spec,
    paper=Paper("Safe and efficient off-policy reinforcement learning", "Munos et al.", 2016, "1606.02647"),
    promises=Promises(scale="equivariant"),
)
def retrace(
    token_rewards: A,
    values: Array,
    action_values: Array,
    mask: Array,
    token_logprobs: Array,
    policy_token_logprobs: Array,
    bootstrap_values: Array | None = None,
    *,
    discount: Fraction = 1.0,
    lambda_: Fraction = 1.0,
    **options: Unpack[RowOptions],
) -> A:
    """The Retrace target of each token's action value, above the value of its state.

        A_t = Q_t - V_t,    Q_t = r_t + discount * (V_{t+1} + c_{t+1} (Q_{t+1} - q_{t+1}))

    c is lambda * min(1, ratio of the two policies), q the critic's value of the token that was chosen, V its mean over
    the policy that is trained. Where q is V, lambda is 1 and the policies agree, it is the return above the value.
    Time steps over masked tokens.

    Args:
        token_rewards: (N, T) reward attributed to each token.
        values: (N, T) the critic's value before each token.
        action_values: (N, T) the critic's value of the chosen token.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        token_logprobs: (N, T) nats, under the policy that sampled.
        policy_token_logprobs: (N, T) nats, under the policy that is trained.
        bootstrap_values: (N,) the critic's value beyond the last token of a truncated response; 0 where it ended.
        discount: per trained token.
        lambda_: 0 trusts the critic, 1 the rewards.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `token_rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> one, half = np.zeros((1, 2)), np.log([[1.0, 0.5]])
    >>> values, chosen = np.full((1, 2), 0.5), np.full((1, 2), 0.75)
    >>> retrace(np.array([[0.0, 1.0]]), values, chosen, np.ones((1, 2), bool), one, half)
    array([[0.125, 0.5  ]])
    """
    xp = namespace(token_rewards)
    c = lambda_ * xp.exp(xp.clip(policy_token_logprobs - token_logprobs, None, 0.0))
    step = where(mask, values + c * (token_rewards - action_values), 0.0)
    to_come = scan_to_come(where(mask, discount * c, 1.0), step, bootstrap_values)
    return token_rewards + discount * to_come - values
