"""Where two estimators part on a user's own batch, and at which stage."""

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import conventions, estimators
from .conventions.convention import Convention
from .conventions.rlax import gae
from .core.definition import definition_of
from .core.naming import did_you_mean
from .core.vocabulary import INPUTS
from .estimators import normalized
from .host import resolve
from .ops import to_tokens, whiten

__all__ = [
    "Difference",
    "Exchange",
    "diff",
    "named",
    "sentences",
]

Batch = Mapping[str, Any]

STAGE = {
    "grouping": "grouping",
    "unscored": "unscored rows",
    "center": "centre",
    "scale": "scale",
    "ddof": "scale",
    "epsilon": "epsilon",
    "singleton": "singleton",
    "min_scored": "singleton",
    "whitening": "whitening",
    "whitening_epsilon": "whitening",
    "weight": "whitening",
    "baseline": "centre",
    "discount": "discount",
    "lambda_": "lambda",
    "holes": "mask",
    "masked_rewards": "token placement",
}
"""What a setting is part of."""

_RESPONSES = {
    "grpo": ("group", "group"),
    "dr_grpo": ("group", "none"),
    "rloo": ("others", "none"),
    "reinforce": ("none", "none"),
    "reinforce_plus_plus_baseline": ("group", "none"),
}
"""Centre and scale of the estimators over responses."""


class Exchange(NamedTuple):
    """One setting of the first estimator, exchanged for the second's."""

    stage: str
    setting: str
    first: Any
    second: Any
    rows: list[int]
    """Rows that it moves."""
    left: float
    """The largest difference that is left."""


class Difference(NamedTuple):
    """What `diff` found; `exchanges` is None where the two are no settings of one formula."""

    first: str
    second: str
    advantages: tuple[Any, Any]
    rows: list[int]
    largest: float
    exchanges: list[Exchange] | None
    explained: bool
    """Whether one exchange alone makes the second of the first."""
    remarks: list[str]


def named(name: str) -> Callable[..., Any]:
    """The estimator of a name: "verl.grpo", a convention; "grpo", ours; or "package.module:function".

    Raises:
        ValueError: there is none; the message says the nearest.
    """
    framework, _, function = name.removeprefix("advantages.conventions.").replace(":", ".").partition(".")
    if framework not in conventions.__all__ or not function:
        if "." in name and ":" not in name and (guess := did_you_mean(framework, conventions.__all__)):
            raise ValueError(f"{name}: there is no framework {framework!r}{guess}")
        return resolve(name)
    module = importlib.import_module(f"advantages.conventions.{framework}")
    if function not in module.__all__:
        raise ValueError(
            f"{name}: {framework} has {', '.join(module.__all__)}, but no {function!r}"
            f"{did_you_mean(function, module.__all__)}"
        )
    found: Callable[..., Any] = getattr(module, function)
    return found


