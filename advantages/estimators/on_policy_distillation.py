"""On-policy distillation (MOPD, 2026, arXiv:2601.02780, eq. 8)."""

from typing import Any, Unpack

from ..call import estimator
from ..core.definition import Paper
from ..core.objectives import DISTILLED
from ..core.promises import Promises
from ..core.settings import NonNegative
from ..core.types import A, Array, RowOptions, Vector
from ..spec import per_responses


@per_responses
def spec(
    r: list[float],
    token_logprobs: list[Vector],
    teacher_token_logprobs: list[Vector],
    *,
    coefficient: float = 1.0,
) -> list[Any]:
    return [r_i + coefficient * (t - s) for r_i, s, t in zip(r, token_logprobs, teacher_token_logprobs, strict=True)]


@estimator(
    unit="token",
    spec=spec,
    paper=Paper("MiMo-V2-Flash technical report", "Xiaomi LLM-Core Team", 2026, "2601.02780"),
    promises=Promises(objective=DISTILLED),
)
def on_policy_distillation(
    rewards: A,
    token_logprobs: Array,
    teacher_token_logprobs: Array,
    mask: Array,
    *,
    coefficient: NonNegative = 1.0,
    **options: Unpack[RowOptions],
) -> A:
    """How much likelier the teacher finds each token than the policy that sampled it; and the reward beside it.

        A_it = r_i + coefficient * (log p_teacher - log p)

    Its mean over the policy's tokens is minus the KL divergence from the teacher, token by token: no credit flows back
    to earlier ones. Pass zeros for pure distillation. Frameworks differ in where they add the two: slime before
    whitening, ROLL after, AReaL in the loss.

    Args:
        rewards: (N,) what each token of a response gets besides, such as an outcome above a baseline; or zeros.
        token_logprobs: (N, T) log-probability of each token under the policy that sampled it, in nats.
        teacher_token_logprobs: (N, T) the same under the teacher.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        coefficient: reward per nat.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> own, teacher = np.array([[-1.0, -3.0]]), np.array([[-1.5, -1.0]])
    >>> on_policy_distillation(np.zeros(1), own, teacher, np.ones((1, 2), bool))
    array([[-0.5,  2. ]])
    """
    gap: Any = teacher_token_logprobs - token_logprobs
    return rewards[:, None] + coefficient * gap
