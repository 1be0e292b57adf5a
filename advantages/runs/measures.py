"""What is measured of one run; a number that could not be had, such as an accuracy without a score, is None."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "ACCURACIES",
    "MEASURES",
    "REWARDS",
    "Measure",
    "Run",
    "beyond",
    "curve",
    "first_reaching",
    "has_verdicts",
    "learned",
    "mean_known",
    "measure",
]


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
ACCURACIES = ("before", "after", "greedy", "auc", "steps_to_50", "samples_to_50", "steps_to_90", "samples_to_90")
"""Measures of runs whose first reward is a verdict of 0 or 1."""
REWARDS = ("reward_before", "reward_after", "reward_greedy", "reward")
"""What stands for these in other runs."""
_EVALUATED = ("before", "after", "greedy", "reward_before", "reward_after", "reward_greedy")


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


def measure(run: Run) -> dict[str, float | None]:
    """Every measure of one run; None where it has none, as for a threshold that was never reached.

    Raises:
        ValueError: the run has no step.
    """
    if not run.metrics:
        raise ValueError(f"{run.variant}, seed {run.seed}, has no step; leave it out")
    found: dict[str, float | None] = {name: run.evaluation.get(name) for name in _EVALUATED}
    found["auc"] = mean_known(step["accuracy"] for step in run.metrics) if has_verdicts(run.metrics) else None
    found["reward"] = mean_known(step.get("reward") for step in run.metrics)
    for percent in (50, 90):
        reached = first_reaching(run.metrics, percent / 100)
        for what, key in (("steps", "step"), ("samples", "samples")):
            found[f"{what}_to_{percent}"] = None if reached is None else reached[key]
    found |= _gradient(_known(step["grad_norm"] for step in run.metrics))
    return {**found, "seconds": float(sum(step["seconds"] for step in run.metrics))}


def has_verdicts(metrics: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the first reward is a verdict of 0 or 1 wherever it is scored, so that its mean is an accuracy."""
    scored = [step["accuracy"] for step in metrics if step["accuracy"] is not None or step.get("reward") is not None]
    return bool(scored) and all(x is not None and 0 <= x <= 1 for x in scored)


def mean_known(values: Iterable[float | None]) -> float | None:
    """The mean of what was measured; None where nothing was."""
    known = _known(values)
    return math.fsum(known) / len(known) if known else None


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
    means = [mean_known(values[max(0, end - window) : end]) for end in range(1, len(values) + 1)]
    return np.array(means, np.float64)  # None becomes NaN


def first_reaching(metrics: Sequence[Mapping[str, Any]], threshold: float) -> Mapping[str, Any] | None:
    """The metrics of the first step at which the averaged accuracy reaches a threshold; None where there is none."""
    if not has_verdicts(metrics):
        return None
    reached = np.flatnonzero(curve([step["accuracy"] for step in metrics]) >= threshold)
    return metrics[reached[0]] if len(reached) else None


def beyond(metrics: Sequence[Mapping[str, Any]], key: str) -> float:
    """The least that `step` or `samples` can be at a threshold that was not reached: that of one more step."""
    last = metrics[-1][key]
    return float(last + (last - metrics[-2][key] if len(metrics) > 1 else last))


def learned(metrics: Sequence[Mapping[str, Any]]) -> bool | None:
    """Whether the accuracy of the last five steps is 0.02 above that of the first five, or both are above 0.95.

    None where the first reward is no verdict of 0 or 1.
    """
    if not has_verdicts(metrics):
        return None
    accuracies = [step["accuracy"] for step in metrics]
    start, end = mean_known(accuracies[:5]), mean_known(accuracies[-5:])
    return start is not None and end is not None and (end > start + 0.02 or min(start, end) > 0.95)
