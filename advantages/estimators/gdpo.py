"""Group reward-decoupled normalization policy optimization (arXiv:2601.05242)."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Unpack

import numpy as np

from ..call import Promises, estimator
from ..core.types import A, BlockOptions, Ids, NonNegative, Singleton, required
from ..ops import where, whiten
from ..spec import per_batch
from .grpo import grpo
from .grpo import spec as grpo_spec


@per_batch
def spec(
    r: Any,
    *,
    groups: Sequence[Hashable],
    singleton: str = "zero",
    weights: Any = None,
    components: Sequence[str] | None = None,
    epsilon: float = 1e-6,
    across: Any = None,
) -> Any:
    w = _weights(weights, components, r.shape[1])
    per_component = [grpo_spec(rewards=r_k, groups=groups, singleton=singleton, epsilon=epsilon) for r_k in r.T]
    total = np.sum([w_k * a_k for w_k, a_k in zip(w, per_component, strict=True)], 0)
    if len(total) < 2 or np.ptp(total) == 0:
        return 0.0 * total
    return (total - total.mean()) / (total.std(ddof=1) + epsilon)


@estimator(
    spec=spec,
    promises=Promises(spans_batch=True, shift_invariant=True),
    shapes={"rewards": (("N", "K"),)},
)
def gdpo(
    rewards: A,
    groups: Ids = required,
    *,
    weights: Mapping[str, float] | Sequence[float] | None = None,
    components: Sequence[str] | None = None,
    epsilon: NonNegative = 1e-6,
    across: Any = None,
    singleton: Singleton = "zero",
    **options: Unpack[BlockOptions],
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
        epsilon: added to both deviations.
        across: how to reach the other ranks for the batch's statistics, see `advantages.ops.moments`.
        singleton: what a response that is alone in its group adds per component: "zero", "raw" (its reward) or
            "error".

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    >>> import numpy as np
    >>> rewards = np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 9.0], [1.0, 3.0]])
    >>> weights = {"right": 2.0, "short": 1.0}
    >>> gdpo(rewards, ["a", "a", "b", "b"], components=["right", "short"], weights=weights).round(3)
    array([ 1.095, -1.095,  0.548, -0.548])
    """
    w = _weights(weights, components, rewards.shape[1])
    columns = [
        w_k * grpo(rewards[:, k], groups, epsilon=epsilon, singleton=singleton) for k, w_k in enumerate(w) if w_k != 0
    ]
    total: Any = sum(columns[1:], start=columns[0]) if columns else 0.0 * rewards[:, 0]
    white: Any = whiten(total, groups.scored, epsilon=epsilon, across=across)  # type: ignore[union-attr]
    # Without lone raw rewards the mean is zero but for rounding, which must not reach a group of equals.
    return where(total == 0, 0.0, white) if singleton == "zero" else white


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
    if len(weights) != count:
        raise ValueError(f"gdpo: got {len(weights)} weights for {count} components; pass one for each")
    if not all(np.isfinite(weight) for weight in weights):
        raise ValueError(f"gdpo: weights are {list(weights)}; pass finite numbers")
    return [float(weight) for weight in weights]
