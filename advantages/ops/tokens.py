"""Words about tokens: time runs along a response's trained tokens, and steps over all others."""

from typing import Any, Literal

from ..backends import backend_of
from ..core.types import A, Array
from .elementwise import at_least, where

__all__ = [
    "carried_rewards",
    "discounted_returns",
    "lambda_advantages",
    "ones_where",
    "outcome",
    "reverse_scan",
    "sequence_logprobs",
    "shifted",
    "to_tokens",
]


def ones_where(mask: Any, like: Any) -> Any:
    """1 where `mask` is True and 0 elsewhere, in the dtype of `like`."""
    return where(mask, backend_of(like).xp.ones_like(like), 0.0)


def reverse_scan(decay: A, x: A) -> A:
    """(N, T) the linear recurrence that runs backwards in time: y_t = x_t + decay_t * y_{t+1}, zero beyond the end.

    >>> import numpy as np
    >>> reverse_scan(np.full((1, 3), 0.5), np.array([[0.0, 0.0, 4.0]]))
    array([[1., 2., 4.]])
    """
    return backend_of(x).reverse_scan(decay, x)


def shifted(x: A) -> A:
    """(N, T) `x` one token later, with zero beyond the end: y_t = x_{t+1}."""
    xp = backend_of(x).xp
    return xp.concatenate([x[:, 1:], xp.zeros_like(x[:, :1])], 1)


def to_tokens(advantages: A, mask: Array) -> A:
    """(N, T) each response's advantage on its trained tokens, and 0 elsewhere.

    >>> import numpy as np
    >>> to_tokens(np.array([2.0, -1.0]), np.array([[True, True, False], [True, False, True]]))
    array([[ 2.,  2.,  0.],
           [-1.,  0., -1.]])
    """
    return where(mask, backend_of(advantages).working(advantages)[:, None], 0.0)


def carried_rewards(token_rewards: A, mask: Array) -> A:
    """(N, T) rewards on trained tokens: one on a masked token moves to the last trained token before it.

    Rewards ahead of the first trained token move to that token, so that no reward is lost while a response has a
    trained token. A non-finite number on a masked token is padding and counts as no reward.

    >>> import numpy as np
    >>> carried_rewards(np.array([[0.0, 0.0, 1.0]]), np.array([[True, True, False]]))
    array([[0., 1., 0.]])
    """
    backend = backend_of(token_rewards)
    xp = backend.xp
    rewards = _finite_rewards(backend.working(token_rewards), mask)
    if backend.on_host(rewards) and not bool(xp.any(where(mask, 0.0, rewards) != 0)):
        return where(mask, rewards, 0.0)
    zeros = xp.zeros_like(rewards)
    waiting = backend.reverse_scan(where(mask, zeros, 1.0), where(mask, 0.0, rewards))
    first = mask & (xp.cumsum(mask, 1) == 1)
    return where(mask, rewards + shifted(waiting), 0.0) + where(first, waiting[:, :1], 0.0)


def _finite_rewards(rewards: Any, mask: Any) -> Any:
    return where(mask | backend_of(rewards).xp.isfinite(rewards), rewards, 0.0)


def outcome(token_rewards: A, mask: Array) -> A:
    """(N,) the reward of each response: the sum over its tokens, where one on a masked token still counts.

    A non-finite number on a masked token is padding and counts as no reward; one on a trained token makes the
    response unscored, and its outcome non-finite.

    >>> import numpy as np
    >>> outcome(np.array([[0.5, 0.0, 1.0]]), np.array([[True, True, False]]))
    array([1.5])
    """
    return _finite_rewards(backend_of(token_rewards).working(token_rewards), mask).sum(1)


def discounted_returns(token_rewards: A, mask: Array, *, discount: float = 1.0) -> A:
    """(N, T) reward-to-go of each trained token: G_t = r_t + discount * G_{t+1}.

    Time steps over masked tokens, at no discount; a reward on one belongs to the last trained token before it.

    >>> import numpy as np
    >>> discounted_returns(np.array([[0.0, 0.0, 0.0, 1.0]]), np.array([[True, False, True, False]]), discount=0.5)
    array([[0.5, 0. , 1. , 0. ]])
    """
    backend = backend_of(token_rewards)
    return backend.advantages(backend.working(token_rewards), None, mask, discount, 1.0)


def lambda_advantages(
    token_rewards: A, values: Array, mask: Array, *, discount: float = 1.0, lambda_: float = 1.0
) -> A:
    """(N, T) what the lambda-return of each trained token is above its value: r_t + discount * u_{t+1} - V_t.

        u_t = (1 - lambda) V_t + lambda (r_t + discount * u_{t+1})

    Time steps over masked tokens, at no discount; a finite reward on one belongs to the last trained token before it.

    >>> import numpy as np
    >>> rewards, values = np.array([[0.0, np.nan, 1.0]]), np.array([[0.5, np.nan, 0.25]])
    >>> lambda_advantages(rewards, values, np.array([[True, False, True]]), lambda_=0.0)
    array([[-0.25,  0.  ,  0.75]])
    """
    return backend_of(token_rewards).advantages(token_rewards, values, mask, discount, lambda_)


def sequence_logprobs(token_logprobs: A, mask: Array, *, reduction: Literal["sum", "mean"] = "sum") -> A:
    """(N,) log-probability of each response, from those of its trained tokens, in at least float32.

    Args:
        token_logprobs: (N, T) nats.
        mask: (N, T) bool.
        reduction: "sum", or "mean" per trained token; a response without one has 0.

    >>> import numpy as np
    >>> sequence_logprobs(np.array([[-1.0, -3.0, np.nan]]), np.array([[True, True, False]]), reduction="mean")
    array([-2.])
    """
    logprobs = backend_of(token_logprobs).working(token_logprobs)
    total = where(mask, logprobs, 0.0).sum(1)
    return total if reduction == "sum" else total / at_least(ones_where(mask, logprobs).sum(1), 1.0)
