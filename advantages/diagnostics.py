"""Is the run dead, and why: one look at the rewards and advantages of a batch."""

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from .backends import backend_of, library_of
from .core.groups import Groups
from .core.palette import COLORS

__all__ = ["Diagnosis", "Standing", "diagnose", "merged"]

_FEW = 16
"""Responses below which a share or a correlation says nothing."""
_NEAR = 1e-3
"""Spread of a group's rewards, relative to the largest of them, below which they are as good as tied."""
_SATURATED = math.log(49)
"""Distance of two scores, in temperatures, beyond which the weight of a pair is below 0.02 or above 0.98."""

_CAUSES = (
    "no advantage is above 0",
    "its reward is alone in its group: a rare outcome",
    "the rewards of its group are as good as tied, and were divided by their small deviation",
    "its reward is the farthest from its group",
    "its group is no cause: the batch's statistics or the estimator's settings are",
)


class Standing(NamedTuple):
    """How the numbers of informative groups stand, which tells what was normalised; infinite where none is."""

    most_mean: float = -math.inf
    """The largest |mean| of rewards."""
    most_from_one: float = -math.inf
    """How far the sample deviation of rewards is from 1, and of the population, at most."""
    most_from_one_of_population: float = -math.inf
    most_from_plain: float = -math.inf
    """How far |reward| is from 1 at most: rewards of -1 and 1 are no z-scores."""
    least_reward: float = math.inf
    most_reward: float = -math.inf
    """The least and the greatest deviation of rewards, and of advantages."""
    least_advantage: float = math.inf
    most_advantage: float = -math.inf


