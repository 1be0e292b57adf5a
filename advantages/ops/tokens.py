"""Words about tokens: time runs along a response's trained tokens, and steps over all others."""

from typing import Any, Literal

from ..backends import backend_of
from ..core.types import A, Array
from .elementwise import at_least, where

__all__ = [
    "carried_rewards",
    "discounted_returns",
    "lambda_returns",
    "next_trained",
    "ones_where",
    "outcome",
    "reverse_scan",
    "scan_to_come",
    "sequence_logprobs",
    "shifted",
    "to_tokens",
    "trained_columns",
    "trained_later",
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
    rewards = carried_rewards(token_rewards, mask)
    decay = where(mask, backend_of(rewards).xp.zeros_like(rewards) + discount, 1.0)
    return where(mask, reverse_scan(decay, rewards), 0.0)


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


def scan_to_come(decay: A, x: A, beyond: Any = None) -> A:
    """(N, T) what a scan backwards in time has gathered after each token: y_{t+1} of `reverse_scan`.

    Args:
        decay, x: as in `reverse_scan`.
        beyond: (N,) what lies beyond the last token; None for zero.

    >>> import numpy as np
    >>> scan_to_come(np.full((1, 2), 0.5), np.array([[0.0, 4.0]]), np.array([2.0]))
    array([[5., 2.]])
    """
    if beyond is None:
        return shifted(reverse_scan(decay, x))
    backend = backend_of(x)
    last = backend.cast(beyond, backend.result_dtype(x))[:, None]
    y = reverse_scan(backend.xp.concatenate([decay, 0 * last], 1), backend.xp.concatenate([x, last], 1))
    return y[:, 1:]


def next_trained(x: A, mask: Array, beyond: Any = None) -> A:
    """(N, T) `x` at the next trained token; after the last one (N,) `beyond`, or zero.

    >>> import numpy as np
    >>> next_trained(np.array([[1.0, 2.0, 3.0]]), np.array([[True, False, True]]))
    array([[3., 3., 0.]])
    """
    held = where(mask, backend_of(x).xp.zeros_like(x), 1.0)
    return scan_to_come(held, where(mask, x, 0.0), beyond)


def lambda_returns(
    token_rewards: A, values: Array, mask: Array, *, discount: Any = 1.0, lambda_: Any = 1.0, beyond: Any = None
) -> A:
    """(N, T) the return of each trained token, a mean of all n-step returns: its distance from the value is GAE.

        G_t = r_t + discount * ((1 - lambda) V_{t+1} + lambda * G_{t+1})

    Args:
        token_rewards: (N, T) rewards on trained tokens.
        values: (N, T) the critic's value before each token.
        mask: (N, T) bool.
        discount, lambda_: numbers, or arrays of (N, 1) or (N, T).
        beyond: (N,) value beyond the last token; None for zero.
    """
    step = where(mask, (1 - lambda_) * values + lambda_ * token_rewards, 0.0)
    decay = where(mask, 0.0 * values + discount * lambda_, 1.0)
    return token_rewards + discount * scan_to_come(decay, step, beyond)


def trained_later(x: A, mask: Array, steps: int) -> A:
    """(N, T) `x` at the trained token that is `steps` trained tokens later; zero where there is none.

    >>> import numpy as np
    >>> trained_later(np.array([[1.0, 2.0, 3.0]]), np.array([[True, False, True]]), 1)
    array([[3., 0., 0.]])
    """
    xp = backend_of(x).xp
    place = xp.cumsum(mask, 1) - 1 + steps
    inside = mask & (place < xp.cumsum(mask, 1)[:, -1:])
    rows = backend_of(x).arange(x.shape[0], x)[:, None]
    columns = trained_columns(mask)[rows, xp.clip(place, None, max(x.shape[1] - 1, 0))]
    return where(inside, x[rows, columns], 0.0)


def trained_columns(mask: Array) -> Any:
    """(N, T) the column of each row's first, second ... trained token, and then those of the others."""
    backend = backend_of(mask)
    columns = backend.arange(mask.shape[1], mask)[None, :]
    return backend.xp.argsort(where(mask, columns, columns + mask.shape[1]), -1)
