"""TreeRL's advantage over all ancestors (Hou et al., 2025, arXiv:2506.11902)."""

from typing import Any, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Bound, Promises
from ..core.types import A, Array, Ids, RowOptions, Vector
from ..ops.elementwise import at_least, namespace, where
from ..ops.turns import Turns
from ..spec import per_response


@per_response
def spec(r: Vector, v: Vector, turns: Vector) -> Vector:
    a = np.zeros_like(r)
    steps = list(dict.fromkeys(turns))
    nodes, earned = [], 0.0
    for step in steps:
        nodes.append(earned + v[turns == step][0])
        earned += r[turns == step].sum()
    nodes.append(earned)
    for k, step in enumerate(steps):
        a[turns == step] = np.mean([nodes[k + 1] - ancestor for ancestor in nodes[: k + 1]])
    return a


@estimator(
    unit="token",
    spec=spec,
    paper=Paper(
        "TreeRL: LLM reinforcement learning with on-policy tree search",
        "Hou et al.",
        2025,
        "2506.11902",
        note="the form advantage_mix_allancestor of its code",
    ),
    promises=Promises(scale="equivariant", unbiased=Bound("1", lambda n: 1.0)),
)
def treerl(token_rewards: A, values: Array, mask: Array, turns: Ids, **options: Unpack[RowOptions]) -> A:
    """How much better the node after a step is than the nodes before it, the root included, on average.

        A_k = U_{k+1} - mean of U_1 .. U_k,    U_k = rewards before step k + V_k

    V_k is the mean reward of the leaves below the node where step k begins, and stands at the step's first token; those
    at its other tokens are not used, but must be finite. The node after the last step is worth what was earned. One
    ancestor, the parent, is `vineppo`, which SPO's tree has, too (arXiv:2505.23564), before it divides by the deviation
    of the parent's children. The values must be of the policy itself: where they are, no choice of ancestors biases.

    Args:
        token_rewards: (N, T) reward attributed to each token.
        values: (N, T) at the first token of each step, the mean reward of the leaves below.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        turns: (N, T) ids, equal within a response where tokens belong to the same step; a step is one run of tokens.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `token_rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> token_rewards, values = np.array([[0.0, 0.0, 1.0]]), np.array([[0.25, 0.0, 0.5]])
    >>> treerl(token_rewards, values, np.ones((1, 3), bool), np.array([[0, 0, 1]]))  # 1/2 - 1/4, 1 - (1/4 + 1/2)/2
    array([[0.25 , 0.25 , 0.625]])
    """
    turn = Turns(turns, mask, token_rewards)
    xp = namespace(token_rewards)

    def so_far(x: Any) -> Any:
        """The sum of one number a step, up to and with a token's own."""
        return xp.cumsum(where(turn.first, x, 0.0), 1)

    rewards, value = turn.sum(token_rewards), turn.at(turn.first, values)
    earned = so_far(rewards)
    before = so_far(earned - rewards + value)
    return earned + turn.to_come(0.0, value) - before / at_least(so_far(xp.ones_like(token_rewards)), 1.0)