@dataclass(frozen=True)
class Diagnosis:
    """Counts and sums of a batch, which add up over its parts; None where a number was not measured.

    Shares and sentences are made of them by `metrics` and `explain`.
    """

    responses: int
    unscored: int
    """Valid responses without a finite reward."""
    invalid: int
    groups: int
    informative: int
    """Groups whose scored rewards differ."""
    all_wrong: int
    all_right: int
    tied: int
    """Groups of equal rewards that are neither."""
    small: int
    """Groups with some, but too few, scored responses."""
    unscored_groups: int
    near_tied: int
    """Informative groups whose rewards differ by less than a thousandth of the largest."""
    cliff: int | None
    """Dead groups of different responses: another sample may differ in reward."""
    collapse: int | None
    """Dead groups of one response, given every time: another sample will be the same."""
    noisy: int | None
    """Groups in which one response, given several times, got several rewards."""
    doubted: int | None
    """Informative groups that a second scoring finds tied."""
    zero: int
    zero_invalid: int
    zero_unscored: int
    zero_small: int
    zero_tied: int
    zero_informative: int
    """Advantages of 0 in groups whose rewards differ."""
    in_informative: int
    """Scored responses of informative groups."""
    nonfinite: int
    """Advantages that are not finite; they enter nothing else."""
    absolute: float
    """Sum of |A|."""
    squares: float
    positive: float
    negative: float
    largest: float
    """Of |A|."""
    largest_cause: int
    components: tuple[str, ...]
    component_squares: tuple[float, ...]
    """Squared distances of each component from its group's mean."""
    total_squares: float
    raw_squares: float | None
    """The same of the rewards, before penalties."""
    penalty_squares: float | None
    cancelled: int | None
    """Groups whose components differ, but whose totals do not."""
    penalty_only: int | None
    """Groups that differ through the penalties alone."""
    raw_sum: float
    penalty_sum: float | None
    standing: "Standing"
    count: int
    means: tuple[float, ...]
    """Of advantages, rewards and lengths over scored responses."""
    products: tuple[tuple[float, ...], ...]
    """Sums of products of their distances from the means."""
    pairs: int | None
    """Pairs of scored responses in informative groups, whose weights LamPO forms."""
    saturated: int | None
    clipped: int | None
    before: float | None
    """Sum of |A| before clipping."""
    largest_before: float | None

    def metrics(self) -> dict[str, float]:
        """Floats by stable names, for any logger; what was not measured, or overflows, is left out.

        `groups_*` are shares of groups, `responses_*` and `zero*` of responses; `*_mass` are per response.
        """
        n, g = self.responses, self.groups
        found: dict[str, float | None] = {"responses": n, "groups": g}
        for name in ("informative", "all_wrong", "all_right", "tied", "small", "near_tied"):
            found[f"groups_{name}"] = _share(getattr(self, name), g)
        found["groups_unscored"] = _share(self.unscored_groups, g)
        for name in ("cliff", "collapse", "noisy", "doubted", "cancelled", "penalty_only"):
            found[f"groups_{name}"] = _share(getattr(self, name), g)
        for name in ("unscored", "invalid", "nonfinite"):
            found[f"responses_{name}"] = _share(getattr(self, name), n)
        for name in ("zero", "zero_invalid", "zero_unscored", "zero_small", "zero_tied", "zero_informative"):
            found[name] = _share(getattr(self, name), n)
        found |= {
            "largest": self.largest if n else None,
            "effective_sample_size": self.effective_sample_size,
            "effective_share": _share(self.effective_sample_size, n),
            "positive_mass": _share(self.positive, n),
            "negative_mass": _share(self.negative, n),
            "reward_raw": _share(self.raw_sum, self.count),
            "reward_penalty": _share(self.penalty_sum, self.count),
            "reward_total": self.means[1] if self.count else None,
            "length_correlation": self.correlation(0, 2),
            "reward_length_correlation": self.correlation(1, 2),
            "weights_saturated": _share(self.saturated, self.pairs),
            "clipped": _share(self.clipped, n),
            "clipped_mass": None if self.before is None else _share(self.before - self.absolute, self.before),
            "largest_before_clipping": self.largest_before,
            "normalised_twice": float(self.normalised_twice is not None) if self.informative else None,
        }
        whole = sum(self.component_squares)
        for name, squares in zip(self.components, self.component_squares, strict=True):
            found[f"component/{name}"] = _share(squares, whole)
        known = {name: float(x) for name, x in found.items() if x is not None and math.isfinite(x)}
        return {f"advantages/{name}": x for name, x in known.items()}

    @property
    def effective_sample_size(self) -> float | None:
        """(sum |A|)^2 / sum A^2: responses of equal |A| that would weigh as much; None where all are 0."""
        return _share(self.absolute**2, self.squares)

    @property
    def dead(self) -> int:
        """Groups of equal rewards."""
        return self.all_wrong + self.all_right + self.tied

    @property
    def normalised_twice(self) -> str | None:
        """What looks normalised a second time, "rewards" or "advantages", or None."""
        s = self.standing
        if self.informative < 2:
            return None
        near_one = min(s.most_from_one, s.most_from_one_of_population) < 1e-2
        if s.most_mean < 1e-3 and near_one and s.most_from_plain > 1e-2:
            return "rewards"
        whitened = self.count > 0 and abs(self.products[0][0] / self.count - 1) < 2e-2
        alike = s.least_advantage > 1.1 and s.most_advantage < 1.01 * s.least_advantage
        if whitened and alike and self.dead and s.most_reward > 1.01 * s.least_reward:
            return "advantages"
        return None

    def correlation(self, first: int, second: int) -> float | None:
        """Of two among advantage, reward and length; None where one of them is constant, or unknown."""
        if max(first, second) >= len(self.means) or not self.count:
            return None
        scale = math.sqrt(self.products[first][first]) * math.sqrt(self.products[second][second])
        return self.products[first][second] / scale if scale > 0 else None

    def explain(self) -> list[str]:
        """Sentences on what is wrong, each supported by the numbers, the gravest first; none where nothing is."""
        return [sentence for look in _LOOKS if (sentence := look(self))]

    def plot(self) -> Any:
        """A matplotlib figure: groups by kind, why advantages are 0, and positive beside negative mass."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 3.4), layout="constrained")
        FigureCanvasAgg(figure)
        kinds = ("informative", "all_wrong", "all_right", "tied", "small", "unscored_groups")
        causes = ("zero_tied", "zero_small", "zero_unscored", "zero_invalid", "zero_informative")
        panels = (
            (f"{self.groups} groups by kind", {k.removesuffix("_groups").replace("_", " "): k for k in kinds}),
            (f"{self.zero} of {self.responses} advantages are 0", {c.removeprefix("zero_"): c for c in causes}),
            ("sum of |A|", {"positive": "positive", "negative": "negative"}),
        )
        for axes, (title, bars) in zip(figure.subplots(1, 3), panels, strict=True):
            heights = [getattr(self, name) for name in bars.values()]
            drawn = axes.barh(list(bars), heights, color=[COLORS[i % len(COLORS)] for i in range(len(bars))])
            axes.bar_label(drawn, labels=[f"{height:.4g}" for height in heights], padding=3, fontsize=8)
            axes.invert_yaxis()
            axes.margins(x=0.15)
            axes.set_title(title, fontsize=10, loc="left")
            axes.grid(axis="x", alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
        return figure


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
    if not right > wrong or not temperature > 0 or min_scored < 1:
        raise ValueError(
            f"diagnose: wrong is {wrong}, right {right}, temperature {temperature} and min_scored {min_scored}; pass "
            "wrong below right, a temperature above 0 and min_scored of at least 1"
        )
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

    # Rows in the order of their groups, so that each reduction is one call.
    order = None if groups.size is not None else groups.members.order
    starts = groups.edges[:-1]
    slots = groups.slots

    def by_group(reduce: np.ufunc, x: Any) -> Any:
        return reduce.reduceat(x if order is None else x[order], starts) if n else np.zeros(0, x.dtype)

    every = bool(scored.all())
    t = total if every else np.where(scored, total, 0.0)
    sizes = by_group(np.add, scored.astype(np.float64))
    low = by_group(np.minimum, t if every else np.where(scored, t, np.inf))
    high = by_group(np.maximum, t if every else np.where(scored, t, -np.inf))
    small, none = (sizes > 0) & (sizes < min_scored), sizes == 0
    enough = ~small & ~none
    differs = enough & (high > low)
    dead = enough & ~differs
    some = np.maximum(sizes, 1.0)

    def squares_of(x: Any) -> Any:
        """Squared distances from the group's mean, a number a group, and the means."""
        mean = by_group(np.add, x) / some
        gap = np.where(scored, x - mean[slots], 0.0)
        return by_group(np.add, gap * gap), mean

    squares, mean = squares_of(t)
    good = np.isfinite(a)
    sane = bool(good.all())
    a = a if sane else np.where(good, a, 0.0)
    size = np.abs(a) if peak is None else np.where(good, peak, 0.0)
    weight = np.abs(a)
    is_zero = (size == 0) & good if not sane or peak is not None else a == 0
    row_differs = differs[slots]
    zero_scored = is_zero & scored
    zeros = _count(is_zero)
    absolute = float(weight.sum())
    positive = float(a.sum() + absolute) / 2

    spread = high - low
    near = differs & (spread < _NEAR * np.maximum(np.abs(low), np.abs(high)))
    largest, cause = 0.0, 0
    if zeros < n - _count(~good):
        top = int(size.argmax())
        slot = slots[top]
        largest = float(size[top])
        same = (t == t[top]) & (slots == slot) & scored
        if not row_differs[top] or not scored[top]:
            cause = 4
        elif near[slot]:
            cause = 2
        elif _count(same) == 1 and (low[slot] == t[top] or high[slot] == t[top]):
            cause = 1
        else:
            cause = 3 if abs(t[top] - mean[slot]) >= max(high[slot] - mean[slot], mean[slot] - low[slot]) else 4

    standing = Standing()
    if differs.any():
        found_squares, members = squares[differs], sizes[differs]
        deviation, population = np.sqrt(found_squares / (members - 1)), np.sqrt(found_squares / members)
        of_a = np.sqrt(squares_of(a)[0][differs] / (members - 1))
        standing = Standing(
            most_mean=float(np.abs(mean[differs]).max()),
            most_from_one=float(np.abs(deviation - 1).max()),
            most_from_one_of_population=float(np.abs(population - 1).max()),
            most_from_plain=float(np.abs(np.abs(t) - 1)[row_differs & scored].max()),
            least_reward=float(deviation.min()),
            most_reward=float(deviation.max()),
            least_advantage=float(of_a.min()),
            most_advantage=float(of_a.max()),
        )

    columns = [a, t] if lengths is None else [a, t, _row("lengths", lengths, n)]
    table = np.stack(columns) if every else np.stack(columns)[:, scored]
    counted = table.shape[1]
    means = table.mean(1) if counted else np.zeros(len(columns))
    gaps = table - means[:, None]
    products = gaps @ gaps.T

    raw_squares = penalty_squares = penalty_only = None
    if taken is not None:
        raw = np.where(scored, r, 0.0)
        raw_squares = float(squares_of(raw)[0][enough].sum())
        penalty_squares = float(squares_of(np.where(scored, taken, 0.0))[0][enough].sum())
        top_raw = by_group(np.maximum, np.where(scored, r, -np.inf))
        penalty_only = _count(differs & (top_raw == by_group(np.minimum, np.where(scored, r, np.inf))))
    component_squares: tuple[float, ...] = ()
    cancelled = None
    if parts is not None:
        each = [squares_of(np.where(scored, part, 0.0))[0] for part in parts.T]
        component_squares = tuple(float(x[enough].sum()) for x in each)
        moving = np.add.reduce(each, axis=0)
        cancelled = _count(enough & (moving > 0) & (squares <= 1e-12 * moving))

    cliff = collapse = noisy = None
    if responses is not None:
        same, told = _equal_responses(responses, slots, t, scored, groups.count, n)
        cliff, collapse, noisy = _count(dead & ~same), _count(dead & same), told
    doubted = None
    if second_rewards is not None:
        again = _row("second_rewards", second_rewards, n)
        both = scored & np.isfinite(again)
        flat = by_group(np.maximum, np.where(both, again, -np.inf)) <= by_group(
            np.minimum, np.where(both, again, np.inf)
        )
        doubted = _count(differs & flat)
    pairs = saturated = None
    if logprobs is not None:
        pairs, saturated = _saturation(_row("logprobs", logprobs, n), slots, scored & row_differs, temperature)
    clipped = before = largest_before = None
    if unclipped is not None:
        was = _numbers("unclipped", unclipped)
        now = _numbers("advantages", advantages)
        if was.shape != now.shape:
            raise ValueError(f"diagnose: unclipped has shape {was.shape} and advantages {now.shape}; pass equal ones")
        _, was_each = _each("unclipped", was, trained, n)
        moved = (was != now) & (np.isfinite(was) | np.isfinite(now))
        clipped = _count(moved if moved.ndim == 1 else (moved & trained).any(1))
        before = float(np.abs(was_each[np.isfinite(was_each)]).sum())
        largest_before = float(
            np.abs(was[np.isfinite(was) if was.ndim == 1 else np.isfinite(was) & trained]).max(initial=0.0)
        )

    found = Diagnosis(
        responses=n,
        unscored=_count(counts & ~finite),
        invalid=n - _count(counts),
        groups=groups.count,
        informative=_count(differs),
        all_wrong=_count(dead & (low <= wrong)),
        all_right=_count(dead & (low >= right)),
        tied=_count(dead & (low > wrong) & (low < right)),
        small=_count(small),
        unscored_groups=_count(none),
        near_tied=_count(near),
        cliff=cliff,
        collapse=collapse,
        noisy=noisy,
        doubted=doubted,
        zero=zeros,
        zero_invalid=_count(is_zero & ~counts),
        zero_unscored=_count(is_zero & counts & ~finite),
        zero_small=_count(zero_scored & small[slots]),
        zero_tied=_count(zero_scored & dead[slots]),
        zero_informative=_count(zero_scored & row_differs),
        in_informative=_count(scored & row_differs),
        nonfinite=n - _count(good),
        absolute=absolute,
        squares=float(a @ a),
        positive=positive,
        negative=absolute - positive,
        largest=largest,
        largest_cause=cause,
        components=names,
        component_squares=component_squares,
        total_squares=float(squares[enough].sum()),
        raw_squares=raw_squares,
        penalty_squares=penalty_squares,
        cancelled=cancelled,
        penalty_only=penalty_only,
        raw_sum=float(r[scored].sum()),
        penalty_sum=None if taken is None else float(taken[scored].sum()),
        standing=standing,
        count=counted,
        means=tuple(means.tolist()),
        products=tuple(map(tuple, products.tolist())),
        pairs=pairs,
        saturated=saturated,
        clipped=clipped,
        before=before,
        largest_before=largest_before,
    )
    return found if across is None else _across(found, like, across)


