"""Baselines with a memory: `baselines, state = tracker(state, rewards, ...)`, pure, with a state of plain numbers.

A state goes through JSON and into a checkpoint as it is; None starts a new one. Nothing is changed in place. Rewards
are read on the host. A non-finite reward is unscored: it moves no state. Hand the baselines to an estimator that
takes `baselines`. By default a batch is taken as a whole: every row gets the baseline from before the batch, which
knows nothing of its own reward, and the order of rows does not matter; published forms that go through the rows one
by one are `sequential=True`.
"""

from collections.abc import Hashable, Iterable, Mapping
from math import inf, isfinite, sqrt
from typing import Any

import numpy as np

from .backends import backend_of, library_of
from .core.settings import Fraction, NonNegative, Positive, Setting

__all__ = ["adaptive_kl", "krpo", "rae", "running_moments", "spo"]

State = Mapping[str, Any]


def rae(
    state: State | None, rewards: Any, roles: Iterable[Hashable], *, decay: Fraction = 0.95, sequential: bool = False
) -> tuple[Any, dict[str, Any]]:
    """Running mean reward of each role (SPIRAL, Liu et al., 2025, arXiv:2506.24119).

        b <- decay * b + (1 - decay) * r,    b = 0 at first

    As a batch, n rewards of a role move it by their mean as far as n updates would: b <- d^n b + (1 - d^n) mean.
    Published is one by one, `sequential=True`, where the result depends on the order of rows.

    >>> import numpy as np
    >>> baselines, state = rae(None, np.array([1.0, 0.0]), ["white", "black"], decay=0.5)
    >>> rae(state, np.array([1.0, 1.0]), ["white", "black"], decay=0.5)[0]
    array([0.5, 0. ])
    """
    _fits("rae", {"decay": (Fraction, decay)})
    r, keys, new = _begun("rae", state, rewards, roles)
    means = new["of"]
    baselines = np.array([means.get(key, 0.0) for key in keys])
    for key, rows in _visits(keys, r, sequential):
        if sequential:
            baselines[rows[0]] = means.get(key, 0.0)
        kept = decay ** len(rows)
        means[key] = kept * means.get(key, 0.0) + (1 - kept) * float(r[rows].mean())
    return _like(baselines, rewards), new


def spo(
    state: State | None,
    rewards: Any,
    prompts: Iterable[Hashable],
    *,
    divergence: float = 0.0,
    half_life: Positive = inf,
    low: Fraction = 0.875,
    high: Fraction = 0.96,
    initial: Fraction = 0.5,
) -> tuple[Any, dict[str, Any]]:
    """Success rate of each prompt, forgotten as the policy moves (SPO, arXiv:2509.13232).

        b = alpha / (alpha + beta);    alpha <- rho alpha + sum(r),    beta <- rho beta + sum(1 - r)
        rho = clip(2^(-D / half_life), low, high)

    A new prompt has alpha + beta = 1 / (1 - low) and the rate `initial`. Keyed by id, so that two tasks with the same
    text stay apart; the published code keys by text. The order of rows does not matter.

    Args:
        state: of the last call, or None.
        rewards: (N,) between 0 and 1.
        prompts: (N,) ids.
        divergence: KL that the policy has moved since the last call, in nats.
        half_life: KL over which half of what is known is forgotten.
        low, high: bounds of what is kept.
        initial: rate of a prompt that was never seen.

    >>> import numpy as np
    >>> baselines, state = spo(None, np.array([1.0]), ["p"], low=0.5, high=0.5)
    >>> spo(state, np.array([0.0]), ["p"], low=0.5, high=0.5)[0]
    array([0.75])
    """
    _fits("spo", {"half_life": (Positive, half_life), "low": (Fraction, low), "high": (Fraction, high)})
    _fits("spo", {"initial": (Fraction, initial), "divergence": (NonNegative, divergence)})
    if low >= 1 or low > high:
        raise ValueError(f"spo: low is {low} and high {high}; pass low below 1 and not above high")
    r, keys, new = _begun("spo", state, rewards, prompts)
    outside = np.flatnonzero(np.isfinite(r) & ((r < 0) | (r > 1)))
    if len(outside):
        raise ValueError(f"spo: the reward of row {outside[0]} is {r[outside[0]]:g}; pass rewards between 0 and 1")
    rho = min(max(2 ** (-divergence / half_life), low), high)
    start = [initial / (1 - low), (1 - initial) / (1 - low)]
    counts = new["of"]
    found = np.array([counts.get(key, start) for key in keys]).reshape(-1, 2)
    for key, rows in _visits(keys, r, False):
        alpha, beta = counts.get(key, start)
        counts[key] = [rho * alpha + float(r[rows].sum()), rho * beta + float((1 - r[rows]).sum())]
    return _like(found[:, 0] / np.maximum(found.sum(1), 1e-300), rewards), new


