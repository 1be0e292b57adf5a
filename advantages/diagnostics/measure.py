"""One look at the rewards and advantages of a batch."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backends import backend_of, library_of
from ..core.groups import Groups
from .diagnosis import Diagnosis, Standing
from .merge import across_ranks

__all__ = ["diagnose"]

_NEAR = 1e-3
"""Spread of a group's rewards, relative to the largest of them, below which they are as good as tied."""
_ROUNDING = 1e-6
"""The same, relative to the distance from wrong to right: rewards around 0 that differ by rounding alone."""
_SATURATED = math.log(49)
"""Distance of two scores, in temperatures, beyond which the weight of a pair is below 0.02 or above 0.98."""


@np.errstate(over="ignore", invalid="ignore")  # what overflows is left out of the metrics
def diagnose(
    rewards: Any,
    advantages: Any,
    groups: Any,
    *,
    valid: Any = None,
    mask: Any = None,
    responses: Sequence[Any] | None = None,
    lengths: Any = None,
    penalties: Any = None,
    second_rewards: Any = None,
    components: Sequence[str] | None = None,
    weights: Sequence[float] | None = None,
    logprobs: Any = None,
    temperature: float = 1.0,
    unclipped: Any = None,
    wrong: float = 0.0,
    right: float = 1.0,
    min_scored: int = 2,
    across: Any = None,
) -> Diagnosis:
    """Look at a batch: which groups teach, why advantages are 0, what the largest comes from, what outweighs what.

    Arrays of numpy, torch and JAX are read on the host, once each; nothing is changed.

    Args:
        rewards: (N,) outcome rewards, or (N, K) by component; not finite where unscored.
        advantages: (N,), or (N, T) with `mask`; then the mean over trained tokens stands for the response.
        groups: (N,) ids, `Groups`, or the size of groups of neighbouring rows. No group may span ranks.
        valid: (N,) bool rows that count.
        mask: (N, T) bool trained tokens.
        responses: (N,) texts, or hashes of them: what tells cliff from collapse, and noise of the verifier.
        lengths: (N,) trained tokens; those of the mask by default.
        penalties: (N,) what was taken off the rewards before the advantages, such as a KL penalty.
        second_rewards: (N,) the same responses scored again, which shows ties that noise has broken.
        components: K names.
        weights: K weights of the components' sum; 1 each by default.
        logprobs: (N,) the scores whose distances LamPO weighs, and their `temperature`.
        unclipped: advantages as they were before clipping, of their shape.
        wrong, right: a group of equal rewards is all wrong up to the first, and all right from the second on.
        min_scored: scored responses below which a group is small.
        across: a torch process group, or a function that stacks a (k,) array of every rank to (R, k).

    Raises:
        ValueError: shapes do not fit, or a number is out of range.

    >>> found = diagnose(np.array([1.0, 0.0, 0.0, 0.0]), np.array([0.5, -0.5, 0.0, 0.0]), 2)
    >>> found.informative, found.all_wrong, found.metrics()["advantages/zero_tied"]
    (1, 1, 0.5)
    """
    like = rewards
    r, a = _numbers("rewards", rewards), _numbers("advantages", advantages)
    n = len(r)
    if r.ndim not in (1, 2):
        raise ValueError(f"diagnose: rewards have shape {r.shape}; pass (N,), or (N, K) by component")
    if not right > wrong:
        raise ValueError(f"diagnose: wrong is {wrong} and right {right}; pass wrong below right")
    if not temperature > 0:
        raise ValueError(f"diagnose: temperature is {temperature}; pass one above 0")
    if min_scored < 1:
        raise ValueError(f"diagnose: min_scored is {min_scored}; pass at least 1")
    trained = None if mask is None else _numbers("mask", mask) != 0
    peak, a = _each("advantages", a, trained, n)
    lengths = trained.sum(1).astype(float) if lengths is None and trained is not None else lengths
    names, r, parts = _components(r, components, weights)
    counts = np.ones(n, bool) if valid is None else _row("valid", valid, n) != 0
    groups = _host_groups(groups, n)
    if groups.scored is not None:
        counts = counts & (_row("groups.scored", groups.scored, n) != 0)
    taken = None if penalties is None else _row("penalties", penalties, n)
    total = r if taken is None else r - taken
    finite = np.isfinite(total)
    scored = counts & finite
    batch = _Batch(total, scored, groups, min_scored, _ROUNDING * (right - wrong))

    good = np.isfinite(a)
    sane = bool(good.all())
    a = a if sane else np.where(good, a, 0.0)
    each = np.abs(a)
    size = each if peak is None else np.where(good, peak, 0.0)
    is_zero = (size == 0) & good if not sane or peak is not None else a == 0
    zero_scored = is_zero & scored
    zeros, nonfinite = _count(is_zero), n - _count(good)
    heaviest, cause = _heaviest(batch, each) if zeros + nonfinite < n else (0.0, 0)
    absolute = float(each.sum())
    positive = float(a.sum() + absolute) / 2

    columns = [a, batch.t] if lengths is None else [a, batch.t, _row("lengths", lengths, n)]
    found: dict[str, Any] = _moments(columns, scored)
    found |= _of_penalties(batch, r, taken) | _of_components(batch, parts)
    found |= _of_verifier(batch, r, responses, second_rewards) | _of_clipping(advantages, unclipped, trained, n)
    pairs = saturated = None
    if logprobs is not None:
        s = _row("logprobs", logprobs, n)
        pairs, saturated = _saturation(s, batch.slots, scored & batch.row_differs, temperature)

    diagnosis = Diagnosis(
        responses=n,
        unscored=_count(counts & ~finite),
        invalid=n - _count(counts),
        groups=groups.count,
        informative=_count(batch.differs),
        all_wrong=_count(batch.dead & (batch.low <= wrong)),
        all_right=_count(batch.dead & (batch.low >= right)),
        tied=_count(batch.dead & (batch.low > wrong) & (batch.low < right)),
        small=_count(batch.small),
        unscored_groups=_count(batch.none),
        near_tied=_count(batch.near),
        zero=zeros,
        zero_invalid=_count(is_zero & ~counts),
        zero_unscored=_count(is_zero & counts & ~finite),
        zero_small=_count(zero_scored & batch.small[batch.slots]),
        zero_tied=_count(zero_scored & batch.dead[batch.slots]),
        zero_informative=_count(zero_scored & batch.row_differs),
        in_informative=_count(scored & batch.row_differs),
        nonfinite=nonfinite,
        absolute=absolute,
        squares=float(a @ a),
        positive=positive,
        negative=absolute - positive,
        largest=float(size.max(initial=0.0)),
        heaviest=heaviest,
        heaviest_cause=cause,
        components=names,
        total_squares=float(batch.squares[batch.enough].sum()),
        raw_sum=float(r[scored].sum()),
        standing=_standing(batch, a),
        pairs=pairs,
        saturated=saturated,
        **found,
    )
    return diagnosis if across is None else across_ranks(diagnosis, like, across)


