"""Optimal token baseline (verl, `optimal_token_baseline` and `tir_optimal_token_baseline`)."""

from collections.abc import Hashable, Sequence
from typing import Literal, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.types import A, Array, GroupOptions, Ids, Vector
from ..ops.elementwise import namespace, where
from ..ops.groupwise import group_max, group_min
from ..ops.tokens import by_place
from ..spec import per_responses


@per_responses
def spec(
    rewards: list[float],
    token_logprobs: list[Vector],
    sum_squared_probs: list[Vector],
    *,
    groups: Sequence[Hashable],
    tail: str = "zero",
    singleton: str = "zero",
    min_scored: int = 2,
) -> list[Vector]:
    weights = []
    for logprobs, squares in zip(token_logprobs, sum_squared_probs, strict=True):
        p = np.exp(logprobs)
        weights.append(np.cumsum(1 - 2 * p + np.maximum(squares, p * p)))
    a = []
    for i in range(len(rewards)):
        peers = [k for k, group in enumerate(groups) if group == groups[i]]
        mine = np.zeros(len(weights[i]))
        for t in range(len(mine)):
            there = [k for k in peers if len(weights[k]) > t]
            total = sum(weights[k][t] for k in there)
            if len(peers) < min_scored:
                mine[t] = rewards[i] if singleton == "raw" else 0.0
            elif len(there) == 1:
                mine[t] = rewards[i] if tail == "raw" and np.ptp([rewards[k] for k in peers]) > 0 else 0.0
            elif total > 0:
                mine[t] = rewards[i] - sum(weights[k][t] * rewards[k] for k in there) / total
            else:
                mine[t] = rewards[i] - np.mean([rewards[k] for k in there])
        a.append(mine)
    return a


@estimator(
    unit="token",
    spec=spec,
    paper=Paper("verl", "verl-project", 2026, venue="github.com/verl-project/verl", note="the source names no paper"),
    promises=Promises(shift_invariant=True, scale="equivariant"),
)
def optimal_token_baseline(
    rewards: A,
    groups: Ids,
    mask: Array,
    token_logprobs: Array,
    sum_squared_probs: Array,
    *,
    tail: Literal["zero", "raw"] = "zero",
    **options: Unpack[GroupOptions],
) -> A:
    """Reward above a baseline of each token's place that makes the gradient's variance least.

        A_ik = r_i - sum_j W_jk r_j / sum_j W_jk,    W_jk = w_j1 + ... + w_jk,    w = 1 - 2 p + sum of p^2

    k counts trained tokens, and j runs over the group's responses that have a k-th one; w is the squared length of a
    token's score in logits. Counting trained tokens is verl's multi-turn form; its other one counts columns, and is
    the same where masks have no holes. Where one response alone goes on, verl takes no baseline, `tail="raw"`: its
    advantage jumps to its raw reward; by default its tail gets 0. The baseline contains the own reward, and the
    importance weights of verl are left out.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        token_logprobs: (N, T) nats, under the policy that sampled.
        sum_squared_probs: (N, T) sum over the vocabulary of the policy's squared probabilities; at least the token's
            own square.
        tail: what tokens get that no other response of the group reaches; equal rewards give 0 in any case.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> mask, logprobs = np.array([[True, True], [True, False]]), np.log(np.full((2, 2), 0.5))
    >>> optimal_token_baseline(np.array([1.0, 0.0]), ["a", "a"], mask, logprobs, np.array([[0.5, 0.5], [0.75, 0.5]]))
    array([[ 0.6,  0. ],
           [-0.4,  0. ]])
    """
    xp = namespace(rewards)
    gap = (rewards - group_min(rewards, groups))[:, None]  # equal rewards are exactly zero
    p = xp.exp(token_logprobs)
    weight = where(mask, 1 - 2 * p + xp.maximum(sum_squared_probs, p * p), 0.0)
    weight = where(mask, xp.cumsum(weight, 1), 0.0)
    ones = where(mask, xp.ones_like(weight), 0.0)
    count, total, worth, plain = (by_place(x, mask, groups) for x in (ones, weight, weight * gap, ones * gap))
    baseline = where(total > 0, worth / where(total > 0, total, 1.0), plain / where(count > 0, count, 1.0))
    varied = group_max(rewards, groups) > group_min(rewards, groups)
    alone = where(varied, rewards, 0.0)[:, None] if tail == "raw" else 0.0
    return where(count > 1, gap - baseline, alone + 0.0 * weight)
