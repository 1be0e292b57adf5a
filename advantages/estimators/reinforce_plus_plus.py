"""REINFORCE++ (Hu et al., 2025, arXiv:2501.03262)."""

from typing import Any, Literal, Unpack

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import Fraction, NonNegative
from ..core.types import A, Array, RowOptions, Vector
from ..ops.statistics import Weight, whitened_advantages
from ..spec import per_response, whitened


def _then(
    results: list[Vector], *, weight: str = "tokens", epsilon: float = 1e-6, ddof: int = 1, across: Any = None
) -> list[Vector]:
    return whitened(results, weight=weight, epsilon=epsilon, ddof=ddof)


@per_response(then=_then)
def spec(r: Vector, *, discount: float = 1.0) -> Vector:
    g = r.copy()
    for t in reversed(range(len(r) - 1)):
        g[t] = r[t] + discount * g[t + 1]
    return g


@estimator(
    unit="token",
    selects=True,
    spec=spec,
    paper=Paper(
        "REINFORCE++: an efficient RLHF algorithm with robustness to both prompt and reward models",
        "Hu et al.",
        2025,
        "2501.03262",
    ),
    promises=Promises(spans_batch=True, scale="invariant"),
)
def reinforce_plus_plus(
    token_rewards: A,
    mask: Array,
    *,
    discount: Fraction = 1.0,
    weight: Weight = "tokens",
    epsilon: NonNegative = 1e-6,
    ddof: Literal[0, 1] = 1,
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
        ddof: 1 for the sample deviation, 0 for the population's.
        across: how to reach the other ranks for the batch's statistics, see `advantages.ops.moments`.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `token_rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> token_rewards = np.array([[0.0, 1.0], [0.0, -1.0]])
    >>> reinforce_plus_plus(token_rewards, np.ones((2, 2), bool)).round(3)
    array([[ 0.866,  0.866],
           [-0.866, -0.866]])
    """
    return whitened_advantages(
        token_rewards, None, mask, discount=discount, weight=weight, ddof=ddof, epsilon=epsilon, across=across
    )
