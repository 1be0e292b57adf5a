"""MiniLLM's reverse-KL return (Gu et al., 2023, arXiv:2306.08543)."""

from typing import Any, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.objectives import DISTILLED
from ..core.promises import Bound, Promises
from ..core.settings import Fraction
from ..core.types import A, Array, RowOptions, Vector
from ..ops.elementwise import where
from ..ops.tokens import reverse_scan
from ..spec import per_responses


@per_responses
def spec(
    r: list[float],
    token_logprobs: list[Vector],
    teacher_token_logprobs: list[Vector],
    *,
    discount: float = 1.0,
    normalize: bool = False,
) -> list[Any]:
    rows = []
    for r_i, s, t in zip(r, token_logprobs, teacher_token_logprobs, strict=True):
        a = np.zeros(len(s))
        for k in range(len(s)):
            powers = discount ** np.arange(len(s) - k)
            a[k] = r_i + (powers * (t - s)[k:]).sum() / (powers.sum() if normalize else 1.0)
        rows.append(a)
    return rows


@estimator(
    unit="token",
    spec=spec,
    paper=Paper("MiniLLM: knowledge distillation of large language models", "Gu et al.", 2023, "2306.08543"),
    promises=Promises(unbiased=Bound("1", lambda n: 1.0), objective=DISTILLED),
)
def minillm(
    rewards: A,
    token_logprobs: Array,
    teacher_token_logprobs: Array,
    mask: Array,
    *,
    discount: Fraction = 1.0,
    normalize: bool = False,
    **options: Unpack[RowOptions],
) -> A:
    """On-policy distillation with credit for what follows: how much likelier the teacher finds the rest.

        A_it = r_i + sum over j >= t of discount^(j - t) (log p_teacher - log p)_j

    Time steps over masked tokens. TRL's removed code left out the discount^(-t), so that with a discount all but the
    first token got too little.

    Args:
        rewards: (N,) what each token of a response gets besides; or zeros.
        token_logprobs: (N, T) log-probability of each token under the policy that sampled it, in nats.
        teacher_token_logprobs: (N, T) the same under the teacher.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        discount: per trained token.
        normalize: divide by the sum of discount^(j - t), so that early tokens do not get more for what is to come.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> own, teacher = np.full((1, 3), -2.0), np.full((1, 3), -1.0)
    >>> minillm(np.zeros(1), own, teacher, np.ones((1, 3), bool), discount=0.5)
    array([[1.75, 1.5 , 1.  ]])
    """
    gap: Any = teacher_token_logprobs - token_logprobs
    decay = where(mask, 0.0 * gap + discount, 1.0)
    ahead = reverse_scan(decay, where(mask, gap, 0.0))
    if normalize:
        ahead = ahead / where(mask, reverse_scan(decay, where(mask, 0.0 * gap + 1.0, 0.0)), 1.0)
    return rewards[:, None] + ahead