class _Batch:
    """The rewards of a batch by group: what is measured of every batch, and how."""

    def __init__(self, total: Any, scored: Any, groups: Groups, min_scored: int, rounding: float) -> None:
        # Rows in the order of their groups, so that each reduction is one call.
        self.order = None if groups.size is not None else groups.members.order
        self.starts, self.slots, self.count = groups.edges[:-1], groups.slots, groups.count
        self.scored, self.every = scored, bool(scored.all())
        self.t = total if self.every else np.where(scored, total, 0.0)
        self.sizes = self.reduced(np.add, scored.astype(np.float64))
        self.low, self.high = self.ends(self.t)
        self.small, self.none = (self.sizes > 0) & (self.sizes < min_scored), self.sizes == 0
        self.enough = ~self.small & ~self.none
        self.differs = self.enough & (self.high > self.low)
        self.dead = self.enough & ~self.differs
        self.row_differs = self.differs[self.slots]
        largest = np.maximum(np.abs(self.low), np.abs(self.high))
        self.near = self.differs & (self.high - self.low < np.maximum(_NEAR * largest, rounding))
        self.squares, self.mean = self.spread(self.t)

    def reduced(self, reduce: np.ufunc, x: Any) -> Any:
        if not len(x):
            return np.zeros(0, x.dtype)
        return reduce.reduceat(x if self.order is None else x[self.order], self.starts)

    def ends(self, x: Any, counted: Any = None) -> tuple[Any, Any]:
        """The least and the greatest of each group's scored rows, or of those that are counted."""
        if counted is None and self.every:
            return self.reduced(np.minimum, x), self.reduced(np.maximum, x)
        rows = self.scored if counted is None else counted
        low = self.reduced(np.minimum, np.where(rows, x, np.inf))
        return low, self.reduced(np.maximum, np.where(rows, x, -np.inf))

    def spread(self, x: Any) -> tuple[Any, Any]:
        """Squared distances from the group's mean, a number a group, and the means; x is 0 where not scored."""
        mean = self.reduced(np.add, x) / np.maximum(self.sizes, 1.0)
        gap = np.where(self.scored, x - mean[self.slots], 0.0)
        return self.reduced(np.add, gap * gap), mean

    def squares_of(self, x: Any) -> Any:
        return self.spread(np.where(self.scored, x, 0.0))[0]