def merged(parts: Iterable[Diagnosis]) -> Diagnosis:
    """The diagnosis of a batch from those of its parts, whose groups are apart.

    Raises:
        ValueError: there are no parts, or something was measured in some of them alone.
    """
    every = list(parts)
    if not every:
        raise ValueError("merged: there are no parts; pass one diagnosis or more")
    return functools.reduce(_two, every)


def _two(x: Diagnosis, y: Diagnosis) -> Diagnosis:
    if x.components != y.components or len(x.means) != len(y.means):
        raise ValueError("merged: the parts have other components, or lengths in some alone; diagnose all alike")
    made: dict[str, Any] = {}
    for field in fields(Diagnosis):
        p, q = getattr(x, field.name), getattr(y, field.name)
        if (p is None) != (q is None):
            raise ValueError(f"merged: {field.name} was measured in some parts alone; diagnose all with the same words")
        match field.name:
            case "components":
                made[field.name] = p
            case "component_squares":
                made[field.name] = tuple(a + b for a, b in zip(p, q, strict=True))
            case "largest" | "largest_before":
                made[field.name] = None if p is None else max(p, q)
            case "largest_cause":
                made[field.name] = p if x.largest >= y.largest else q
            case "standing":
                pick = [min if name.startswith("least") else max for name in Standing._fields]
                made[field.name] = Standing(*(of(a, b) for of, a, b in zip(pick, p, q, strict=True)))
            case "means" | "products":
                pass
            case _:
                made[field.name] = None if p is None else p + q
    n = x.count + y.count
    gap = np.subtract(y.means, x.means)
    share = y.count / n if n else 0.0
    made["means"] = tuple((np.array(x.means) + gap * share).tolist())
    products = np.array(x.products) + y.products + np.outer(gap, gap) * (x.count * share)
    made["products"] = tuple(map(tuple, products.tolist()))
    return Diagnosis(**made)


