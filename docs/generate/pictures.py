"""What an estimator does to a standard set of groups, as numbers and as a picture."""

from typing import Any, NamedTuple

import matplotlib
import matplotlib.ticker
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from advantages.core.definition import Definition
from advantages.reports.charts import GRID, SERIES, TEXT, svg_of

__all__ = ["GROUPS", "Shown", "batch", "picture", "shown"]

GROUPS: dict[str, list[float]] = {
    "0/1, sparse": [0, 0, 0, 1, 0, 0, 0, 0],
    "one outlier": [0.4, 0.5, 0.45, 0.55, 0.5, 0.6, 0.5, 10],
    "shaped": [0, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 1],
    "ragged: 3 and 1": [1, 0, 0, 1],
    "confident and wrong": [0, 0, 0, 0, 0, 1, 1, 0],
}
"""Rewards by name. In the fourth the last response is alone in a group; in the fifth the policy likes what is wrong."""


class Shown(NamedTuple):
    """One of the groups, and what it gets."""

    name: str
    rewards: Any
    """(n,) or (n, K)"""
    advantages: Any
    """(n,) or (n, T), with NaN where nothing is trained."""


def batch(names: list[str]) -> dict[str, Any]:
    """Every word of the vocabulary for these groups: four tokens at most, and plain, plausible numbers."""
    rewards = np.concatenate([GROUPS[name] for name in names]).astype(float)
    n, row = len(rewards), np.arange(len(rewards))
    groups = np.concatenate(
        [[f"{name} {int(name.startswith('ragged') and k == 3)}" for k in range(len(GROUPS[name]))] for name in names]
    )
    lengths = 2 + row % 3
    mask = np.arange(4) < lengths[:, None]
    wrong_and_likely = np.concatenate([np.full(len(GROUPS[name]), name.startswith("confident")) for name in names])
    logprobs = np.where(wrong_and_likely, np.where(rewards > 0, -9.0, -1.5), -4.0 - 0.5 * (row % 3))
    token_logprobs = np.where(mask, logprobs[:, None] / lengths[:, None], 0.0)
    last = np.arange(4) == lengths[:, None] - 1
    right = rewards > 0.5
    counts = {name: (groups == name, right[groups == name].sum()) for name in set(groups.tolist())}
    successes = np.zeros(n, int)
    for rows, count in counts.values():
        successes[rows] = count
    size = np.array([(groups == name).sum() for name in groups])
    return {
        "rewards": rewards,
        "groups": groups,
        "logprobs": logprobs,
        "lengths": lengths,
        "mask": mask,
        "token_rewards": np.where(last, rewards[:, None], 0.0),
        "token_logprobs": token_logprobs,
        "policy_token_logprobs": np.minimum(token_logprobs + np.where(mask, 0.1, 0.0), 0.0),
        "ref_token_logprobs": np.minimum(token_logprobs - np.where(mask, 0.2, 0.0), 0.0),
        "teacher_token_logprobs": np.where(mask, np.where(right[:, None], -0.3, -1.5), 0.0),
        "token_entropies": np.where(mask, [[0.2, 1.2, 0.6, 0.3]], 0.0),
        "sum_squared_probs": np.where(mask, [[0.9, 0.4, 0.6, 0.8]], 0.0),
        "planning": mask & (np.arange(4) == 1),
        "values": np.where(mask, [[0.3, 0.4, 0.5, 0.5]], 0.0),
        "action_values": np.where(mask, [[0.3, 0.5, 0.5, 0.6]], 0.0),
        "bootstrap_values": np.zeros(n),
        "turns": np.where(np.arange(4) < 2, 0, 1) + np.zeros((n, 1), int),
        "states": np.where(row % 2, "door", "start"),
        "labels": np.where(right, "42", np.where(row % 2, "41", "7")),
        "roles": np.where(row % 2, "writer", "critic"),
        "baselines": np.full(n, 0.25),
        "successes": successes,
        "failures": size - successes,
        "on_policy": row % 4 != 3,
    }


def shown(d: Definition, function: Any) -> list[Shown]:
    """The groups that the estimator takes, in one batch, at its default settings."""
    fits = [name for name, rewards in GROUPS.items() if "rewards" not in d.ranges or _in(d.ranges["rewards"], rewards)]
    words = batch(fits)
    if d.by_component:
        words["rewards"] = np.stack([words["rewards"], 0.25 * (4 - words["lengths"])], 1)
    found = np.asarray(function(**{word: words[word] for word in d.needed}))
    if found.ndim == 2:
        found = np.where(words["mask"], found, np.nan)
    ends = np.cumsum([len(GROUPS[name]) for name in fits])[:-1]
    parts = zip(fits, np.split(words["rewards"], ends), np.split(found, ends), strict=True)
    return [Shown(*part) for part in parts]


def _in(limits: Any, rewards: list[float]) -> bool:
    return all((int(r) if limits.whole and r == int(r) else r) in limits for r in rewards)


def picture(name: str, groups: list[Shown]) -> str:
    """Rewards above, advantages below, a column per group; an advantage per token as a bar each."""
    figure = Figure(figsize=(1.75 * len(groups) + 0.5, 2.7))
    FigureCanvasSVG(figure)
    left = 0.5 / figure.get_figwidth()
    axes = figure.subplots(2, len(groups), squeeze=False, height_ratios=[1, 1.6])
    figure.subplots_adjust(left=left, right=0.995, top=0.9, bottom=0.08, wspace=0.32, hspace=0.25)
    for column, group in enumerate(groups):
        above, below = axes[:, column]
        n = len(group.rewards)
        above.set_title(group.name, fontsize=9, color=TEXT)
        for k, each in enumerate(group.rewards.reshape(n, -1).T):
            above.plot(range(n), each, "os"[k], color=TEXT, markersize=3.5, fillstyle=["full", "none"][k])
        tokens = group.advantages.reshape(n, -1)
        width = 0.8 / tokens.shape[1]
        for token, each in enumerate(tokens.T):
            x = np.arange(n) - 0.4 + width * (token + 0.5)
            known = np.isfinite(each)
            for some, color in ((each >= 0, 0), (each < 0, 1)):
                rows = known & some
                below.bar(x[rows], each[rows], width * 0.9, color=SERIES.format(color), linewidth=0)
        below.axhline(0, color=TEXT, linewidth=0.8)
        for one, kind in ((above, "reward"), (below, "advantage")):
            one.set_xlim(-0.7, n - 0.3)
            one.margins(y=0.18)
            one.set_xticks([])
            one.tick_params(color=GRID, labelcolor=TEXT, labelsize=8, length=0)
            one.grid(axis="y", color=GRID, linewidth=0.7)
            one.set_axisbelow(True)
            one.spines[:].set_visible(False)
            one.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(3))
            if column == 0:
                one.set_ylabel(kind, color=TEXT, fontsize=9)
    return svg_of(figure, f"{name}: {_heard(groups)}")


def _heard(groups: list[Shown]) -> str:
    """The picture in words: who gets most and least of each group."""
    said = []
    for group in groups:
        n = len(group.rewards)
        each = np.nanmean(group.advantages.reshape(n, -1), 1)
        said.append(f"{group.name}: advantages from {each.min():.2f} to {each.max():.2f}")
    return "; ".join(said)
