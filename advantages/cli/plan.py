"""`advantages plan`: what a group size gives at a pass rate, before the compute is burnt."""

import argparse
import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.definition import definition_of
from ..core.palette import COLORS, DASHES, panels
from ..lab.bandit import updates
from .batches import PICTURES, estimators_named, place, saved
from .counted import counted

__all__ = ["add_arguments", "run"]

_MOST = 512
"""Responses of the largest group that is enumerated."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--pass-rate", required=True, metavar="P,...", help="shares of right responses, such as 0.1")
    parser.add_argument("--group-size", required=True, metavar="N,...", help="responses to a prompt, such as 4,8,16")
    parser.add_argument("--prompts", type=int, default=128, help="prompts of a step (default: 128)")
    parser.add_argument(
        "--estimators", default="grpo,dr_grpo,rloo", help="of rewards, groups and logprobs (default: grpo,dr_grpo,rloo)"
    )
    parser.add_argument("--plot", type=Path, metavar="PICTURE", help="write a picture: png, svg or pdf")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Print the table."""
    try:
        place(options.plot, *PICTURES)
        rates = _listed(options.pass_rate, float, "--pass-rate", lambda p: 0 < p < 1, "shares between 0 and 1")
        sizes = _listed(options.group_size, int, "--group-size", lambda n: 2 <= n <= _MOST, f"sizes from 2 to {_MOST}")
        if options.prompts < 1:
            raise ValueError(f"--prompts {options.prompts}: pass at least 1")
        found = list(rows(rates, sizes, options.prompts, estimators_named(options.estimators)))
        if options.plot:
            saved(_figure(found), options.plot)
    except (TypeError, ValueError) as error:
        raise SystemExit(f"advantages plan: {error}") from None
    if options.json:
        print(json.dumps({"prompts": options.prompts, "rows": found}))
        return 0
    print(f"{options.prompts} prompts a step, rewards of 0 and 1; all numbers are exact")
    head = ("pass rate", "group size", "informative", "estimator", "eff. sample", "of", "variance", "noise/signal")
    print(" ".join(f"{word:>12}" for word in head))
    for row in found:
        shown = (
            *(f"{row['pass_rate']:g}", f"{row['group_size']}", f"{row['informative_groups']:.1f}", row["estimator"]),
            *(f"{row['effective_sample_size']:.1f}", f"{row['responses']}", f"{row['variance']:.4g}"),
            "-" if row["noise_to_signal"] is None else f"{row['noise_to_signal']:.3g}",
        )
        print(" ".join(f"{cell:>12}" for cell in shown))
    print("variance: of a group's update by logit; noise/signal: deviation of the step's update over its mean")
    return 0


def rows(
    rates: Sequence[float], sizes: Sequence[int], prompts: int, estimators: dict[str, Callable[..., Any]]
) -> Iterator[dict[str, Any]]:
    """A row for each pass rate, group size and estimator.

    The effective sample size is that of |A|, (E sum |A|)^2 / E sum A^2, over all responses of a step.

    Raises:
        ValueError: an estimator needs more than rewards, groups and log-probabilities.
    """
    cases = list(itertools.product(rates, sizes, estimators.items()))
    for rate, n, (name, function) in counted(cases, "plan", lambda case: f"{case[2][0]} at {case[0]:g} of {case[1]}"):
        informative = 1 - (1 - rate) ** n - rate**n
        d = definition_of(function)
        if more := [word for word in d.needed if word not in ("rewards", "groups", "logprobs")]:
            raise ValueError(f"{name} needs {', '.join(more)}; a plan is of rewards, groups and logprobs alone")
        update = updates(function, [rate, 1 - rate], [1.0, 0.0], n)
        mean = float(np.linalg.norm(update.mean))
        size, square = _moments(function, d.own_inputs, rate, n)
        responses = prompts * n
        yield {
            "pass_rate": rate,
            "group_size": n,
            "estimator": name,
            "informative_share": informative,
            "informative_groups": prompts * informative,
            "responses": responses,
            "effective_sample_size": responses * size**2 / square if square else 0.0,
            "variance": update.deviation**2,
            "noise_to_signal": update.deviation / math.sqrt(prompts) / mean if mean > 0 else None,
        }


def _moments(function: Callable[..., Any], takes: Sequence[str], rate: float, n: int) -> tuple[float, float]:
    """The expected |A| and A^2 of a response, over the number of right ones in its group."""
    right = np.arange(n + 1)
    rewards = (np.arange(n) < right[:, None]).astype(float).ravel()
    words = {"rewards": rewards, "groups": n, "logprobs": np.log(np.where(rewards > 0, rate, 1 - rate))}
    a = np.asarray(function(**{word: x for word, x in words.items() if word in takes})).reshape(n + 1, n)
    chance = np.array([math.comb(n, int(k)) * rate**k * (1 - rate) ** (n - k) for k in right])
    return float(chance @ np.abs(a).mean(1)), float(chance @ (a * a).mean(1))


def _figure(found: Sequence[dict[str, Any]]) -> Any:
    shown = (("informative_share", "share of informative groups"), ("noise_to_signal", "noise over signal of a step"))
    figure, each = panels(10, 3.6, len(shown))
    for axes, (key, label) in zip(each, shown, strict=True):
        lines: dict[str, list[tuple[int, float]]] = {}
        for row in found:
            name = f"p = {row['pass_rate']:g}" + ("" if key == "informative_share" else f", {row['estimator']}")
            if row[key] is not None:
                lines.setdefault(name, []).append((row["group_size"], row[key]))
        for number, (name, points) in enumerate(lines.items()):
            x, y = zip(*sorted(set(points)), strict=True)
            dash = DASHES[number % len(DASHES)]  # where two are equal, both are seen
            axes.plot(x, y, f"o{dash}", color=COLORS[number % len(COLORS)], label=name, markersize=4)
        axes.set(xlabel="group size", ylabel=label, xticks=sorted({row["group_size"] for row in found}))
        axes.margins(x=0.1, y=0.1)
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize=8)
    return figure


def _listed(text: str, kind: Callable[[str], Any], option: str, fits: Callable[[Any], bool], what: str) -> list[Any]:
    try:
        found = [kind(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(map(fits, found)):
        raise ValueError(f"{option} {text}: pass {what}, separated by commas")
    return found
