"""Runs compared: what is measured of each, means over seeds with 95% intervals, and differences paired by seed.

Every interval is Student's, over n seeds with sample deviation s: mean ± t(0.975, n - 1) * s / sqrt(n). One seed has
none. Intervals are not adjusted for how many of them are looked at; `Difference.holds` is, after Benjamini and Hochberg
(1995): among the differences that hold, one in twenty is expected to be none.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from .measures import ACCURACIES, MEASURES, REWARDS, Run, beyond, curve, learned, measure

__all__ = [
    "Band",
    "Comparison",
    "Difference",
    "Interval",
    "Variant",
    "band",
    "compare",
    "interval",
    "keys_of",
    "measures_of",
]

LEVEL = 0.95
_KEY = (
    *("auc", "after", "reward", "reward_after", "samples_to_50", "samples_to_90"),
    *("gradient_variation", "gradient_peak", "gradient_change"),
)


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
    """Of each measure: over the seeds that have a value; None where no seed has. A threshold that a seed never reached
    counts as reached one step after its last, so that the mean is at most the true one."""
    medians: Mapping[str, float | None]
    """Of each measure, counted in the same way."""
    unlearned: tuple[int, ...]
    """Seeds whose accuracy did not rise, see `measures.learned`."""

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
    """None where `seeds` is empty, or where one side never reached the threshold."""
    censored: tuple[int, ...] = ()
    """Those of `seeds` where one or the other never reached the threshold, and counts as reaching it a step later."""
    holds: bool = False
    """Whether it differs from zero by Benjamini and Hochberg, at 5% over the comparison's differences of `keys_of`."""

    @property
    def median(self) -> float | None:
        return float(np.median(self.values)) if self.values else None

    @property
    def above(self) -> int:
        """Pairs in which the variant has more."""
        return sum(x > 0 for x in self.values)

    @property
    def below(self) -> int:
        """Pairs in which it has less."""
        return sum(x < 0 for x in self.values)

    @property
    def p_value(self) -> float | None:
        """Of Student's paired test, both sides; None with fewer than two pairs, or where all agree exactly."""
        if self.mean is None or self.mean.half is None or self.mean.half <= 1e-9:
            return None
        error = self.mean.half / stdtrit(self.mean.n - 1, (1 + LEVEL) / 2)
        return float(2 * stdtr(self.mean.n - 1, -abs(self.mean.mean) / error))


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


def compare(runs: Sequence[Run], baseline: str | None = None) -> Comparison:
    """Means of each variant over its seeds, and its differences from the baseline, paired by seed.

    Args:
        runs: of any number of variants and seeds, in any order.
        baseline: a variant; by default that of the first run.

    Raises:
        ValueError: there is no run, two share a variant and a seed, or none is of the baseline.
    """
    if not runs:
        raise ValueError("there is no run; pass at least one")
    names = list(dict.fromkeys(run.variant for run in runs))
    if baseline is None:
        baseline = names[0]
    if baseline not in names:
        raise ValueError(f"the baseline is {baseline!r}; pass one of {'; '.join(names)}")
    variants = tuple(_variant(name, [run for run in runs if run.variant == name]) for name in names)
    base = next(variant for variant in variants if variant.name == baseline)
    others = [variant for variant in variants if variant is not base]
    ends = {(run.variant, run.seed): _ends(run) for run in runs}
    found = {v.name: {name: _difference(v, base, name, ends) for name in MEASURES} for v in others}
    return Comparison(
        baseline=baseline,
        variants=variants,
        differences=_marked(found, [key for key in _KEY if key in _telling(variants)]),
        unpaired={v.name: tuple(sorted(set(v.seeds) ^ set(base.seeds))) for v in others},
    )


