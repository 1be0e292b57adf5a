"""Group reward-decoupled normalization policy optimization (arXiv:2601.05242)."""

from collections.abc import Hashable, Mapping, Sequence
from math import isfinite
from typing import Any, Literal, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import MinScored, NonNegative
from ..core.types import A, BatchOptions, Ids, Singleton
from ..ops.elementwise import namespace, where
from ..ops.groupwise import group_above_others, group_std_of_others, group_zscore, small_groups
from ..ops.statistics import whiten
from ..spec import per_batch
from .grpo import spec as grpo_spec
from .normalized import spec as normalized_spec


@per_batch
def spec(
    r: Any,
    *,
    groups: Sequence[Hashable],
    singleton: str = "zero",
    weights: Any = None,
    components: Sequence[str] | None = None,
    statistics: str = "group",
    epsilon: float = 1e-6,
    batch_epsilon: float | None = None,
    min_scored: int = 2,
) -> Any:
    w = [1.0] * r.shape[1] if weights is None else weights
    if isinstance(w, Mapping):
        w = [w[name] for name in components or ()]
    settings = {"singleton": singleton, "min_scored": min_scored, "epsilon": epsilon}
    if statistics == "others":
        settings |= {"center": "others", "scale": "others"}
    component_spec = grpo_spec if statistics == "group" else normalized_spec
    per_component = [component_spec(rewards=r_k, groups=groups, **settings) for r_k in r.T]
    total = np.sum([w_k * a_k for w_k, a_k in zip(w, per_component, strict=True)], 0)
    if len(total) < 2 or np.ptp(total) == 0:
        return 0.0 * total
    return (total - total.mean()) / (total.std(ddof=1) + (epsilon if batch_epsilon is None else batch_epsilon))


@estimator(
    spec=spec,
    portable=True,
    paper=Paper("GDPO: group reward-decoupled normalization policy optimization", "Liu et al.", 2026, "2601.05242"),
    promises=Promises(spans_batch=True, zero_sum=True, shift_invariant=True),
    shapes={"rewards": (("N", "K"),)},
)
def gdpo(
    rewards: A,
    groups: Ids,
    *,
    weights: Mapping[str, float] | Sequence[float] | None = None,
    components: Sequence[str] | None = None,
    statistics: Literal["group", "others"] = "group",
    epsilon: NonNegative = 1e-6,
    batch_epsilon: NonNegative | None = None,
    singleton: Singleton = "zero",
    min_scored: MinScored = 2,
    **options: Unpack[BatchOptions],
) -> A:
    """Each reward component as GRPO has it, then their weighted sum, normalised over the batch's responses.

        A_ik = (r_ik - mean(r_k)) / (std(r_k) + epsilon),    in the group
        A_i  = sum over k of w_k A_ik,    then (A - mean(A)) / (std(A) + epsilon),    in the batch

    A component that is not finite in a row is unscored there: it enters no statistic and adds nothing. Where two
    components cancel in every group of a batch, as two of constant sum do, only the epsilons are left to normalise.

    Args:
        rewards: (N, K) one column per reward component.
        groups: (N,) ids, equal where responses answer the same prompt.
        weights: one number per component, in order or by name; None: 1 each.
        components: names of the K columns; needed for weights by name.
        statistics: mean and deviation of the whole "group", or of a response's "others", as NeMo-RL has it: undivided
            where that deviation is 0.
        epsilon: added to the deviations.
        batch_epsilon: added to the batch's deviation instead.
        singleton: what a response that is alone in its group adds per component: "zero", "raw" (its reward) or
            "error".
        min_scored: scored responses below which a group counts as small, component by component.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    >>> import numpy as np
    >>> rewards = np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 9.0], [1.0, 3.0]])
    >>> weights = {"right": 2.0, "short": 1.0}
    >>> gdpo(rewards, ["a", "a", "b", "b"], components=["right", "short"], weights=weights).round(3)
    array([ 1.095, -1.095,  0.548, -0.548])
    """
    w = _weights(weights, components, rewards.shape[1])
    total: Any = namespace(rewards).zeros_like(rewards[:, 0])
    for k, w_k in enumerate(w):
        if w_k != 0:
            total = total + w_k * _of_component(rewards[:, k], groups, statistics, epsilon, singleton, min_scored)
    added = epsilon if batch_epsilon is None else batch_epsilon
    white: Any = whiten(total, groups.scored, epsilon=added)  # type: ignore[union-attr]
    # Without lone raw rewards the groups' means are zero but for rounding, which must not reach a group of equals.
    return where(total == 0, 0.0, white) if singleton == "zero" and statistics == "group" else white


def _of_component(rewards: Any, groups: Any, statistics: str, epsilon: float, singleton: str, min_scored: int) -> Any:
    finite = namespace(rewards).isfinite(rewards)
    groups = groups.where(finite if groups.scored is None else groups.scored & finite)
    rewards = where(finite, rewards, 0.0)
    if statistics == "group":
        scores: Any = group_zscore(rewards, groups, epsilon=epsilon)
    else:
        std: Any = group_std_of_others(rewards, groups)
        scores = group_above_others(rewards, groups) / where(std > 0, std + epsilon, 1.0)
    return where(groups.scored, small_groups("gdpo", scores, rewards, groups, singleton, min_scored), 0.0)


def _weights(weights: Any, components: Sequence[str] | None, count: int) -> list[float]:
    if components is not None and (isinstance(components, str) or len(components) != count):
        raise ValueError(f"gdpo: components is {components!r} but rewards has {count} columns; pass one name for each")
    if weights is None:
        return [1.0] * count
    if isinstance(weights, Mapping):
        if components is None:
            raise TypeError("gdpo: got weights by name, but the columns have no names; pass components")
        if set(weights) != set(components):
            raise ValueError(
                f"gdpo: weights are for {sorted(weights)} but components are {sorted(components)}; pass one for each"
            )
        weights = [weights[name] for name in components]
    try:
        numbers = [float(weight) for weight in weights]
    except (TypeError, ValueError):
        raise TypeError(f"gdpo: weights are {weights!r}; pass one number per component") from None
    if len(numbers) != count:
        raise ValueError(f"gdpo: got {len(numbers)} weights for {count} components; pass one for each")
    if not all(map(isfinite, numbers)):
        raise ValueError(f"gdpo: weights are {numbers}; pass finite numbers")
    return numbers