def _across(found: Diagnosis, like: Any, across: Any) -> Diagnosis:
    """The diagnosis of all ranks: their numbers are gathered as one array."""
    flat: list[float] = []
    for field in fields(Diagnosis):
        x = getattr(found, field.name)
        if field.name != "components":
            flat.extend(np.array([math.nan if x is None else x], float).ravel().tolist())
    backend = backend_of(like if library_of(like) else np.zeros(0))
    every = backend.to_numpy(backend.gather(backend.from_numpy(np.array(flat), like), across))
    return merged(_unflattened(found, row) for row in every)


def _unflattened(like: Diagnosis, row: Any) -> Diagnosis:
    made: dict[str, Any] = {"components": like.components}
    at = 0
    for field in fields(Diagnosis):
        x = getattr(like, field.name)
        if field.name == "components":
            continue
        shape = np.array([0.0 if x is None else x]).shape
        count = math.prod(shape)
        part = np.asarray(row[at : at + count], float).reshape(shape)[0]
        at += count
        if x is None or part.ndim == 0:
            made[field.name] = None if math.isnan(part) else int(part) if isinstance(x, int) else float(part)
        elif field.name == "standing":
            made[field.name] = Standing(*part.tolist())
        else:
            made[field.name] = tuple(tuple(y) if isinstance(y, list) else y for y in part.tolist())
    return Diagnosis(**made)


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


