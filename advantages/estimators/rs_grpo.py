"""Risk-sensitive GRPO (Jiang et al., 2025, arXiv:2509.24261)."""

from typing import Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.objectives import ENTROPIC
from ..core.promises import Promises
from ..core.settings import Positive
from ..core.types import A, GroupOptions, Ids, Vector
from ..ops.elementwise import namespace, with_finite_squares
from ..ops.groupwise import above_log_mean_exp, group_centered
from ..spec import per_group


@per_group
def spec(r: Vector, *, beta: float = 2.0) -> Vector:
    top = r.max()
    soft = top + np.log1p(np.mean(np.expm1(beta * (r - top)))) / beta
    return np.expm1(beta * (r - soft)) / beta


@estimator(
    spec=spec,
    portable=True,
    paper=Paper(
        "Risk-sensitive RL for alleviating exploration dilemmas in large language models",
        "Jiang et al.",
        2025,
        "2509.24261",
        note="formula read in an indexed copy of its code",
    ),
    promises=Promises(zero_sum=True, shift_invariant=True, monotone=True, objective=ENTROPIC),
)
def rs_grpo(rewards: A, groups: Ids, *, beta: Positive = 2.0, **options: Unpack[GroupOptions]) -> A:
    """Risk-seeking advantage: it climbs 1/beta log E[exp(beta r)], which lies between the mean and the best reward.

        A_i = (exp(beta (r_i - soft)) - 1) / beta,    soft = 1/beta * log(mean(exp(beta r)))

    For a small beta it is Dr. GRPO; for a large one only the best response gains, up to (n - 1) / beta. The published
    code uses a name that it does not define, and cannot run as it stands.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        beta: risk sensitivity, per unit of reward.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    >>> import numpy as np
    >>> rs_grpo(np.array([1.0, 0.0]), ["a", "a"], beta=np.log(3.0)).round(3)  # (3/2 - 1) / log 3
    array([ 0.455, -0.455])
    """
    rewards = with_finite_squares(rewards)
    centered = group_centered(rewards, groups)
    return namespace(rewards).expm1(above_log_mean_exp(centered * beta, groups)) / beta