def _heaviest(batch: _Batch, size: Any) -> tuple[float, int]:
    """The largest |A| of a response, and the number of its cause."""
    top = int(size.argmax())
    slot, t = batch.slots[top], batch.t
    same = (t == t[top]) & (batch.slots == slot) & batch.scored
    low, high, mean = batch.low[slot], batch.high[slot], batch.mean[slot]
    if not batch.row_differs[top] or not batch.scored[top]:
        cause = 4
    elif batch.near[slot]:
        cause = 2
    elif _count(same) == 1 and (low == t[top] or high == t[top]):
        cause = 1
    else:
        cause = 3 if abs(t[top] - mean) >= max(high - mean, mean - low) else 4
    return float(size[top]), cause


def _standing(batch: _Batch, a: Any) -> Standing:
    differs = batch.differs
    if not differs.any():
        return Standing()
    squares, members = batch.squares[differs], batch.sizes[differs]
    deviation, population = np.sqrt(squares / (members - 1)), np.sqrt(squares / members)
    of_a = np.sqrt(batch.spread(a)[0][differs] / (members - 1))
    return Standing(
        most_mean=float(np.abs(batch.mean[differs]).max()),
        most_from_one=float(np.abs(deviation - 1).max()),
        most_from_one_of_population=float(np.abs(population - 1).max()),
        most_from_plain=float(np.abs(np.abs(batch.t) - 1)[batch.row_differs & batch.scored].max()),
        least_reward=float(deviation.min()),
        most_reward=float(deviation.max()),
        least_advantage=float(of_a.min()),
        most_advantage=float(of_a.max()),
    )


def _moments(columns: list[Any], scored: Any) -> dict[str, Any]:
    table = np.stack(columns) if scored.all() else np.stack(columns)[:, scored]
    count = table.shape[1]
    means = table.mean(1) if count else np.zeros(len(columns))
    gaps = table - means[:, None]
    return {
        "count": count,
        "means": tuple(means.tolist()),
        "products": tuple(map(tuple, (gaps @ gaps.T).tolist())),
    }


def _of_penalties(batch: _Batch, r: Any, taken: Any) -> dict[str, Any]:
    """Rewards and penalties apart, where there are penalties."""
    if taken is None:
        return dict.fromkeys(("raw_squares", "penalty_squares", "penalty_only", "penalty_sum"))
    low, high = batch.ends(r)
    return {
        "raw_squares": float(batch.squares_of(r)[batch.enough].sum()),
        "penalty_squares": float(batch.squares_of(taken)[batch.enough].sum()),
        "penalty_only": _count(batch.differs & (low == high)),
        "penalty_sum": float(taken[batch.scored].sum()),
    }


def _of_components(batch: _Batch, parts: Any) -> dict[str, Any]:
    if parts is None:
        return {"component_squares": (), "cancelled": None}
    each = [batch.squares_of(part) for part in parts.T]
    moving = np.add.reduce(each, axis=0)
    return {
        "component_squares": tuple(float(x[batch.enough].sum()) for x in each),
        "cancelled": _count(batch.enough & (moving > 0) & (batch.squares <= 1e-12 * moving)),
    }


def _of_verifier(batch: _Batch, r: Any, responses: Sequence[Any] | None, again: Any) -> dict[str, Any]:
    """What equal responses and a second scoring tell of the rewards, as they were before penalties."""
    found: dict[str, Any] = dict.fromkeys(("cliff", "collapse", "noisy", "doubted"))
    n = len(r)
    if responses is not None:
        same, noisy = _equal_responses(responses, batch.slots, r, batch.scored, batch.count, n)
        found |= {"cliff": _count(batch.dead & ~same), "collapse": _count(batch.dead & same), "noisy": noisy}
    if again is not None:
        second = _row("second_rewards", again, n)
        low, high = batch.ends(second, batch.scored & np.isfinite(second))
        found["doubted"] = _count(batch.differs & np.less(*batch.ends(r)) & (high <= low))
    return found


def _of_clipping(advantages: Any, unclipped: Any, trained: Any, n: int) -> dict[str, Any]:
    if unclipped is None:
        return {"clipped": None, "before": None, "largest_before": None}
    was, now = _numbers("unclipped", unclipped), _numbers("advantages", advantages)
    if was.shape != now.shape:
        raise ValueError(f"diagnose: unclipped has shape {was.shape} and advantages {now.shape}; pass equal ones")
    _, each = _each("unclipped", was, trained, n)
    moved = (was != now) & (np.isfinite(was) | np.isfinite(now))
    known = np.isfinite(was) if was.ndim == 1 else np.isfinite(was) & trained
    return {
        "clipped": _count(moved if moved.ndim == 1 else (moved & trained).any(1)),
        "before": float(np.abs(each[np.isfinite(each)]).sum()),
        "largest_before": float(np.abs(was[known]).max(initial=0.0)),
    }


def _count(which: Any) -> int:
    return int(np.count_nonzero(which))