def _equal_responses(responses: Sequence[Any], slots: Any, t: Any, scored: Any, count: int, n: int) -> tuple[Any, int]:
    """(groups,) whether all scored responses of a group are the same, and groups where the same got two rewards."""
    if len(responses) != n:
        raise ValueError(f"diagnose: there are {len(responses)} responses for {n} rewards; pass one text or hash each")
    texts = Groups(backend_of(responses).to_numpy(responses) if library_of(responses) else list(responses)).slots
    seen: list[dict[int, float]] = [{} for _ in range(count)]
    noisy: set[int] = set()
    for slot, text, reward, counts in zip(slots.tolist(), texts.tolist(), t.tolist(), scored.tolist(), strict=True):
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


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


def _groups_that(d: Diagnosis, count: int) -> str:
    return f"{count} of {d.groups} groups {'is' if count == 1 else 'are'}"


def _holds(count: int) -> str:
    return "holds" if count == 1 else "hold"


def _no_signal(d: Diagnosis) -> str | None:
    if not d.responses:
        return "There are no responses in the batch."
    if not d.informative:
        return "No group has two scored responses whose rewards differ: a group estimator learns nothing here."
    return None


def _all_wrong(d: Diagnosis) -> str | None:
    if d.all_wrong * 4 < d.groups or not d.all_wrong:
        return None
    return f"{_groups_that(d, d.all_wrong)} all wrong: easier prompts, a higher temperature, or a dense reward."