def krpo(
    state: State | None,
    rewards: Any,
    groups: Iterable[Hashable],
    *,
    process_noise: NonNegative = 1e-5,
    noise: Positive = 1e-2,
    sequential: bool = False,
) -> tuple[Any, dict[str, Any]]:
    """Kalman filter of the mean reward of each group (KRPO, arXiv:2505.07527).

        P <- P + Q,    K = P / (P + R),    x <- x + K (r - x),    P <- (1 - K) P;    x = 0 and P = 1 at first

    As a batch, n rewards are one measurement of their mean, with noise R / n, and each row gets x from before it.
    Published is one by one, `sequential=True`: the result depends on the order of rows, and each baseline contains
    its own reward, so that a group of equals does not get zero. The paper divides by sqrt(P), too, which is not done
    here.

    >>> import numpy as np
    >>> krpo(None, np.array([1.0, 0.0]), ["a", "a"], sequential=True)[0].round(2)
    array([0.99, 0.5 ])
    """
    _fits("krpo", {"process_noise": (NonNegative, process_noise), "noise": (Positive, noise)})
    r, keys, new = _begun("krpo", state, rewards, groups)
    filters = new["of"]
    baselines = np.array([filters.get(key, [0.0, 1.0])[0] for key in keys])
    for key, rows in _visits(keys, r, sequential):
        x, p = filters.get(key, [0.0, 1.0])
        p += process_noise
        gain = p / (p + noise / len(rows))
        x += gain * (float(r[rows].mean()) - x)
        filters[key] = [x, (1 - gain) * p]
        if sequential:
            baselines[rows[0]] = x
    return _like(baselines, rewards), new


def running_moments(state: State | None, rewards: Any, *, inclusive: bool = False) -> tuple[Any, dict[str, Any]]:
    """Mean of all rewards so far; the state has "count", "mean" and "deviation" (Chan's merge, sample deviation).

    ROLL takes the current batch in first, `inclusive=True`: a baseline that contains its own reward.

    >>> import numpy as np
    >>> baselines, state = running_moments(None, np.array([1.0, 3.0]))
    >>> running_moments(state, np.array([5.0]))[0], round(state["deviation"], 3)
    (array([2.]), 1.414)
    """
    new = _copied("running_moments", state)
    r = _read("running_moments", rewards)
    moments = new["of"] or {"count": 0, "mean": 0.0, "m2": 0.0}
    before = moments["mean"]
    scored = r[np.isfinite(r)]
    if len(scored):
        count, mean = moments["count"] + len(scored), float(scored.mean())
        gap = mean - moments["mean"]
        m2 = moments["m2"] + float(((scored - mean) ** 2).sum()) + gap**2 * moments["count"] * len(scored) / count
        moments = {"count": count, "mean": moments["mean"] + gap * len(scored) / count, "m2": m2}
    deviation = sqrt(moments["m2"] / max(moments["count"] - 1, 1))
    new |= {"of": moments, "count": moments["count"], "mean": moments["mean"], "deviation": deviation}
    return _like(np.full(len(r), moments["mean"] if inclusive else before), rewards), new


