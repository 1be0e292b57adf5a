"""Runs compared: what is measured of each, means over seeds with 95% intervals, and differences paired by seed.

Every interval is Student's, over n seeds with sample deviation s: mean ± t(0.975, n - 1) * s / sqrt(n). One seed has
none. Intervals are not adjusted for how many of them are looked at.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtrit

from .record import curve, first_reaching, has_verdicts, mean_known

__all__ = [
    "MEASURES",
    "Band",
    "Comparison",
    "Difference",
    "Interval",
    "Measure",
    "Run",
    "Variant",
    "band",
    "compare",
    "interval",
    "measure",
    "measures_of",
]

LEVEL = 0.95


class Measure(NamedTuple):
    """A number that is read off a run."""

    title: str
    form: str
    """How it is written, as a format specification."""
    better: int
    """1 where more is better, -1 where less is, 0 where neither is."""
    meaning: str


_REACHED = "at the first step where the mean accuracy of the last five steps is at least"
MEASURES: Mapping[str, Measure] = {
    "before": Measure("accuracy before", ".1%", 0, "held-out problems answered rightly before training, sampling"),
    "after": Measure("accuracy after", ".1%", 1, "held-out problems answered rightly after training, sampling"),
    "greedy": Measure("greedy after", ".1%", 1, "the same, taking the likeliest token each time"),
    "auc": Measure("area under curve", ".3f", 1, "mean accuracy of the scored samples of all training steps"),
    "reward_before": Measure("reward before", ".3g", 0, "mean reward on held-out problems before training, sampling"),
    "reward_after": Measure("reward after", ".3g", 1, "mean reward on held-out problems after training, sampling"),
    "reward_greedy": Measure("reward, greedy", ".3g", 1, "the same, taking the likeliest token each time"),
    "reward": Measure("mean reward", ".3g", 1, "mean reward of the scored samples of all training steps"),
    "steps_to_50": Measure("steps to 50%", ",.0f", -1, f"steps taken {_REACHED} 0.5"),
    "samples_to_50": Measure("samples to 50%", ",.0f", -1, f"responses sampled {_REACHED} 0.5"),
    "steps_to_90": Measure("steps to 90%", ",.0f", -1, f"steps taken {_REACHED} 0.9"),
    "samples_to_90": Measure("samples to 90%", ",.0f", -1, f"responses sampled {_REACHED} 0.9"),
    "gradient": Measure("gradient norm", ".3g", 0, "mean over the steps, before it is clipped"),
    "gradient_variation": Measure(
        "gradient variation", ".2f", 0, "standard deviation of the gradient norm over the steps, divided by its mean"
    ),
    "gradient_peak": Measure("gradient peak", ".2f", 0, "largest gradient norm, divided by the median one"),
    "gradient_change": Measure(
        "gradient change", ".2f", -1, "median over neighbouring steps of 2 |g - h| / (g + h), for norms g and h: 0 to 2"
    ),
    "seconds": Measure("seconds", ",.0f", -1, "of all training steps together"),
}


@dataclasses.dataclass(frozen=True)
class Run:
    """One run: what was trained, how, and what was logged.

    Args:
        variant: what it is compared under, such as the estimator's name; runs of one variant differ in the seed alone.
        metrics: one mapping per step, as in metrics.jsonl, with `samples`, `accuracy`, `grad_norm` and `seconds`.
        evaluation: of held-out problems, as `runs.record.evaluated` says, as far as it was measured.
    """

    variant: str
    seed: int
    metrics: Sequence[Mapping[str, Any]]
    evaluation: Mapping[str, float | None] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean over seeds, and half the width of its 95% interval; None with fewer than two."""

    mean: float
    half: float | None
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether it does; seeds that agree exactly show that a measure is coarse, not that it is sure."""
        return self.half is not None and 1e-9 < self.half < abs(self.mean)


@dataclasses.dataclass(frozen=True)
class Variant:
    """The runs of one variant, seed by seed."""

    name: str
    seeds: tuple[int, ...]
    values: Mapping[str, tuple[float | None, ...]]
    """Of each measure: one value per seed, None where there is none, as for a threshold that was never reached."""
    means: Mapping[str, Interval | None]
    """Of each measure: over the seeds that have a value; None where no seed has."""

    def without(self, name: str) -> tuple[int, ...]:
        """The seeds that have no value of a measure."""
        return tuple(seed for seed, x in zip(self.seeds, self.values[name], strict=True) if x is None)


@dataclasses.dataclass(frozen=True)
class Difference:
    """How much more a variant has of a measure than the baseline, over the seeds of which both have a value."""

    seeds: tuple[int, ...]
    values: tuple[float, ...]
    left_out: tuple[int, ...]
    """Seeds of both, of which one or the other has no value."""
    mean: Interval | None
    """None where `seeds` is empty."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Variants, and each one's differences from the baseline."""

    baseline: str
    variants: tuple[Variant, ...]
    """In the order in which they were given."""
    differences: Mapping[str, Mapping[str, Difference]]
    """By variant, the baseline left out, and by measure."""
    unpaired: Mapping[str, tuple[int, ...]]
    """By variant, the baseline left out: seeds that the variant has and the baseline lacks, or the other way round."""

    def __getitem__(self, name: str) -> Variant:
        return next(variant for variant in self.variants if variant.name == name)


