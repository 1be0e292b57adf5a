"""Delightful policy gradient (Osband, 2026, arXiv:2603.14608)."""

from typing import Any, Literal, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import NonNegative, Positive
from ..core.types import A, Array, GroupOptions, Ids, Vector
from ..ops.elementwise import at_least, namespace, sigmoid, where
from ..ops.groupwise import group_zscore
from ..spec import per_tokens_of_group


@per_tokens_of_group
def spec(
    r: Vector, token_logprobs: list[Vector], *, temperature: float | str = "auto", epsilon: float = 1e-6
) -> list[Any]:
    z = 0.0 * r if r.max() == r.min() else (r - r.mean()) / (r.std(ddof=1) + epsilon)
    a = []
    for z_i, s in zip(z, token_logprobs, strict=True):
        eta = (float(s.std()) if len(s) and np.ptp(s) > 0 else 1.0) if temperature == "auto" else float(temperature)
        a.append(z_i * (0.5 + 0.5 * np.tanh(-z_i * s / eta / 2)))
    return a


@estimator(
    unit="token",
    spec=spec,
    paper=Paper("Delightful policy gradient", "Osband", 2026, "2603.14608", note="formula read in third-party code"),
    promises=Promises(shift_invariant=True, scale="invariant"),
)
def delightful(
    rewards: A,
    groups: Ids,
    token_logprobs: Array,
    mask: Array,
    *,
    temperature: Positive | Literal["auto"] = "auto",
    epsilon: NonNegative = 1e-6,
    **options: Unpack[GroupOptions],
) -> A:
    """GRPO, gated per token by its delight: advantage times surprise.

        A_it = z_i * sigmoid(z_i * l_it / temperature),    l_it = -log p of the token

    z is GRPO's advantage. A surprising token of a good response counts in full and an expected one by half; a
    surprising token of a bad response hardly counts. Surprise is never centred. On tuned models it is about 0.06 nats,
    so that a temperature of 1 leaves every gate at a half: "auto" is the deviation of the response's own surprises. It
    is not balanced between gains and losses, and lowers credit for likely right responses, where `lampo` raises it.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        token_logprobs: (N, T) log-probability of each token under the policy that sampled it, in nats.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        temperature: nats, or "auto".
        epsilon: added to the group's deviation.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> logprobs = np.array([[0.0, -np.log(3.0)], [0.0, 0.0]])
    >>> r = np.array([1.0, 0.0])
    >>> delightful(r, ["a", "a"], logprobs, np.ones((2, 2), bool), temperature=1 / np.sqrt(2), epsilon=0.0).round(3)
    array([[ 0.354,  0.53 ],
           [-0.354, -0.354]])
    """
    z: Any = group_zscore(rewards, groups, epsilon=epsilon)[:, None]
    surprise: Any = -token_logprobs
    unit = _spread(surprise, mask) if isinstance(temperature, str) else temperature
    return z * sigmoid(z * (surprise / unit))


def _spread(x: Any, mask: Any) -> Any:
    """(N, 1) deviation of each row's trained numbers; 1 where they are equal."""
    xp = namespace(x)
    count = at_least(where(mask, xp.ones_like(x), 0.0).sum(1), 1.0)[:, None]
    mean = (where(mask, x, 0.0).sum(1)[:, None]) / count
    square = where(mask, (x - mean) * (x - mean), 0.0).sum(1)[:, None] / count
    if not x.shape[1]:
        return 1.0
    most, least = (xp.amax(where(mask, end, -float("inf")), 1)[:, None] for end in (x, -x))
    return where(most > -least, xp.sqrt(square), 1.0)
