"""Group policy gradient (Chu et al., 2025, arXiv:2504.02546)."""

from collections.abc import Hashable, Sequence
from typing import Any, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import MinScored
from ..core.types import A, BatchOptions, Ids, Singleton, Vector
from ..ops.elementwise import at_least, namespace, where
from ..ops.groupwise import group_centered, small_groups
from ..spec import per_batch
from .dr_grpo import spec as dr_grpo_spec


@per_batch
def spec(r: Vector, *, groups: Sequence[Hashable], singleton: str = "zero", min_scored: int = 2) -> Any:
    above = dr_grpo_spec(rewards=r, groups=groups, singleton=singleton, min_scored=min_scored)
    return above * len(r) / max(np.sum(r != 0), 1)


@estimator(
    spec=spec,
    portable=True,
    paper=Paper(
        "GPG: a simple and strong reinforcement learning baseline for model reasoning", "Chu et al.", 2025, "2504.02546"
    ),
    promises=Promises(spans_batch=True, zero_sum=True, scale="equivariant", monotone=True),
)
def gpg(
    rewards: A,
    groups: Ids,
    *,
    singleton: Singleton = "zero",
    min_scored: MinScored = 2,
    **options: Unpack[BatchOptions],
) -> A:
    """Dr. GRPO, times the batch's responses over those with a reward other than 0.

        A_i = alpha (r_i - mean(r)),    alpha = B / #{r != 0}

    As in verl: the factor makes up for responses that teach nothing, for which it takes those with reward 0, so that
    it is not the same for verdicts of 0 and 1 as for -1 and 1. Rows that do not count are not in B (in verl, padding
    rows inflate it).

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        singleton: what a response that is alone in its group has before the factor: "zero", "raw" (its reward) or
            "error".
        min_scored: scored responses below which a group counts as small.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    >>> import numpy as np
    >>> gpg(np.array([1.0, 0.0, 0.0, 0.0]), groups=4)
    array([ 3., -1., -1., -1.])
    """
    given: Any = rewards != 0  # type: ignore[comparison-overlap]
    above: Any = group_centered(rewards, groups)
    above = small_groups("gpg", above, rewards, groups, singleton, min_scored)
    counted = where(groups.scored, namespace(rewards).ones_like(rewards), 0.0)  # type: ignore[union-attr]
    return above * (counted.sum() / at_least(where(given, counted, 0.0).sum(), 1.0))
