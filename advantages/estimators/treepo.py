"""TreePO's advantage over the subgroups of a tree (Li et al., 2025, arXiv:2508.17445)."""

from typing import Any, Literal, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import NonNegative
from ..core.types import A, Array, Ids, RowOptions, Vector
from ..ops.elementwise import at_least, where
from ..ops.statistics import moments
from ..ops.tokens import ones_where
from ..ops.turns import Turns
from ..spec import per_response


def _then(
    results: list[Vector], *, center: bool = False, epsilon: float = 1e-6, ddof: int = 1, across: Any = None
) -> list[Vector]:
    x = np.concatenate([*results, np.zeros(0)])
    if len(x) == 0 or np.ptp(x) == 0:
        return [0.0 * a for a in results]
    return [(a - x.mean() * center) / (x.std(ddof=ddof) + epsilon) for a in results]


@per_response(then=_then)
def spec(rewards: float, v: Vector, turns: Vector) -> Vector:
    above = [rewards - v[turns == step][0] for step in dict.fromkeys(turns)]
    return np.full(len(v), np.mean(above) if above else 0.0)


@estimator(
    unit="token",
    spec=spec,
    paper=Paper(
        "TreePO: bridging the gap of policy optimization and efficacy and inference efficiency with heuristic "
        "tree-based modeling",
        "Li et al.",
        2025,
        "2508.17445",
        note="equation 5",
    ),
    promises=Promises(spans_batch=True, scale="invariant"),
)
def treepo(
    rewards: A,
    values: Array,
    mask: Array,
    turns: Ids,
    *,
    center: bool = False,
    epsilon: NonNegative = 1e-6,
    ddof: Literal[0, 1] = 1,
    across: Any = None,
    **options: Unpack[RowOptions],
) -> A:
    """Reward above the mean of each subgroup that a response is in, on average, in units of the batch's deviation.

        A_i = a_i / (std(a) + epsilon),    a_i = r_i - mean of V_1 .. V_J

    V_j is the mean reward of the responses that share the node of the tree where step j begins, the root first, and
    stands at the step's first token: `advantages.ops.node_values` makes it; those at other tokens are not used, but
    must be finite. All tokens of a response get its one number. Where a response goes on alone there is no subgroup,
    and the authors' code counts none: give what follows the id of the step before it. The deviation is that of all
    trained tokens, which get 0 where they do not differ.

    The authors' code subtracts the mean of all tokens, too: that is `center=True`. Weights by the size of subgroups,
    equation 6, are worse in the paper, and so is leaving subgroups of equals out, equation 7; both are not here, nor
    is the code's second estimator, by segments, which the paper does not print.

    Args:
        rewards: (N,) outcome reward of each response.
        values: (N, T) at the first token of each step, the mean reward of the responses that go through there.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        turns: (N, T) ids, equal within a response where tokens belong to the same step; a step is one run of tokens.
        center: whether the mean over all trained tokens is subtracted.
        epsilon: added to the deviation.
        ddof: 1 for the sample deviation, 0 for the population's.
        across: how to reach the other ranks, see `advantages.ops.moments`.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> rewards, values = np.array([1.0, 0.0]), np.array([[0.25, 0.5], [0.25, 0.0]])  # 1 - 3/8 and 0 - 1/8
    >>> treepo(rewards, values, np.ones((2, 2), bool), np.array([[0, 1], [0, 1]]), ddof=0).round(3)
    array([[ 1.667,  1.667],
           [-0.333, -0.333]])
    """
    step = Turns(turns, mask, values)
    starts: Any = ones_where(step.first, values).sum(1)
    above: Any = where(step.first, rewards[:, None] - values, 0.0).sum(1) / at_least(starts, 1.0)
    counts: Any = mask.sum(1) * 1.0  # type: ignore[attr-defined]
    batch = moments(above, counts=counts, across=across)
    std: Any = batch.std(ddof)
    above = above - batch.origin - batch.mean if center else above
    return where(std > 0, above / where(std > 0, std + epsilon, 1.0), 0.0)[:, None]