def diff(
    first: Callable[..., Any],
    second: Callable[..., Any],
    batch: Batch,
    *,
    tolerance: float = 1e-5,
    watched: Callable[[Sequence[str], str], Iterable[str]] = lambda names, _: names,
) -> Difference:
    """Two estimators on one batch: the rows that differ, and which stage explains it.

    One setting of the first at a time is exchanged for the second's, on the same batch.

    Args:
        first, second: estimators, conventions for instance.
        batch: columns by word of the vocabulary, as numpy arrays.
        tolerance: differences up to it, relative to the largest advantage, are none.
        watched: gives the names that it is given, of what is computed next, for somebody who waits.

    Raises:
        ValueError: the batch lacks a word that one of the two needs, or the tolerance is no number from 0 on.
    """
    if not tolerance >= 0:
        raise ValueError(f"diff: tolerance is {tolerance}; pass a number from 0 on")
    names = [definition_of(function).name for function in (first, second)]
    for function in (first, second):
        _check(function, batch)
    mixed = len({definition_of(function).per_token for function in (first, second)}) > 1
    remarks: list[str] = []
    recipes = [_recipe(function) for function in (first, second)]
    found = []
    for function, _ in zip((first, second), watched(names, "diff"), strict=True):
        given, said = _grouped(function, batch)
        remarks += [one for one in said if one not in remarks]
        d = definition_of(function)
        a = np.asarray(function(**{word: given[word] for word in d.inputs if word in given}))
        found.append(_on_tokens(a, batch) if mixed else a)
    scale = max(1.0, *(float(np.abs(a).max(initial=0.0)) for a in found))

    def apart(a: Any, b: Any) -> list[int]:
        gap = np.abs(a - b).reshape(len(a), -1).max(1, initial=0.0)
        return [int(row) for row in np.flatnonzero(gap > tolerance * scale)]

    def numbers(recipe: Mapping[str, Any]) -> Any:
        a = _made(recipe, batch)
        return _on_tokens(a, batch) if mixed and a.ndim == 1 else a

    rows = apart(*found)
    largest = float(np.abs(found[0] - found[1]).max(initial=0.0))
    mine, theirs = recipes
    exchanges = None
    if mine is not None and theirs is not None and mine["formula"] == theirs["formula"]:
        known = not apart(numbers(mine), found[0]) and not apart(numbers(theirs), found[1])
        if known:
            exchanges = []
            for setting in watched([key for key, value in theirs.items() if value != mine[key]], "exchange"):
                moved = numbers({**mine, setting: theirs[setting]})
                if changed := apart(moved, found[0]):
                    left = float(np.abs(moved - found[1]).max(initial=0.0))
                    exchanges.append(Exchange(STAGE[setting], setting, mine[setting], theirs[setting], changed, left))
            exchanges.sort(key=lambda exchange: exchange.left)
    explained = any(exchange.left <= tolerance * scale for exchange in exchanges or ())
    return Difference(names[0], names[1], (found[0], found[1]), rows, largest, exchanges, explained, remarks)


def _check(function: Callable[..., Any], batch: Batch) -> None:
    d = definition_of(function)
    for word in d.needed:
        if word not in batch:
            raise ValueError(
                f"{d.name} needs {word}: {INPUTS[word].meaning}; the file has {', '.join(batch) or 'no word'}; add "
                f"it, or name the column that is it: --map OWN={word}"
            )


def _convention(function: Callable[..., Any]) -> Convention | None:
    return getattr(function, "__convention__", None)


def _blocks(batch: Batch) -> Any:
    """Neighbouring rows as groups, or None where the groups are not of one size."""
    sizes = set(np.unique(np.asarray(batch["groups"]), return_counts=True)[1].tolist())
    return np.arange(len(batch["groups"])) // sizes.pop() if len(sizes) == 1 else None


def _grouped(function: Callable[..., Any], batch: Batch) -> tuple[Batch, list[str]]:
    """The batch as a framework groups it."""
    made = _convention(function)
    if made is None or not made.by_position or "groups" not in definition_of(function).own:
        return batch, []
    blocks = _blocks(batch)
    if blocks is None:
        return batch, [
            f"{made.framework} takes neighbouring rows for groups of one size, which these are not: it cannot have "
            "this batch, and is given the groups by id"
        ]
    return {**batch, "groups": blocks}, []


def _on_tokens(a: Any, batch: Batch) -> Any:
    if a.ndim == 2:
        return a
    if "mask" not in batch:
        raise ValueError("one of the two has advantages of tokens, the other of responses; add a mask to compare them")
    return to_tokens(a, batch["mask"])


