"""REINFORCE++ with a baseline, whose tokens pay for their divergence from the reference, as two frameworks have it."""

from collections.abc import Hashable, Sequence
from typing import Any, Literal, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import definition_of
from ..core.promises import Promises
from ..core.settings import MinScored, NonNegative
from ..core.types import A, Array, BatchOptions, Ids, Singleton, Vector
from ..estimators import reinforce_plus_plus_baseline as without
from ..estimators.dr_grpo import spec as dr_grpo_spec
from ..ops.groupwise import group_centered, small_groups
from ..spec import per_responses
from ..stages import kl_penalty

__all__ = ["reinforce_plus_plus_baseline"]


@per_responses
def spec(
    r: list[float],
    token_logprobs: list[Vector],
    ref_token_logprobs: list[Vector],
    *,
    groups: Sequence[Hashable],
    singleton: str = "zero",
    min_scored: int = 2,
    beta: float = 0.0,
    kind: str = "k1",
) -> list[Vector]:
    above = dr_grpo_spec(rewards=np.array(r), groups=groups, singleton=singleton, min_scored=min_scored)
    result = []
    for a, p, q in zip(above, token_logprobs, ref_token_logprobs, strict=True):
        kl = {"k1": p - q, "k2": (p - q) ** 2 / 2, "k3": np.exp(q - p) - 1 - (q - p)}[kind]
        result.append(a - beta * kl)
    return result


@estimator(unit="token", spec=spec, paper=definition_of(without).paper, promises=Promises(equals_get_zero=False))
def reinforce_plus_plus_baseline(
    rewards: A,
    groups: Ids,
    mask: Array,
    token_logprobs: Array,
    ref_token_logprobs: Array,
    *,
    beta: NonNegative = 0.0,
    kind: Literal["k1", "k2", "k3"] = "k1",
    singleton: Singleton = "zero",
    min_scored: MinScored = 2,
    **options: Unpack[BatchOptions],
) -> A:
    """Reward above the group's mean, less beta times each token's own divergence; the framework's settings whiten it.

    It is no reward-to-go: a token pays for itself alone. A lone response pays, too.
    """
    above: Any = group_centered(rewards, groups)
    above = small_groups("reinforce_plus_plus_baseline", above, rewards, groups, singleton, min_scored)
    penalty = kl_penalty().function
    return penalty(above[:, None], token_logprobs, ref_token_logprobs, mask, beta=beta, kind=kind)
