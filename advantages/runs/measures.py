"""What is measured of one run; a number that could not be had, such as an accuracy without a score, is None."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["MEASURES", "Measure", "Run", "beyond", "curve", "first_reaching", "learned", "measure"]


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
    "before": Measure("pass@1 before", ".1%", 0, "held-out problems answered rightly before training, sampling"),
    "after": Measure("pass@1 after", ".1%", 1, "held-out problems answered rightly after training, sampling"),
    "greedy": Measure("greedy after", ".1%", 1, "the same, taking the likeliest token each time"),
    "auc": Measure("area under curve", ".3f", 1, "mean accuracy of the samples of all scored training steps"),
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
        evaluation: held-out accuracies, under `before`, `after` and `greedy`, as far as they were measured.
    """

    variant: str
    seed: int
    metrics: Sequence[Mapping[str, Any]]
    evaluation: Mapping[str, float | None] = dataclasses.field(default_factory=dict)


def measure(run: Run) -> dict[str, float | None]:
    """Every measure of one run; None where it has none, as for a threshold that was never reached.

    Raises:
        ValueError: the run has no step.
    """
    if not run.metrics:
        raise ValueError(f"compare: {run.variant}, seed {run.seed}, has no step; leave it out")
    found: dict[str, float | None] = {name: run.evaluation.get(name) for name in ("before", "after", "greedy")}
    scored = _known(step["accuracy"] for step in run.metrics)
    found["auc"] = math.fsum(scored) / len(scored) if scored else None
    for percent in (50, 90):
        reached = first_reaching(run.metrics, percent / 100)
        for what, key in (("steps", "step"), ("samples", "samples")):
            found[f"{what}_to_{percent}"] = None if reached is None else reached[key]
    found |= _gradient(_known(step["grad_norm"] for step in run.metrics))
    return {**found, "seconds": float(sum(step["seconds"] for step in run.metrics))}


def _known(values: Iterable[float | None]) -> list[float]:
    return [x for x in values if x is not None and x == x]


def _gradient(norms: Sequence[float]) -> dict[str, float | None]:
    if not norms:
        return dict.fromkeys(("gradient", "gradient_variation", "gradient_peak", "gradient_change"))
    g = np.asarray(norms, np.float64)
    mean, median = float(g.mean()), float(np.median(g))
    sums = g[1:] + g[:-1]
    changes = np.divide(2 * np.abs(np.diff(g)), sums, out=np.zeros(len(sums)), where=sums > 0)
    return {
        "gradient": mean,
        "gradient_variation": float(g.std(ddof=1)) / mean if len(g) > 1 and mean else None,
        "gradient_peak": float(g.max()) / median if median else None,
        "gradient_change": float(np.median(changes)) if len(changes) else None,
    }


def curve(values: Sequence[float | None], window: int = 5) -> Any:
    """Values of steps, each averaged with the up to `window - 1` before it; NaN where none of these is known.

    >>> curve([0.9] * 5).tolist(), curve([1.0, None, 0.0], window=2).tolist()
    ([0.9, 0.9, 0.9, 0.9, 0.9], [1.0, 1.0, 0.0])
    """
    known = [_known(values[max(0, end - window) : end]) for end in range(1, len(values) + 1)]
    return np.array([math.fsum(some) / len(some) if some else math.nan for some in known], np.float64)


def first_reaching(metrics: Sequence[Mapping[str, Any]], threshold: float) -> Mapping[str, Any] | None:
    """The metrics of the first step at which the averaged accuracy reaches a threshold."""
    reached = np.flatnonzero(curve([step["accuracy"] for step in metrics]) >= threshold)
    return metrics[reached[0]] if len(reached) else None


def beyond(metrics: Sequence[Mapping[str, Any]], key: str) -> float:
    """The least that `step` or `samples` can be at a threshold that was not reached: that of one more step."""
    last = metrics[-1][key]
    return float(last + (last - metrics[-2][key] if len(metrics) > 1 else last))


def learned(metrics: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the accuracy of the last five steps is 0.02 above that of the first five, or both are above 0.95."""
    accuracies = [step["accuracy"] for step in metrics]
    first, last = _known(accuracies[:5]), _known(accuracies[-5:])
    if not first or not last:
        return False
    start, end = math.fsum(first) / len(first), math.fsum(last) / len(last)
    return end > start + 0.02 or min(start, end) > 0.95