def _variant(name: str, runs: Sequence[Run]) -> Variant:
    runs = sorted(runs, key=lambda run: run.seed)
    seeds = tuple(run.seed for run in runs)
    if twice := [seed for seed, after in pairwise(seeds) if seed == after]:
        raise ValueError(f"{name} has two runs of seed {twice[0]}; leave one of them out")
    measured = [measure(run) for run in runs]
    values = {key: tuple(one[key] for one in measured) for key in MEASURES}
    counted = {key: _counted(some, key, [_ends(run) for run in runs]) for key, some in values.items()}
    return Variant(
        name,
        seeds,
        values,
        {key: interval(some) if some else None for key, some in counted.items()},
        {key: float(np.median(some)) if some else None for key, some in counted.items()},
        tuple(run.seed for run in runs if learned(run.metrics) is False),
    )


def _ends(run: Run) -> dict[str, float]:
    """What thresholds that a run never reached count as."""
    found = {key: beyond(run.metrics, key) for key in ("step", "samples")}
    return {name: found["step" if name.startswith("steps") else "samples"] for name in MEASURES if "_to_" in name}


def _counted(values: Sequence[float | None], name: str, ends: Sequence[Mapping[str, float]]) -> list[float]:
    """Those that there are, and for thresholds that some seeds reached and others did not: the least for these."""
    if all(x is None for x in values):
        return []
    filled = [end.get(name) if x is None else x for x, end in zip(values, ends, strict=True)]
    return [x for x in filled if x is not None]


def _difference(
    variant: Variant, base: Variant, name: str, ends: Mapping[tuple[str, int], Mapping[str, float]]
) -> Difference:
    ours = dict(zip(variant.seeds, variant.values[name], strict=True))
    theirs = dict(zip(base.seeds, base.values[name], strict=True))
    shared = [seed for seed in variant.seeds if seed in theirs]
    gaps: dict[int, float] = {}
    censored: list[int] = []
    if variant.means[name] is not None and base.means[name] is not None:
        for seed in shared:
            x, y = (
                ends[side.name, seed].get(name) if own[seed] is None else own[seed]
                for side, own in ((variant, ours), (base, theirs))
            )
            if x is not None and y is not None:
                gaps[seed] = x - y
                censored += [seed] if ours[seed] is None or theirs[seed] is None else []
    return Difference(
        seeds=tuple(gaps),
        values=tuple(gaps.values()),
        left_out=tuple(seed for seed in shared if seed not in gaps),
        mean=interval(list(gaps.values())) if gaps else None,
        censored=tuple(censored),
    )


def measures_of(comparison: Comparison) -> list[str]:
    """The measures that say something of a comparison: accuracies, or rewards where no run has an accuracy."""
    return _telling(comparison.variants)


def keys_of(comparison: Comparison) -> list[str]:
    """Measures whose differences are shown, and adjusted for how many these are."""
    return [key for key in _KEY if key in measures_of(comparison)]


def _telling(variants: Sequence[Variant]) -> list[str]:
    accurate = any(variant.means["auc"] is not None for variant in variants)
    apart = REWARDS if accurate else ACCURACIES
    return [name for name in MEASURES if name not in apart]


def _marked(found: Mapping[str, Mapping[str, Difference]], keys: Sequence[str]) -> dict[str, dict[str, Difference]]:
    """The differences of some measures that hold when all of them are looked at, marked."""
    from scipy.stats import false_discovery_control  # takes a second to import

    family = {(v, key): p for v, some in found.items() for key in keys if (p := some[key].p_value) is not None}
    adjusted = dict(zip(family, false_discovery_control(list(family.values())), strict=True)) if family else {}
    return {
        v: {
            key: dataclasses.replace(one, holds=bool(adjusted.get((v, key), 1.0) <= 1 - LEVEL))
            for key, one in some.items()
        }
        for v, some in found.items()
    }


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
            f"runs of {runs[0].variant} have different steps ({lengths} of them); compare runs of one length"
        )
    curves = np.array([curve([step[name] for step in run.metrics], window) for run in runs])
    half = _halves(curves) if len(curves) > 1 else np.full(curves.shape[1], np.nan)  # NaN where a run has no value
    return Band(np.array(samples[0]), curves.mean(0), half)