def _numbers(name: str, x: Any) -> Any:
    """An array of any library, or a list, as float64 of numpy."""
    found = backend_of(x).to_numpy(_upcast(x)) if library_of(x) else np.array(x, dtype=np.float64)
    return found if found.dtype == np.float64 else found.astype(np.float64)


def _upcast(x: Any) -> Any:
    """numpy has no bfloat16."""
    return x.float() if library_of(x) == "torch" and str(x.dtype) == "torch.bfloat16" else x


def _row(name: str, x: Any, n: int) -> Any:
    found = _numbers(name, x)
    if found.shape != (n,):
        raise ValueError(f"diagnose: {name} has shape {found.shape}, but rewards have {n} rows; pass shape ({n},)")
    return found


def _each(name: str, a: Any, trained: Any, n: int) -> tuple[Any, Any]:
    """(N,) the largest |A| of each response where it has several, else None, and the mean of its trained tokens."""
    if a.shape == (n,):
        return None, a
    if a.ndim != 2 or len(a) != n:
        raise ValueError(f"diagnose: {name} have shape {a.shape}, but rewards have {n} rows; pass ({n},) or ({n}, T)")
    if trained is None or trained.shape != a.shape:
        shape = None if trained is None else trained.shape
        raise ValueError(f"diagnose: {name} have shape {a.shape} and mask has {shape}; pass a mask of their shape")
    a = np.where(trained, a, 0.0)
    return np.abs(a).max(1, initial=0.0), a.sum(1) / np.maximum(trained.sum(1), 1)


def _components(r: Any, names: Sequence[str] | None, weights: Any) -> tuple[tuple[str, ...], Any, Any]:
    """Names, (N,) totals and (N, K) weighted components, or None where there is one reward."""
    if r.ndim == 1:
        if names is not None or weights is not None:
            raise ValueError("diagnose: components have names or weights, but rewards are (N,); pass (N, K) rewards")
        return (), r, None
    k = r.shape[1]
    made = tuple(str(i) for i in range(k)) if names is None else tuple(names)
    scale = np.ones(k) if weights is None else np.asarray(weights, np.float64)
    if len(made) != k or scale.shape != (k,):
        raise ValueError(f"diagnose: rewards have {k} components, {len(made)} names and {scale.size} weights; pass {k}")
    finite = np.isfinite(r)
    parts = np.where(finite, r, 0.0) * scale
    return made, np.where(finite.any(1), parts.sum(1), np.nan), parts


def _host_groups(ids: Any, n: int) -> Groups:
    if isinstance(ids, (int, np.integer)) and not isinstance(ids, bool):
        return Groups.of_size(int(ids), n)
    if isinstance(ids, Groups) and not ids.on_host:
        slots = ids.slots
        made = Groups(backend_of(slots).to_numpy(slots)).where(ids.scored)
    elif isinstance(ids, Groups):
        made = ids
    else:
        made = Groups(backend_of(ids).to_numpy(ids) if library_of(ids) in ("torch", "jax") else ids)
    if len(made) != n:
        raise ValueError(f"diagnose: there are {len(made)} group ids for {n} rewards; pass one id per response")
    return made


def _equal_responses(responses: Sequence[Any], slots: Any, r: Any, scored: Any, count: int, n: int) -> tuple[Any, int]:
    """(groups,) whether all scored responses of a group are the same, and groups where the same got two rewards."""
    if len(responses) != n:
        raise ValueError(f"diagnose: there are {len(responses)} responses for {n} rewards; pass one text or hash each")
    texts = Groups(backend_of(responses).to_numpy(responses) if library_of(responses) else list(responses)).slots
    seen: list[dict[int, float]] = [{} for _ in range(count)]
    noisy: set[int] = set()
    for slot, text, reward, counts in zip(slots.tolist(), texts.tolist(), r.tolist(), scored.tolist(), strict=True):
        if counts and seen[slot].setdefault(text, reward) != reward:
            noisy.add(slot)
    return np.array([len(texts) == 1 for texts in seen], bool), len(noisy)


def _saturation(s: Any, slots: Any, counted: Any, temperature: float) -> tuple[int, int]:
    """Pairs of a group, and those whose scores are too far apart for the sigmoid."""
    counted = counted & np.isfinite(s)
    s, slots = s[counted] / temperature, slots[counted]
    if not len(s):
        return 0, 0
    sizes = np.bincount(slots)
    width = s.max() - s.min() + 2 * _SATURATED
    key = np.sort(s - s.min() + slots * width)  # one group after the other, too far apart to meet
    ends = np.repeat(np.cumsum(sizes), sizes)
    beyond = np.searchsorted(key, key + _SATURATED, "right")
    return int((sizes * (sizes - 1)).sum() // 2), int(np.maximum(ends - beyond, 0).sum())