def _all_right(d: Diagnosis) -> str | None:
    if d.all_right * 4 < d.groups or not d.all_right:
        return None
    return f"{_groups_that(d, d.all_right)} all right: harder prompts, or leave out those that are solved."


def _tied(d: Diagnosis) -> str | None:
    if d.tied * 4 < d.groups or not d.tied:
        return None
    return f"{_groups_that(d, d.tied)} tied between wrong and right: see whether the reward can tell responses apart."


def _collapse(d: Diagnosis) -> str | None:
    if d.collapse is None or d.cliff is None or d.dead * 10 < d.groups or not d.dead:
        return None
    said = []
    if d.cliff:
        said.append(f"{d.cliff} {_holds(d.cliff)} different responses: more samples may find a difference")
    if d.collapse:
        what = "one response every time: resampling is useless; raise temperature or entropy"
        said.append(f"{d.collapse} {_holds(d.collapse)} {what}")
    return f"Of {d.dead} groups of equal rewards, {', and '.join(said)}."


def _unscored(d: Diagnosis) -> str | None:
    if not d.unscored:
        return None
    return f"{d.unscored} of {d.responses} responses are unscored: see why the reward function gave no finite number."


def _invalid(d: Diagnosis) -> str | None:
    return f"{d.invalid} of {d.responses} responses are not valid, and teach nothing." if d.invalid else None


def _small(d: Diagnosis) -> str | None:
    if not d.small:
        return None
    return f"{_groups_that(d, d.small)} small, with too few scored responses to compare: see the ids of groups."


def _nonfinite(d: Diagnosis) -> str | None:
    return f"{d.nonfinite} advantages are not finite: do not train on them." if d.nonfinite else None


def _zero(d: Diagnosis) -> str | None:
    if not d.informative or d.zero_informative * 2 < d.in_informative:
        return None
    return (
        f"{d.zero_informative} of {d.in_informative} responses in informative groups have advantage 0: see the groups "
        "that the estimator was given, its mask and its clipping."
    )


def _largest(d: Diagnosis) -> str | None:
    if d.responses < 2 * _FEW or d.largest**2 < d.squares / 4 or not d.squares:
        return None
    return f"One advantage, of size {d.largest:.3g}, outweighs the batch: {_CAUSES[d.largest_cause]}."


def _effective(d: Diagnosis) -> str | None:
    size = d.effective_sample_size
    if size is None or d.responses < _FEW or size * 10 > d.responses:
        return None
    return f"The effective sample size of |A| is {size:.1f} of {d.responses} responses: few of them decide the update."