def adaptive_kl(
    state: State | None,
    kl: float,
    *,
    target: Positive = 6.0,
    horizon: Positive = 10_000.0,
    count: NonNegative = 256.0,
    initial: Positive = 0.2,
) -> tuple[float, dict[str, Any]]:
    """The coefficient of a KL in the reward that steers towards a target (Ziegler et al., 2019, arXiv:1909.08593).

        beta <- beta * (1 + clip(KL / target - 1, -0.2, 0.2) * count / horizon)

    Args:
        state: of the last call, or None.
        kl: mean KL of the batch that was just seen, in nats; one that is not finite moves nothing.
        target: KL that is aimed at.
        horizon: responses over which it may move by a fifth.
        count: responses in the batch.
        initial: the first coefficient.

    Returns:
        The coefficient for the next batch, and the state.

    >>> adaptive_kl(None, 12.0, target=6.0, horizon=100.0, count=50.0, initial=1.0)[0]
    1.1
    """
    _fits("adaptive_kl", {"target": (Positive, target), "horizon": (Positive, horizon), "count": (NonNegative, count)})
    _fits("adaptive_kl", {"initial": (Positive, initial)})
    new = _copied("adaptive_kl", state)
    beta = new["of"].get("beta", initial)
    if isfinite(kl):
        beta *= 1 + min(max(float(kl) / target - 1, -0.2), 0.2) * count / horizon
    new["of"] = {"beta": beta}
    return beta, new


def _fits(who: str, settings: Mapping[str, tuple[Any, Any]]) -> None:
    for name, (hint, value) in settings.items():
        Setting(hint).check(who, name, value)


def _copied(who: str, state: State | None) -> dict[str, Any]:
    if state is None:
        return {"tracker": who, "of": {}}
    found = state.get("tracker") if isinstance(state, Mapping) else None
    if found != who or not isinstance(state.get("of"), Mapping):
        what = f"the state of {found}" if found else f"a {type(state).__name__} that no tracker made"
        raise ValueError(f"{who}: got {what}; pass what {who} returned last, or None to begin")
    return {**state, "of": dict(state["of"])}


def _read(who: str, rewards: Any) -> Any:
    """Rewards in float64."""
    if library_of(rewards) is None or len(rewards.shape) != 1:
        raise TypeError(f"{who}: rewards are no (N,) array of numpy, torch or JAX; pass one reward per response")
    return np.asarray(backend_of(rewards).to_numpy(rewards), np.float64)


def _begun(who: str, state: State | None, rewards: Any, ids: Any) -> tuple[Any, list[str], dict[str, Any]]:
    """Rewards in float64, ids as keys of JSON, and a copy of the state."""
    new = _copied(who, state)
    r = _read(who, rewards)
    if isinstance(ids, str) or not hasattr(ids, "__iter__"):
        raise TypeError(f"{who}: ids are {ids!r}; pass one id per response")
    names = ids.tolist() if hasattr(ids, "tolist") else list(ids)
    if len(names) != len(r):
        raise ValueError(f"{who}: there are {len(r)} rewards but {len(names)} ids; pass one id per response")
    return r, [_key(who, name) for name in names], new


def _key(who: str, name: Hashable) -> str:
    """An id as text: 7 and "7" are two, and numpy's 7 is 7."""
    plain = name.item() if isinstance(name, np.generic) else name
    if isinstance(plain, bool) or not isinstance(plain, (int, str)):
        raise TypeError(f"{who}: an id is the {type(name).__name__} {name!r}; pass integers or strings")
    return f"{'str' if isinstance(plain, str) else 'int'}:{plain}"


def _visits(keys: list[str], r: Any, sequential: bool) -> list[tuple[str, list[int]]]:
    """Scored rows by key, or each on its own in the order of rows."""
    scored = [row for row in range(len(r)) if isfinite(r[row])]
    if sequential:
        return [(keys[row], [row]) for row in scored]
    of: dict[str, list[int]] = {}
    for row in scored:
        of.setdefault(keys[row], []).append(row)
    return list(of.items())


def _like(baselines: Any, rewards: Any) -> Any:
    backend = backend_of(rewards)
    return backend.cast(backend.from_numpy(baselines, rewards), backend.result_dtype(rewards))
