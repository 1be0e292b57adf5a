"""The report of one run: report.html in its folder."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..files import write_whole
from ..runs.config import Config
from ..runs.measures import MEASURES, Run, curve, has_verdicts, measure
from ..runs.record import Record, read_record
from ..runs.remarks import remarks
from .charts import Line, chart
from .page import Markup, figure, page, part, section
from .settings import settings, words

__all__ = ["Panel", "described", "run_report", "write_report"]


class Panel(NamedTuple):
    """A chart of one metric over the steps."""

    name: str
    title: str
    form: str
    """How its last value is written, as a format specification."""
    meaning: str
    log: bool = False


PANELS = (
    Panel("reward", "Reward", ".2f", "mean total of the scored responses"),
    Panel("accuracy", "Accuracy", ".0%", "mean of the first reward, where that is a verdict of 0 or 1"),
    Panel("informative", "Informative groups", ".0%", "share of the prompts whose responses earned different rewards"),
    Panel("entropy", "Entropy", ".2f", "of the choice of a token, in nats"),
    Panel("length", "Response length", ".0f", "tokens, the end of the text included"),
    Panel("truncated", "Truncated", ".1%", "share of the responses that were cut off at the limit"),
    Panel("grad_norm", "Gradient norm", ".2g", "mean over a step's updates, before it is clipped", log=True),
    Panel("clip_fraction", "Clip fraction", ".1%", "share of the probability ratios beyond the clip's bounds"),
    Panel("tokens_per_second", "Tokens per second", ",.0f", "response tokens by the time of the whole step"),
)
_TIMES = {
    "sampling": "sampling",
    "scoring": "scoring",
    "reading": "reading log-probabilities",
    "estimating": "estimating advantages",
    "updating": "updating",
}


def write_report(folder: Path) -> Path:
    """Write `report.html` into the folder of a run; its path.

    Raises:
        ValueError: the folder holds no run.
    """
    path = folder / "report.html"
    write_whole(path, run_report(read_record(folder)))
    return path


def run_report(record: Record) -> str:
    """One run as an HTML document."""
    config, metrics = record.config, record.metrics
    said = remarks(config, metrics)
    parts = [_tiles(record)] if metrics else []
    parts.append(
        section("What stands out", part("notes", said))
        if said
        else section("What stands out", note="Nothing: no dead steps, no collapse, no truncation, no failed rewards.")
    )
    if metrics:
        hidden = () if has_verdicts(metrics) else ("accuracy",)
        panels = [_panel(panel, metrics) for panel in PANELS if panel.name not in hidden]
        curves = part("charts", panels)
        note = "Thin: each step. Thick: the mean of five steps, whose last value stands at the right."
        parts += [section("Curves", curves, note=note), _times(metrics)]
    if record.samples:
        parts.append(_samples(record.samples))
    parts.append(section("Settings", settings(config), note="Those that are not the default."))
    meanings = [(panel.title, panel.meaning) for panel in PANELS]
    parts.append(part("details", "What the curves show", words(meanings)))
    return page(config.label, f"advantages train · {record.path.name}", described(config) + _ended(record), parts)


def described(config: Config) -> str:
    """The run in a line: task, model, seed and size."""
    task = config.data or config.task
    model = config.model or (f"{config.random_init}, random weights" if config.random_init else f"tiny {config.arch}")
    return (
        f"{task} · {model} · seed {config.seed} · {config.steps} steps of {config.prompts} prompts with "
        f"{config.samples} responses each"
    )


def _ended(record: Record) -> str:
    file = record.path / "metrics.jsonl"
    if not file.exists():
        return ""
    ended = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    return f" · {'finished' if record.finished else 'stopped'} {ended:%Y-%m-%d %H:%M} UTC"


def _tiles(record: Record) -> Markup:
    found = measure(Run(record.config.label, record.config.seed, record.metrics, record.evaluation))

    def shown(name: str, missing: str = "-") -> str:
        value = found[name]
        return missing if value is None else format(value, MEASURES[name].form)

    tokens = sum(step["tokens"] for step in record.metrics)
    count = record.config.evaluation
    held_out = "held-out problems" if count is None else f"{count} held-out problems"
    learned = [
        (f"{shown('before')} → {shown('after')}", f"accuracy, {held_out}"),
        (shown("greedy"), "accuracy, greedy"),
        (shown("auc"), "mean accuracy of all steps"),
        (shown("samples_to_90", "never"), "responses to 90% accuracy"),
    ]
    if not has_verdicts(record.metrics):
        learned = [
            (f"{shown('reward_before')} → {shown('reward_after')}", f"reward, {held_out}"),
            (shown("reward_greedy"), "reward, greedy"),
            (shown("reward"), "mean reward of all steps"),
        ]
    tiles = [
        *learned,
        (f"{shown('seconds')} s", f"training, {tokens:,} tokens"),
    ]
    return part("tiles", tiles)


def _panel(panel: Panel, metrics: Sequence[Mapping[str, Any]]) -> Markup:
    steps = [step["step"] for step in metrics]
    values = np.array([step[panel.name] for step in metrics], np.float64)  # None becomes NaN, a gap
    if np.isnan(values).all():
        return figure(panel.title, "not measured", "")
    mean = curve(values.tolist())
    last = "not measured" if np.isnan(mean[-1]) else format(mean[-1], panel.form)
    svg = chart(
        [Line(steps, values, faint=True), Line(steps, mean)],
        what=f"{panel.title} over the steps, at the end {last}",
        percent=panel.form.endswith("%"),
        log=panel.log,
    )
    return figure(panel.title, last, svg)


def _times(metrics: Sequence[Mapping[str, Any]]) -> Markup:
    sums = {word: sum(step.get(f"seconds_{name}", 0.0) for step in metrics) for name, word in _TIMES.items()}
    total = sum(sums.values()) or 1.0
    return section("Where the time went", part("shares", [(word, x / total) for word, x in sums.items()]))


def _samples(samples: Sequence[Mapping[str, Any]], count: int = 6) -> Markup:
    """The responses of some steps, evenly spread over the run."""
    steps = sorted({sample["step"] for sample in samples})
    chosen = sorted({steps[round(k * (len(steps) - 1) / (count - 1))] for k in range(count)})
    cards = [_card(step, [sample for sample in samples if sample["step"] == step]) for step in chosen]
    note = "The first responses to the first prompt of a step; samples.jsonl has those of every step."
    return section("Responses", *cards, note=note)


def _card(step: int, samples: Sequence[Mapping[str, Any]]) -> Markup:
    first = samples[0]
    return part("card", step, first["answer"], first["prompt"], [_response(sample) for sample in samples])


def _response(sample: Mapping[str, Any]) -> tuple[str, str, str]:
    """Its reward, what else is known of it, and its text."""
    reward = "unscored" if sample["reward"] is None else f"{sample['reward']:.3g}"
    scores = [f"{name} {'unscored' if x is None else format(x, '.3g')}" for name, x in sample["scores"].items()]
    advantage = "-" if sample["advantage"] is None else f"{sample['advantage']:+.2g}"
    facts = [f"advantage {advantage}", *(scores if len(scores) > 1 else [])]
    facts += [f"{sample['tokens']} tokens{', cut off' if sample['truncated'] else ''}"]
    return reward, " · ".join(facts), sample["response"]
