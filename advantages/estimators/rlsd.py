"""RLSD, self-distillation as a weight on the advantage (arXiv:2604.03128)."""

from typing import Any, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import Fraction, NonNegative
from ..core.types import A, Array, GroupOptions, Ids, Vector
from ..ops.elementwise import namespace
from ..ops.groupwise import group_zscore
from ..spec import per_tokens_of_group


@per_tokens_of_group
def spec(
    r: Vector,
    token_logprobs: list[Vector],
    teacher_token_logprobs: list[Vector],
    *,
    share: float = 0.5,
    clip: float = 0.2,
    epsilon: float = 1e-6,
) -> list[Any]:
    z = 0.0 * r if r.max() == r.min() else (r - r.mean()) / (r.std(ddof=1) + epsilon)
    a = []
    for z_i, s, t in zip(z, token_logprobs, teacher_token_logprobs, strict=True):
        weight = np.clip(np.exp(np.clip(np.sign(z_i) * (t - s), -60, 60)), 1 - clip, 1 + clip)
        a.append(z_i * ((1 - share) + share * weight))
    return a


@estimator(
    unit="token",
    spec=spec,
    paper=Paper("RLSD", "unknown", 2026, "2604.03128", note="formula as in ms-swift 4.6.0"),
    promises=Promises(shift_invariant=True, scale="invariant"),
)
def rlsd(
    rewards: A,
    groups: Ids,
    token_logprobs: Array,
    teacher_token_logprobs: Array,
    mask: Array,
    *,
    share: Fraction = 0.5,
    clip: Fraction = 0.2,
    epsilon: NonNegative = 1e-6,
    **options: Unpack[GroupOptions],
) -> A:
    """GRPO, with more credit for tokens that the teacher likes better than the policy, and more blame for the others.

        A_it = z_i * ((1 - share) + share * clip(exp(sign(z_i) (log p_teacher - log p)), 1 - clip, 1 + clip))

    z is GRPO's advantage. The teacher decides how much a token counts, never in which direction.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        token_logprobs: (N, T) log-probability of each token under the policy that sampled it, in nats.
        teacher_token_logprobs: (N, T) the same under the teacher.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        share: of the teacher in the weight.
        clip: how far a ratio may be from 1.
        epsilon: added to the deviation.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> own, teacher = np.full((2, 2), -1.0), np.array([[-0.9, -9.0], [-0.9, -9.0]])
    >>> rlsd(np.array([1.0, 0.0]), ["a", "a"], own, teacher, np.ones((2, 2), bool)).round(3)
    array([[ 0.744,  0.636],
           [-0.673, -0.778]])
    """
    xp = namespace(rewards)
    z: Any = group_zscore(rewards, groups, epsilon=epsilon)[:, None]
    ratio = xp.exp(xp.clip(xp.sign(z) * (teacher_token_logprobs - token_logprobs), -60.0, 60.0))
    return z * ((1.0 - share) + share * xp.clip(ratio, 1.0 - clip, 1.0 + clip))