def _recipe(function: Callable[..., Any]) -> dict[str, Any] | None:
    """An estimator as the settings of one general formula, or None where it is none of that."""
    made = _convention(function)
    base = definition_of(made.base if made else function)
    ours = getattr(estimators, base.name, None)
    if ours is None or (not made and ours is not function):
        return None
    if not {*base.needed} <= {*definition_of(ours).needed, "mask"}:  # a stage before it needs more, such as one of KL
        return None
    s = definition_of(function).settings
    whitening = {"whitening": s.get("whitening", "none"), "whitening_epsilon": 0.0, "weight": "tokens"}
    if base.name in ("reinforce_plus_plus", "reinforce_plus_plus_baseline"):
        word = "sample" if s["ddof"] == 1 else "population"
        whitening = {"whitening": word, "whitening_epsilon": s["epsilon"], "weight": s["weight"]}
    if base.name in ("gae", "reinforce_plus_plus"):
        return {
            "formula": "tokens",
            "baseline": "values" if base.name == "gae" else "none",
            "discount": s["discount"],
            "lambda_": s.get("lambda_", 1.0),
            "holes": s.get("holes", "skipped"),
            "masked_rewards": s.get("masked_rewards", "carried"),
            **whitening,
        }
    if base.name != "normalized" and base.name not in _RESPONSES:
        return None
    center, scale = _RESPONSES[base.name] if base.name in _RESPONSES else (s["center"], s["scale"])
    scaled = base.name in ("grpo", "normalized")
    return {
        "formula": "responses",
        "grouping": "position" if made and made.by_position else "ids",
        "unscored": s.get("unscored", "left_out"),
        "center": center,
        "scale": scale,
        "ddof": s["ddof"] if scaled else 1,
        "epsilon": s["epsilon"] if scaled else 1e-6,
        "singleton": s.get("singleton", "zero"),
        "min_scored": s.get("min_scored", 2),
        **whitening,
    }


def _made(recipe: Mapping[str, Any], batch: Batch) -> Any:
    """The general formula at the settings of a recipe."""
    options = {word: batch[word] for word in ("valid", "trained", "trajectories") if word in batch}
    if recipe["formula"] == "tokens":
        values = batch["values"] if recipe["baseline"] == "values" else np.zeros_like(batch["token_rewards"])
        settings = {key: recipe[key] for key in ("discount", "lambda_", "holes", "masked_rewards")}
        a: Any = gae(batch["token_rewards"], values, batch["mask"], **settings, **options)
        counted = np.isfinite(batch["token_rewards"]) | ~batch["mask"]
    else:
        blocks = _blocks(batch) if recipe["grouping"] == "position" else None
        rewards = batch["rewards"]
        if recipe["unscored"] == "zero":
            rewards = np.where(np.isfinite(rewards), rewards, 0.0)
        settings = {key: recipe[key] for key in inspect.signature(normalized).parameters if key in recipe}
        a = normalized(rewards, batch["groups"] if blocks is None else blocks, **settings, **options)
        counted = np.isfinite(rewards)[:, None]
    if recipe["whitening"] == "none":
        return a
    whole: Any = counted.all(1)
    mask = batch["mask"] & whole[:, None]
    ddof = 1 if recipe["whitening"] == "sample" else 0
    return whiten(
        to_tokens(a, mask) if a.ndim == 1 else a,
        mask,
        weight=recipe["weight"],
        ddof=ddof,
        epsilon=recipe["whitening_epsilon"],
    )


def sentences(found: Difference, most: int = 10) -> Sequence[str]:
    """What was found, for a person to read."""
    count = len(found.advantages[0])
    if not found.rows:
        lines = [f"{found.first} and {found.second} agree in all {count} rows: the advantage is not what differs"]
    else:
        lines = [
            f"{found.first} and {found.second} differ in {len(found.rows)} of {count} rows, by {found.largest:.6g} at "
            "most"
        ]
        for row in found.rows[:most]:
            one, two = (np.array2string(a[row], precision=6, separator=", ") for a in found.advantages)
            lines.append(f"  row {row}: {one} and {two}")
        if len(found.rows) > most:
            lines.append(f"  and {len(found.rows) - most} rows more")
    if found.exchanges is None and found.rows:
        lines.append("stage: the formulas themselves; the two are no settings of one")
    for exchange in (found.exchanges or []) if found.rows else []:
        whole = exchange.left <= 1e-5 * max(1.0, float(np.abs(found.advantages[1]).max(initial=0.0)))
        says = "explains all of it" if whole else f"explains a part: {exchange.left:.6g} is left"
        lines.append(
            f"stage {exchange.stage}: {exchange.setting} is {exchange.first!r} and {exchange.second!r}; moves "
            f"{len(exchange.rows)} rows, and {says}"
        )
    return lines + [f"remark: {remark}" for remark in found.remarks]