class Band(NamedTuple):
    """A mean curve and its 95% interval at every step."""

    samples: Any
    """(steps,) responses sampled so far."""
    mean: Any
    """(steps,)"""
    half: Any
    """(steps,) half the interval's width; NaN with fewer than two runs."""


def interval(values: Sequence[float]) -> Interval:
    """The mean of independent values, one per seed, and half the width of its 95% interval.

    Raises:
        ValueError: there is no value, or one is not finite.

    >>> found = interval([0.8, 0.9, 1.0])
    >>> f"{found.mean:.3f} ± {found.half:.3f}, {found.n} seeds"
    '0.900 ± 0.248, 3 seeds'
    """
    x = np.asarray(values, np.float64)
    if not len(x) or not np.isfinite(x).all():
        raise ValueError(f"interval: the values are {list(values)}; pass at least one, and finite ones")
    return Interval(float(x.mean()), float(_halves(x)) if len(x) > 1 else None, len(x))


def _halves(x: Any) -> Any:
    """Half the interval's width, over the first axis, which has at least two entries."""
    n = len(x)
    return stdtrit(n - 1, (1 + LEVEL) / 2) * x.std(0, ddof=1) / np.sqrt(n)


_REWARDS = ("reward_before", "reward_after", "reward_greedy", "reward")
_ACCURACIES = ("before", "after", "greedy", "auc", "steps_to_50", "samples_to_50", "steps_to_90", "samples_to_90")
_EVALUATED = ("before", "after", "greedy", "reward_before", "reward_after", "reward_greedy")


def measure(run: Run) -> dict[str, float | None]:
    """Every measure of one run; None where it has none, as for a threshold that was never reached.

    Raises:
        ValueError: the run has no step.
    """
    if not run.metrics:
        raise ValueError(f"compare: {run.variant}, seed {run.seed}, has no step; leave it out")
    found: dict[str, float | None] = {name: run.evaluation.get(name) for name in _EVALUATED}
    verdicts = has_verdicts(run.metrics)
    found["auc"] = mean_known([step["accuracy"] for step in run.metrics]) if verdicts else None
    found["reward"] = mean_known([step.get("reward") for step in run.metrics])
    for percent in (50, 90):
        reached = first_reaching(run.metrics, percent / 100)
        for what, key in (("steps", "step"), ("samples", "samples")):
            found[f"{what}_to_{percent}"] = None if reached is None else reached[key]
    found |= _gradient([step["grad_norm"] for step in run.metrics])
    return {**found, "seconds": float(sum(step["seconds"] for step in run.metrics))}


def measures_of(comparison: Comparison) -> list[str]:
    """The measures that say something of a comparison: accuracies, or rewards where no run has an accuracy."""
    accurate = any(variant.means["auc"] is not None for variant in comparison.variants)
    apart = _REWARDS if accurate else _ACCURACIES
    return [name for name in MEASURES if name not in apart]


