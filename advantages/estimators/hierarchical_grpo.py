"""GRPO among peers of one role, as in prime-rl (no paper)."""

from collections.abc import Hashable, Sequence
from typing import Any, Unpack

from ..call import estimator
from ..core.definition import Paper
from ..core.groups import Groups
from ..core.promises import Promises
from ..core.settings import MinScored
from ..core.types import A, BatchOptions, Ids, Singleton, Vector
from ..ops.groupwise import group_centered, small_groups
from ..spec import per_batch
from .dr_grpo import spec as dr_grpo_spec


@per_batch
def spec(
    r: Vector,
    *,
    groups: Sequence[Hashable],
    roles: Sequence[Hashable],
    singleton: str = "zero",
    min_scored: int = 2,
) -> Any:
    peers = list(zip(groups, roles, strict=True))
    return dr_grpo_spec(rewards=r, groups=peers, singleton=singleton, min_scored=min_scored)


@estimator(
    spec=spec,
    portable=True,
    paper=Paper("prime-rl", "Prime Intellect", 2026, venue="prime-rl 559b4477", note="no paper"),
    promises=Promises(zero_sum=True, shift_invariant=True, scale="equivariant"),
)
def hierarchical_grpo(
    rewards: A,
    groups: Ids,
    roles: Ids,
    *,
    singleton: Singleton = "zero",
    min_scored: MinScored = 2,
    **options: Unpack[BatchOptions],
) -> A:
    """Reward above the mean of the same role in the same group: a solver is not compared with a critic.

        A_i = r_i - mean of r over those with i's group and i's role

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses belong to the same prompt or episode.
        roles: (N,) ids, the role of the agent that gave the response.
        singleton: what a response without a peer gets: "zero", "raw" (its reward) or "error".
        min_scored: scored peers below which they count as too few.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    >>> import numpy as np
    >>> hierarchical_grpo(np.array([1.0, 0.0, 9.0, 5.0]), ["a"] * 4, ["solver", "solver", "critic", "critic"])
    array([ 0.5, -0.5,  2. , -2. ])
    """
    peers = Groups.of_pairs(Groups.of(groups), Groups.of(roles))
    return small_groups("hierarchical_grpo", group_centered(rewards, peers), rewards, peers, singleton, min_scored)
