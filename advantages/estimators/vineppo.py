"""VinePPO (Kazemnejad et al., 2024, arXiv:2410.01679)."""

from typing import Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Bound, Promises
from ..core.types import A, Array, Ids, RowOptions, Vector
from ..ops.turns import Turns
from ..spec import per_response


@per_response
def spec(r: Vector, v: Vector, turns: Vector) -> Vector:
    a = np.zeros_like(r)
    next_value = 0.0
    for turn in reversed(list(dict.fromkeys(turns))):
        value = v[turns == turn][0]
        a[turns == turn] = r[turns == turn].sum() + next_value - value
        next_value = value
    return a


@estimator(
    unit="token",
    spec=spec,
    paper=Paper("VinePPO: refining credit assignment in RL training of LLMs", "Kazemnejad et al.", 2024, "2410.01679"),
    promises=Promises(scale="equivariant", unbiased=Bound("1", lambda n: 1.0)),
)
def vineppo(token_rewards: A, values: Array, mask: Array, turns: Ids, **options: Unpack[RowOptions]) -> A:
    """What a step gained: the value after it, by Monte Carlo, above the value before it.

        A_k = R_k + V_{k+1} - V_k

    V_k is the mean reward of responses that were sampled from the prefix before step k, and stands at the step's
    first token; those at its other tokens are not used, but must be finite. With segments for steps this is also
    SPO's chain advantage (arXiv:2505.23564) before its division by a deviation. A value that was not sampled is no 0:
    mark such a response as invalid.

    Args:
        token_rewards: (N, T) reward attributed to each token.
        values: (N, T) at the first token of each step, the mean reward of responses sampled from there.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        turns: (N, T) ids, equal within a response where tokens belong to the same step; a step is one run of tokens.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `token_rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> token_rewards, values = np.array([[0.0, 0.0, 1.0]]), np.array([[0.25, 0.0, 0.75]])
    >>> vineppo(token_rewards, values, np.ones((1, 3), bool), np.array([[0, 0, 1]]))
    array([[0.5 , 0.5 , 0.25]])
    """
    turn = Turns(turns, mask, token_rewards)
    value = turn.at(turn.first, values)
    return turn.sum(token_rewards) + turn.to_come(0.0, value) - value