def _mass(d: Diagnosis) -> str | None:
    if not d.absolute or d.responses < _FEW:
        return None
    share = d.positive / d.absolute
    if 0.05 <= share <= 0.95:
        return None
    sign, part = ("positive", share) if share > 0.5 else ("negative", 1 - share)
    return f"{part:.0%} of the mass of advantages is {sign}: the update pushes one way alone; see the baseline."


def _dominated(d: Diagnosis) -> str | None:
    whole = sum(d.component_squares)
    if len(d.components) < 2 or not whole:
        return None
    share, name = max((x / whole, name) for x, name in zip(d.component_squares, d.components, strict=True))
    if share < 0.95:
        return None
    return f"The component {name!r} makes {share:.1%} of the variation within groups: the others have no say."


def _cancelled(d: Diagnosis) -> str | None:
    if not d.cancelled or d.cancelled * 10 < d.groups:
        return None
    return f"In {d.cancelled} of {d.groups} groups the components differ but cancel in the total: see their weights."


def _penalty(d: Diagnosis) -> str | None:
    if d.penalty_squares is None or d.raw_squares is None or not d.penalty_squares:
        return None
    if d.penalty_only and d.penalty_only * 10 >= d.groups:
        return f"{d.penalty_only} of {d.groups} groups differ through the penalty alone: their rewards are tied."
    if d.penalty_squares > d.raw_squares:
        return "The penalty varies more within groups than the reward: it decides the advantages."
    return None


def _twice(d: Diagnosis) -> str | None:
    what = d.normalised_twice
    if what == "rewards":
        return (
            "The rewards have mean 0 and deviation 1 in every informative group: they look normalised already, and an "
            "estimator that divides by the deviation normalises twice."
        )
    if what == "advantages":
        return (
            "The advantages have one deviation above 1 in every informative group and 1 over the batch: they look "
            "normalised by group and whitened again, which grows as groups die."
        )
    return None


def _length(d: Diagnosis) -> str | None:
    found = d.correlation(0, 2)
    if found is None or d.count < _FEW or abs(found) < 0.5:
        return None
    return (
        f"Advantages and lengths correlate at {found:+.2f}: "
        f"{'longer' if found > 0 else 'shorter'} responses are what is reinforced."
    )


def _saturated(d: Diagnosis) -> str | None:
    if not d.pairs or not d.saturated or d.saturated * 2 < d.pairs:
        return None
    return (
        f"{d.saturated} of {d.pairs} pairs have a LamPO weight below 0.02 or above 0.98: it is a hard ordering; raise "
        "the temperature, or compare means per token."
    )


def _clipped(d: Diagnosis) -> str | None:
    if not d.clipped or d.clipped * 10 < d.responses:
        return None
    lost = _share((d.before or 0.0) - d.absolute, d.before) or 0.0
    return (
        f"Clipping changed {d.clipped} of {d.responses} advantages and took {lost:.0%} of their mass; the largest was "
        f"{d.largest_before or 0.0:.3g}."
    )


def _noise(d: Diagnosis) -> str | None:
    if d.noisy:
        return (
            f"In {d.noisy} of {d.groups} groups one response got several rewards: the verifier is noisy, and ties that "
            "it breaks count as informative, so that the curve looks healthier than the run."
        )
    if d.doubted and d.doubted * 10 >= d.informative:
        return (
            f"{d.doubted} of {d.informative} informative groups are tied when scored again: noise of the verifier "
            "breaks ties, so that the curve looks healthier than the run."
        )
    return None


def _near_tied(d: Diagnosis) -> str | None:
    if not d.near_tied or d.near_tied * 10 < d.groups:
        return None
    return (
        f"{_groups_that(d, d.near_tied)} informative by less than a thousandth of the reward: an estimator that "
        "divides by the deviation makes full advantages of it."
    )


_LOOKS: tuple[Callable[[Diagnosis], str | None], ...] = (
    *(_no_signal, _nonfinite, _all_wrong, _all_right, _tied, _collapse, _unscored, _invalid, _small, _zero),
    *(_noise, _near_tied, _twice, _dominated, _cancelled, _penalty, _largest, _effective, _mass, _length),
    *(_saturated, _clipped),
)
