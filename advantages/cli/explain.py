"""`advantages explain`: a dry run of an estimator on one's own rollouts, with the formula's numbers filled in."""

import argparse
import inspect
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..compose import parsed
from ..core.definition import Definition, definition_of
from ..core.groups import Groups
from ..core.vocabulary import INPUTS
from ..diff import named
from .batches import add_file, advantages_of, diagnosed, looked_at, read, temperature_of
from .fields import Joined, literal, pairs

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--estimator", required=True, help="a name in `advantages`, verl.grpo, or package.module:f")
    add_file(parser, "--data")
    text = "settings of the estimator, such as temperature=0.5"
    parser.add_argument("--set", action=Joined, metavar="NAME=VALUE,...", help=text)


def run(options: argparse.Namespace) -> int:
    """Print which words, which settings, the formula, and what the batch would give."""
    try:
        given = pairs(options.set, option="--set", form="name=value") if options.set else {}
        function = named(options.estimator)
        batch = read(options.data, options.map, looked_at(function))
        d = definition_of(function)
        chosen = {name: literal(value) for name, value in given.items()}
        advantages = advantages_of(function, batch, **chosen)
        look = diagnosed(batch, advantages, temperature=temperature_of(function, **chosen))
    except (TypeError, ValueError) as error:
        raise SystemExit(f"advantages explain: {error}") from None
    settings = {**d.settings, **chosen}
    words = {word: _state(d, word, batch) for word in d.inputs}
    group, shown = _group(d, batch, advantages)
    if options.json:
        content: dict[str, Any] = {
            "estimator": d.name,
            "words": words,
            "settings": {k: _plain(x) for k, x in settings.items()},
        }
        content |= {"formula": formula(options.estimator, settings), "group": group, "rows": shown}
        content |= {"metrics": look.metrics(), "explain": look.explain()}
        print(json.dumps(content))
        return 0
    print(f"{d.name}: {(inspect.getdoc(function) or 'It has no docstring.').splitlines()[0]}\n\nWords:")
    for word, state in words.items():
        print(f"  {word:<14} {state}")
    print("\nSettings:")
    for name, value in settings.items():
        print(f"  {name:<14} {value!r}{'' if name in chosen else '  (default)'}")
    print("\nFormula, with the settings filled in:")
    print("\n".join(f"  {line}" for line in formula(options.estimator, settings) or ["  none in the docstring"]))
    if shown:
        print(f"\nGroup {group!r}, for example:")
        for row in shown:
            print("  " + ", ".join(f"{name} {_digits(x)}" for name, x in row.items()))
    print(f"\nThe batch: {look.responses} responses in {look.groups} groups, {look.informative} of them informative")
    print("\n".join(f"- {sentence}" for sentence in look.explain() or ["Nothing stands out."]))
    return 0


def formula(name: str, settings: Mapping[str, Any]) -> list[str]:
    """The lines of the docstring's formula, with the values of settings in the place of their names.

    A convention has the formula of the estimator that it sets. Behind it stand the settings that are not that
    estimator's own and that the formula does not name, and the stages.
    """
    name, stages = parsed(name)
    function = named(name)
    made = getattr(function, "__convention__", None)
    base = made.base if made else function
    lines = (inspect.getdoc(base) or "").partition("\nArgs:")[0].splitlines()
    found = [line.strip() for line in lines if line.startswith("    ")]
    numbers = {k: x for k, x in settings.items() if isinstance(x, (int, float, str)) and not isinstance(x, bool)}
    own = definition_of(base).settings
    others = {k: x for k, x in settings.items() if k in own and x != own[k]}
    if numbers:
        names = re.compile(r"\b(" + "|".join(map(re.escape, numbers)) + r")\b")
        others = {k: x for k, x in others.items() if k not in names.findall(" ".join(found))}
        found = [names.sub(lambda m: str(numbers[m[1]]), line) for line in found]
    return [*found, *(f"with {k} = {x!r}" for k, x in others.items()), *(f"with {stage}" for stage in stages)]


def _state(d: Definition, word: str, batch: Mapping[str, Any]) -> str:
    need = "needed" if word in d.needed else "may be given"
    if word not in batch:
        return f"not in the file; {need}: {INPUTS[word].meaning}"
    x = batch[word]
    if isinstance(x, list):
        return f"in the file; {need}: {len(x)} ids, {len(set(x))} of them different"
    finite = x[np.isfinite(x)].astype(float)
    reach = f", {finite.min():.6g} to {finite.max():.6g}" if len(finite) else ""
    missing = f", {x.size - finite.size} not finite" if x.size > finite.size else ""
    return f"in the file; {need}: shape {x.shape}{reach}{missing}"


def _group(d: Definition, batch: Mapping[str, Any], advantages: Any) -> tuple[Any, list[dict[str, Any]]]:
    """The first group whose advantages are not all 0, and up to eight of its rows."""
    ids = batch["groups"]
    slots = Groups(ids).slots
    each = advantages if advantages.ndim == 1 else np.abs(advantages).sum(1)
    some = np.flatnonzero(each != 0)
    if not len(some):
        return None, []
    rows = np.flatnonzero(slots == slots[some[0]])[:8]
    words = [word for word in d.inputs if word in batch and not INPUTS[word].per_token and word != "groups"]
    made = [
        {"row": int(i), **{word: _plain(batch[word][i]) for word in words}, "advantage": _plain(advantages[i])}
        for i in rows
    ]
    return ids[some[0]], made


def _plain(x: Any) -> Any:
    x = x.tolist() if isinstance(x, (np.ndarray, np.generic)) else x
    if isinstance(x, float) and not np.isfinite(x):
        return None
    return x if isinstance(x, (int, float, str, list, bool, type(None))) else str(x)


def _digits(x: Any) -> str:
    return f"{x:.6g}" if isinstance(x, float) else str(x)
