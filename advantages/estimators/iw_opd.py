"""Importance-weighted on-policy distillation, as in TRL 1.16 (no paper cited)."""

from typing import Any, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.objectives import DISTILLED
from ..core.promises import Promises
from ..core.settings import Fraction
from ..core.types import A, Array, RowOptions, Vector
from ..ops.elementwise import namespace, where
from ..spec import per_responses


@per_responses
def spec(
    r: list[float], token_logprobs: list[Vector], teacher_token_logprobs: list[Vector], *, lead: float = 0.5
) -> list[Any]:
    rows = []
    for r_i, s, t in zip(r, token_logprobs, teacher_token_logprobs, strict=True):
        gap = t - s
        a = np.zeros(len(gap))
        for k in range(len(gap)):
            before = np.abs(gap[:k]).sum() / max(np.abs(gap).sum(), 1e-8)
            a[k] = r_i + gap[k] * (1 + lead * (1 - before))
        rows.append(a)
    return rows


@estimator(
    unit="token",
    spec=spec,
    paper=Paper("TRL", "Hugging Face", 2026, venue="TRL 1.16.0, experimental", note="transcribed, not executed"),
    promises=Promises(objective=DISTILLED),
)
def iw_opd(
    rewards: A,
    token_logprobs: Array,
    teacher_token_logprobs: Array,
    mask: Array,
    *,
    lead: Fraction = 0.5,
    **options: Unpack[RowOptions],
) -> A:
    """On-policy distillation, where early tokens, ahead of most of the disagreement, weigh more.

        A_it = r_i + a_t (1 + lead * (1 - sum over j < t of |a_j| / sum over all j of |a_j|))
        a_t = log p_teacher - log p

    Read in the framework's code, whose name for it this is.

    Args:
        rewards: (N,) what each token of a response gets besides; or zeros.
        token_logprobs: (N, T) log-probability of each token under the policy that sampled it, in nats.
        teacher_token_logprobs: (N, T) the same under the teacher.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        lead: how much more the first token weighs.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> own, teacher = np.array([[-1.0, -3.0]]), np.array([[-2.0, -2.0]])
    >>> iw_opd(np.zeros(1), own, teacher, np.ones((1, 2), bool))
    array([[-1.5 ,  1.25]])
    """
    xp = namespace(rewards)
    gap = where(mask, teacher_token_logprobs - token_logprobs, 0.0)
    size = xp.abs(gap)
    before = (xp.cumsum(size, 1) - size) / xp.clip(size.sum(1), 1e-8, None)[:, None]
    return rewards[:, None] + gap * (1.0 + lead * (1.0 - before))
