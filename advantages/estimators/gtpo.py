"""Group token policy optimization (Tan et al., 2025, arXiv:2508.04349)."""

from typing import Any, Literal, Unpack

import numpy as np

from ..backends import backend_of
from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import NonNegative, Positive, Range
from ..core.types import A, Array, GroupOptions, Ids, Vector
from ..ops.elementwise import at_least, namespace, where
from ..ops.groupwise import group_max, group_min
from ..spec import per_tokens_of_group

_FLAT = 1e-5  # deviations below it are rounding


@per_tokens_of_group
def spec(
    r: Vector,
    token_entropies: list[Vector],
    *,
    outcome: float = 1.0,
    entropy: float = 0.1,
    normalize: str = "together",
    least: float = 1e-6,
    epsilon: float = 1e-6,
) -> list[Any]:
    steps = max(map(len, token_entropies))
    shaped = [np.zeros(len(h)) for h in token_entropies]
    for sign, rows in ((1, np.flatnonzero(r == 1).tolist()), (-1, np.flatnonzero(r == 0).tolist())):
        for t in range(steps):
            alive = [i for i in rows if len(token_entropies[i]) > t]
            weights = {i: max(token_entropies[i][t], least) ** sign for i in alive}
            for i in alive:
                shaped[i][t] = sign * (outcome + entropy * len(alive) * weights[i] / sum(weights.values()))
    parts = [np.arange(len(r))] if normalize == "together" else [np.flatnonzero(r == 1), np.flatnonzero(r == 0)]
    advantages = [np.zeros(len(h)) for h in token_entropies]
    if normalize == "together" and r.max() == r.min():
        return advantages
    for part in parts:
        x = np.concatenate([shaped[i] for i in part.tolist()]) if len(part) else np.zeros(0)
        if len(x) and x.std() > _FLAT:
            for i in part.tolist():
                advantages[i] = (shaped[i] - x.mean()) / (x.std() + epsilon)
    return advantages


@estimator(
    unit="token",
    spec=spec,
    paper=Paper(
        "GTPO and GRPO-S: token and sequence-level reward shaping with policy entropy",
        "Tan et al.",
        2025,
        "2508.04349",
        note="equations 3, 5 and 6 as third-party code has them",
    ),
    promises=Promises(zero_sum=True),
    ranges={"rewards": Range(0.0, 1.0, whole=True)},
)
def gtpo(
    rewards: A,
    groups: Ids,
    token_entropies: Array,
    mask: Array,
    *,
    outcome: NonNegative = 1.0,
    entropy: NonNegative = 0.1,
    normalize: Literal["together", "apart"] = "together",
    least: Positive = 1e-6,
    epsilon: NonNegative = 1e-6,
    **options: Unpack[GroupOptions],
) -> A:
    """Verdicts on tokens: uncertain tokens of right responses gain most, certain ones of wrong responses lose most.

        right:  q_it =   outcome + entropy * d_t * H_it / sum of H_kt over the right ones that are still writing
        wrong:  q_it = -(outcome + entropy * h_t * (1 / H_it) / sum of 1 / H_kt over the wrong ones that are)

    t counts trained tokens; d_t and h_t are how many are still writing there. Then q is normalised over the group's
    tokens. As printed (eq. 6), right and wrong ones are normalised "apart", each to mean 0: then nothing tells right
    responses from wrong ones any more, and a lone response's noise is blown up. "together" is ours, and the default;
    groups of equal rewards then get 0.

    Args:
        rewards: (N,) 1 where the response is right, else 0.
        groups: (N,) ids, equal where responses answer the same prompt.
        token_entropies: (N, T) entropy of the policy at each token, in nats.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        outcome, entropy: weights of the verdict and of the share of entropy.
        normalize: "together" or "apart".
        least: entropies below it count as this.
        epsilon: added to the deviation, which is the population's.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `rewards`, 0 where `mask` is False.

    Raises:
        ValueError: a reward is neither 0 nor 1.

    >>> import numpy as np
    >>> entropies, everywhere = np.array([[3.0, 1.0], [1.0, 3.0]]), np.ones((2, 2), bool)
    >>> gtpo(np.array([1.0, 1.0]), ["a", "a"], entropies, everywhere, normalize="apart").round(3)  # 1.15, 1.05
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    backend, xp = backend_of(token_entropies), namespace(token_entropies)
    ids: Any = groups
    steps = mask.shape[1]
    right: Any = rewards[:, None] > 0.5
    h = at_least(token_entropies, least)
    weight = where(mask, where(right, h, 1.0 / h), 0.0)
    ones = where(mask, xp.ones_like(h), 0.0)
    side = backend.index(2 * ids.slots_like(h)[:, None] + where(right, 1, 0))
    place = backend.index(xp.clip(xp.cumsum(mask, 1) - 1, 0, None))

    def over(keys: Any, count: int, x: Any) -> Any:
        keys = (keys + 0 * place).reshape(-1)
        return backend.segment("sum", x.reshape(-1), keys, count)[keys].reshape(x.shape)

    cells = 2 * ids.count * steps
    alive, total = (over(side * steps + place, cells, x) for x in (ones, weight))
    q = outcome + entropy * alive * weight / where(total > 0, total, 1.0)
    q = where(mask, where(right, q, -q), 0.0)
    keys = side if normalize == "apart" else side // 2
    count = at_least(over(keys, 2 * ids.count, ones), 1.0)
    centered = where(mask, q - over(keys, 2 * ids.count, q) / count, 0.0)
    std = xp.sqrt(over(keys, 2 * ids.count, centered * centered) / count)
    advantages = where(std > _FLAT, centered / (std + where(std > _FLAT, epsilon, 1.0)), 0.0)
    if normalize == "apart":
        return advantages
    return where((group_max(rewards, ids) > group_min(rewards, ids))[:, None], advantages, 0.0)
