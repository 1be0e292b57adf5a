"""FlashREINFORCE, as in OpenRLHF 0.11.2 (no paper)."""

from typing import Any

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.types import A, Array, Vector
from ..ops.statistics import moments
from ..spec import per_batch


@per_batch
def spec(r: Vector) -> Any:
    return r - np.mean(r)


@estimator(
    spec=spec,
    portable=True,
    paper=Paper("OpenRLHF", "Hu et al.", 2026, venue="OpenRLHF 0.11.2", note="no paper"),
    promises=Promises(spans_batch=True, shift_invariant=True, scale="equivariant", monotone=True),
)
def flash_reinforce(rewards: A, valid: Array | None = None, *, across: Any = None, **options: Any) -> A:
    """Reward above the batch's mean; for one response per prompt, where there is no group.

        A_i = r_i - mean of the batch's r

    The baseline takes the prompts' difficulty for the policy's merit: it varies more than a group's.

    Args:
        rewards: (N,) outcome reward of each response.
        valid: (N,) bool, rows that count.
        across: how to reach the other ranks for the batch's mean, see `advantages.ops.moments`.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    >>> import numpy as np
    >>> flash_reinforce(np.array([1.0, 0.0, np.nan]))
    array([ 0.5, -0.5,  0. ])
    """
    found = moments(rewards, valid, across=across)
    return rewards - found.origin - found.mean
