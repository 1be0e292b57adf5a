"""Reward-ranked fine-tuning, as an advantage (Dong et al., 2023, arXiv:2304.06767; Xiong et al., 2025)."""

from typing import Any, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.types import A, RowOptions, Vector
from ..ops.elementwise import at_least
from ..spec import per_batch


@per_batch
def spec(r: Vector) -> Any:
    return np.maximum(r, 0)


@estimator(
    spec=spec,
    portable=True,
    paper=Paper(
        "A minimalist approach to LLM reasoning: from rejection sampling to Reinforce",
        "Xiong et al.",
        2025,
        "2504.11343",
    ),
    promises=Promises(scale="equivariant", monotone=True),
)
def raft(rewards: A, **options: Unpack[RowOptions]) -> A:
    """The reward where it is positive, else 0: training on accepted responses alone.

        A_i = max(r_i, 0)

    With importance weights and clipping in the loss it is RAFT++.

    Args:
        rewards: (N,) outcome reward of each response.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    >>> import numpy as np
    >>> raft(np.array([1.0, -1.0, 0.5]))
    array([1. , 0. , 0.5])
    """
    return at_least(rewards, 0.0)
