"""Distillation by the Jensen-Shannon divergence, as in Trinity-RFT 0.6.0 (Agarwal et al., 2023, arXiv:2306.13649)."""

from typing import Annotated, Any, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.objectives import MIXED
from ..core.promises import Promises
from ..core.settings import NonNegative, Range
from ..core.types import A, Array, RowOptions, Vector
from ..ops.elementwise import namespace, where
from ..spec import per_responses


@per_responses
def spec(
    r: list[float],
    token_logprobs: list[Vector],
    teacher_token_logprobs: list[Vector],
    *,
    coefficient: float = 1.0,
    beta: float = 0.5,
) -> list[Any]:
    rows = []
    for r_i, s, t in zip(r, token_logprobs, teacher_token_logprobs, strict=True):
        m = np.log(beta * np.exp(t) + (1 - beta) * np.exp(s)) if len(s) else s
        rows.append(r_i - coefficient * (beta * (t - m) + (1 - beta) * (s - m)))
    return rows


@estimator(
    unit="token",
    spec=spec,
    paper=Paper(
        "On-policy distillation of language models: learning from self-generated mistakes",
        "Agarwal et al.",
        2023,
        "2306.13649",
        note="the advantage is Trinity-RFT's",
    ),
    promises=Promises(objective=MIXED),
)
def jsd(
    rewards: A,
    token_logprobs: Array,
    teacher_token_logprobs: Array,
    mask: Array,
    *,
    coefficient: NonNegative = 1.0,
    beta: Annotated[float, Range(0.01, 0.99)] = 0.5,
    **options: Unpack[RowOptions],
) -> A:
    """Minus a one-sample estimate of the Jensen-Shannon divergence from the teacher at each token.

        A_it = r_i - coefficient * (beta (log p_teacher - log m) + (1 - beta) (log p - log m))
        m = beta p_teacher + (1 - beta) p

    On one sample it may be positive, where the divergence is not. Equal policies get the reward alone.

    Args:
        rewards: (N,) what each token of a response gets besides; or zeros.
        token_logprobs: (N, T) log-probability of each token under the policy that sampled it, in nats.
        teacher_token_logprobs: (N, T) the same under the teacher.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        coefficient: reward per nat.
        beta: weight of the teacher in the mixture, and of its term; at 0 and 1 nothing would be left.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> own, teacher = np.log([[0.5, 0.1]]), np.log([[0.5, 0.3]])
    >>> jsd(np.zeros(1), own, teacher, np.ones((1, 2), bool)).round(3)  # m = .2: -(log 1.5 + log 0.5) / 2
    array([[0.   , 0.144]])
    """
    gap: Any = teacher_token_logprobs - token_logprobs
    xp = namespace(rewards)
    lower = xp.log1p(beta * xp.expm1(xp.clip(gap, None, 0.0)))
    upper = xp.clip(gap, 0.0, None) + xp.log1p((1.0 - beta) * xp.expm1(-xp.clip(gap, 0.0, None)))
    mixed: Any = where(gap < 0, lower, upper)  # log m - log p, from the larger of the two
    return rewards[:, None] - coefficient * (beta * (gap - mixed) - (1.0 - beta) * mixed)