def _gradient(norms: Sequence[float | None]) -> dict[str, float | None]:
    g = np.array([norm for norm in norms if norm is not None], np.float64)
    if not len(g):
        return dict.fromkeys(("gradient", "gradient_variation", "gradient_peak", "gradient_change"))
    mean, median = float(g.mean()), float(np.median(g))
    sums = g[1:] + g[:-1]
    changes = np.divide(2 * np.abs(np.diff(g)), sums, out=np.zeros(len(sums)), where=sums > 0)
    return {
        "gradient": mean,
        "gradient_variation": float(g.std(ddof=1)) / mean if len(g) > 1 and mean else None,
        "gradient_peak": float(g.max()) / median if median else None,
        "gradient_change": float(np.median(changes)) if len(changes) else None,
    }


def compare(runs: Sequence[Run], baseline: str | None = None) -> Comparison:
    """Means of each variant over its seeds, and its differences from the baseline, paired by seed.

    Args:
        runs: of any number of variants and seeds, in any order.
        baseline: a variant; by default that of the first run.

    Raises:
        ValueError: there is no run, two share a variant and a seed, or none is of the baseline.
    """
    if not runs:
        raise ValueError("compare: there is no run; pass at least one")
    names = list(dict.fromkeys(run.variant for run in runs))
    if baseline is None:
        baseline = names[0]
    if baseline not in names:
        raise ValueError(f"compare: the baseline is {baseline!r}; pass one of {'; '.join(names)}")
    variants = tuple(_variant(name, [run for run in runs if run.variant == name]) for name in names)
    base = next(variant for variant in variants if variant.name == baseline)
    others = [variant for variant in variants if variant is not base]
    return Comparison(
        baseline=baseline,
        variants=variants,
        differences={v.name: {name: _difference(v, base, name) for name in MEASURES} for v in others},
        unpaired={v.name: tuple(sorted(set(v.seeds) ^ set(base.seeds))) for v in others},
    )


def _variant(name: str, runs: Sequence[Run]) -> Variant:
    runs = sorted(runs, key=lambda run: run.seed)
    seeds = tuple(run.seed for run in runs)
    if twice := [seed for seed, after in pairwise(seeds) if seed == after]:
        raise ValueError(f"compare: {name} has two runs of seed {twice[0]}; leave one of them out")
    measured = [measure(run) for run in runs]
    values = {key: tuple(one[key] for one in measured) for key in MEASURES}
    return Variant(name, seeds, values, {key: _interval_of_known(some) for key, some in values.items()})


def _interval_of_known(values: Sequence[float | None]) -> Interval | None:
    known = [x for x in values if x is not None]
    return interval(known) if known else None


def _difference(variant: Variant, base: Variant, name: str) -> Difference:
    ours = dict(zip(variant.seeds, variant.values[name], strict=True))
    theirs = dict(zip(base.seeds, base.values[name], strict=True))
    shared = [seed for seed in variant.seeds if seed in theirs]
    pairs = {seed: (ours[seed], theirs[seed]) for seed in shared}
    gaps = {seed: x - y for seed, (x, y) in pairs.items() if x is not None and y is not None}
    return Difference(
        seeds=tuple(gaps),
        values=tuple(gaps.values()),
        left_out=tuple(seed for seed in shared if seed not in gaps),
        mean=interval(list(gaps.values())) if gaps else None,
    )


def band(runs: Sequence[Run], name: str, window: int = 1) -> Band:
    """The mean curve of a metric over runs of one variant.

    Args:
        name: a key of the metrics, such as "accuracy".
        window: each step's value is averaged with the up to `window - 1` before it, in each run.

    Raises:
        ValueError: the runs have different steps, and so no mean curve.
    """
    samples = [[step["samples"] for step in run.metrics] for run in runs]
    if any(one != samples[0] for one in samples):
        lengths = ", ".join(str(n) for n in sorted({len(one) for one in samples}))
        raise ValueError(
            f"compare: runs of {runs[0].variant} have different steps ({lengths} of them); compare runs of one length"
        )
    curves = np.array([curve([step[name] for step in run.metrics], window) for run in runs])
    half = _halves(curves) if len(curves) > 1 else np.full(curves.shape[1], np.nan)
    return Band(np.array(samples[0]), curves.mean(0), half)
