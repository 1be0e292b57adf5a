"""What stands out in a run, in plain words."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .config import Config
from .measures import has_verdicts

__all__ = ["remarks"]


def remarks(config: Config, metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sentences on what a person should look at, and what could be done; none where nothing stands out.

    Args:
        config: of the run.
        metrics: one mapping per step, as in metrics.jsonl.
    """
    if not metrics:
        return ["No step was taken."]
    found = [_unfinished, _groups, _accuracy, _entropy, _truncated, _unscored, _skipped, _gradient, _clipped]
    return [sentence for look in found if (sentence := look(config, _Curves(metrics)))]


class _Curves:
    def __init__(self, metrics: Sequence[Mapping[str, Any]]) -> None:
        self._metrics = metrics
        self.steps = len(metrics)
        self.verdicts = has_verdicts(metrics)
        self.few = max(1, min(10, self.steps // 3))
        """How many steps stand for the start, and for the end."""

    def __getitem__(self, name: str) -> Any:
        return np.array([step.get(name) for step in self._metrics], np.float64)  # None becomes NaN

    def ends(self, name: str) -> tuple[float, float]:
        """The means at the start and at the end; NaN where nothing was measured."""
        return _mean(self[name][: self.few]), _mean(self[name][-self.few :])


def _unfinished(config: Config, curves: _Curves) -> str | None:
    if curves.steps >= config.steps:
        return None
    return f"The run was stopped after {curves.steps} of {config.steps} steps: this is what there is so far."


def _groups(config: Config, curves: _Curves) -> str | None:
    informative = curves["informative"]
    none = int((informative == 0).sum())
    advice = "all responses to a prompt earned the same, and taught nothing"
    if none:
        return (
            f"No informative groups in {none} of {curves.steps} steps: {advice}. Pass problems that are neither too "
            "easy nor too hard, more --samples, or --dynamic-sampling."
        )
    if _mean(informative) < 0.2:
        return f"Only {_mean(informative):.0%} of the groups were informative: in the others, {advice}."
    return None


def _accuracy(config: Config, curves: _Curves) -> str | None:
    start, end = curves.ends("accuracy")
    if not curves.verdicts or np.isnan(start) or np.isnan(end):
        return None
    if curves.steps < 2 or end > start + 0.02 or start > 0.95:
        return None
    verb = "fell" if end < start - 0.02 else "did not rise"
    return (
        f"Accuracy {verb}: {start:.1%} in the first {_steps(curves.few)}, {end:.1%} in the last {_steps(curves.few)}."
    )


def _entropy(config: Config, curves: _Curves) -> str | None:
    start, end = curves.ends("entropy")
    accuracy = curves.ends("accuracy")[1] if curves.verdicts else np.nan
    if end > 0.1 * start or accuracy > 0.8:
        return None
    right = "" if np.isnan(accuracy) else f", at an accuracy of {accuracy:.1%}"
    return (
        f"The policy has collapsed: its entropy fell from {start:.2f} to {end:.2g} nats a token{right}. Lower --rate, "
        "or keep it near its start with --kl."
    )


def _truncated(config: Config, curves: _Curves) -> str | None:
    end = curves.ends("truncated")[1]
    if end < 0.1:
        return None
    return (
        f"{end:.1%} of the responses in the last {_steps(curves.few)} were cut off at the limit. Raise "
        "--max-new-tokens, or see --truncated."
    )


def _unscored(config: Config, curves: _Curves) -> str | None:
    share = curves["unscored"].mean()
    if not share:
        return None
    return f"{share:.2%} of the responses got no reward, because a reward function failed or gave none."


def _skipped(config: Config, curves: _Curves) -> str | None:
    skipped = curves["skipped_updates"]
    if not np.nansum(skipped):
        return None
    return (
        f"{np.nansum(skipped):.0f} updates in {int((skipped > 0).sum())} of {curves.steps} steps were skipped, because "
        "their gradients were not finite. Lower --rate, and look at the rewards."
    )


def _gradient(config: Config, curves: _Curves) -> str | None:
    norms = curves["grad_norm"]
    if np.isnan(norms).all():
        return None
    median = float(np.nanmedian(norms))
    peak = int(np.nanargmax(norms))
    if median and norms[peak] > 10 * median:
        return (
            f"The gradient norm peaked at {norms[peak]:.3g} in step {peak + 1}, {norms[peak] / median:.0f} times its "
            f"median of {median:.2g}."
        )
    clipped = int((norms > config.grad_clip).sum())
    if config.grad_clip and clipped > curves.steps / 2:
        return f"The gradient was longer than --grad-clip {config.grad_clip:g} in {clipped} of {curves.steps} steps."
    return None


def _clipped(config: Config, curves: _Curves) -> str | None:
    share = _mean(curves["clip_fraction"])
    if not share >= 0.2:
        return None
    return (
        f"{share:.0%} of the probability ratios were clipped: the updates of a step go far. Lower --rate or --passes."
    )


def _mean(x: Any) -> float:
    """The mean of what was measured; NaN where nothing was."""
    known = x[~np.isnan(x)]
    return float(known.mean()) if len(known) else np.nan


def _steps(count: int) -> str:
    return "step" if count == 1 else f"{count} steps"
