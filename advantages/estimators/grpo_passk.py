"""Pass@k as the best of the group (Tang et al., 2025, arXiv:2503.19595)."""

from typing import Any, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.objectives import BEST_OF_GROUP
from ..core.promises import Bound, Promises
from ..core.settings import NonNegative
from ..core.types import A, GroupOptions, Ids, Vector
from ..ops.elementwise import where
from ..ops.groupwise import group_lead, group_std
from ..spec import per_group


@per_group
def spec(r: Vector, *, scale: bool = False, epsilon: float = 1e-6) -> Vector:
    first, second = np.sort(r)[::-1][:2]
    a = np.where(np.arange(len(r)) == np.argmax(r), first - second, 0.0)
    return a / (r.std(ddof=1) + epsilon) if scale and first > second else a


@estimator(
    spec=spec,
    portable=True,
    paper=Paper(
        "Optimizing language models for inference time objectives using reinforcement learning",
        "Tang et al.",
        2025,
        "2503.19595",
    ),
    promises=Promises(
        shift_invariant=True,
        scale="equivariant",
        monotone=True,
        gap_bound=Bound("1", lambda n: 1.0),
        unbiased=Bound("1/n", lambda n: 1 / n),
        objective=BEST_OF_GROUP,
    ),
)
def grpo_passk(
    rewards: A, groups: Ids, *, scale: bool = False, epsilon: NonNegative = 1e-6, **options: Unpack[GroupOptions]
) -> A:
    """What the best response of a group adds to the best of the others; all others get 0.

        A_i = max(r) - max over j != i of r_j

    It is `pkpo` with k the size of the group: an unbiased gradient of E[max of n rewards]. Equal best ones get 0.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        scale: divide by the group's deviation plus `epsilon`, as verl does by default.
        epsilon: added to that deviation.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`; none exceeds the largest gap.

    >>> import numpy as np
    >>> grpo_passk(np.array([1.0, 0.25, 0.5, 0.0]), groups=4)
    array([0.5, 0. , 0. , 0. ])
    """
    lead: Any = group_lead(rewards, groups)
    if not scale:
        return lead
    std: Any = group_std(rewards, groups)
    return lead / where(std > 0, std + epsilon, 1.0)
