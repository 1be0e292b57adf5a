"""The rollouts that a command looks at: words of the vocabulary, and what else `diagnose` can be told."""

import argparse
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.definition import definition_of
from ..core.vocabulary import INPUTS
from ..diagnostics import Diagnosis, diagnose
from ..diff import batch_of_arrays, batch_of_rows, named, read_arrays, words_of_columns
from ..files import MAP
from ..tasks.files import read_rows
from .counted import counted
from .fields import pairs

__all__ = ["add_file", "advantages_of", "diagnosed", "estimators_named", "place", "read", "saved", "temperature_of"]

PICTURES = (".png", ".svg", ".pdf")
EXTRA = {
    "advantages": ("advantages", "advantage"),
    "responses": ("responses", "response", "completion", "text"),
    "penalties": ("penalties", "penalty"),
    "second_rewards": ("second_rewards", "second_reward"),
    "unclipped": ("unclipped",),
}
"""Columns that are no words of the vocabulary, and the names that they have in files."""


def add_file(parser: argparse.ArgumentParser, name: str = "file") -> None:
    """The options of every command that reads rollouts."""
    required: dict[str, Any] = {"required": True} if name.startswith("-") else {}
    text = "rollouts: JSON Lines, Parquet or npz, a record per response"
    parser.add_argument(name, type=Path, metavar="FILE", help=text, **required)
    parser.add_argument("--map", metavar="OWN=NAME,...", help=f"the word that a column is: {MAP}, or score=rewards")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def read(path: Path, text: str | None) -> dict[str, Any]:
    """Columns by word, as numpy arrays; ids and responses as lists.

    Raises:
        ValueError: the file or a record does not fit; the message says which line.
    """
    given = pairs(text, option="--map", form=MAP) if text else {}
    own: dict[str, str] = {}
    for left, right in list(given.items()):
        for column, word in ((left, right), (right, left)):
            if (meant := _extra(word)) and (word == meant or _extra(column) is None):
                own[column] = meant
                del given[left]
                break
    words = words_of_columns(given)
    if path.suffix == ".npz":
        arrays = read_arrays(path, lambda _: True)
        batch = batch_of_arrays(path, arrays, words)
        for name, x in arrays.items():
            if (meant := own.get(name) or _extra(name)) is not None:
                batch[meant] = x.tolist() if meant == "responses" else x.astype(float)
    else:
        wanted = ("rewards", "groups")
        rows = read_rows(path, words, wanted, lambda lines: counted(lines, "reading line", lambda _: path.name))
        batch = batch_of_rows(path, rows)
        names = {column: own.get(column) or _extra(column) for column in rows[0][1]}
        for column, meant in names.items():
            if meant is not None:
                batch[meant] = _column(column, meant, rows, batch)
    for column, word in own.items():
        if word not in batch:
            raise ValueError(f"{path} has no column {column!r} that could be read as {word!r}; see --map")
    for word in ("rewards", "groups"):
        if word not in batch:
            raise ValueError(f"{path} has no {word}; name the column that holds them: --map OWN={word}")
    return batch


def _extra(name: str) -> str | None:
    return next((word for word, names in EXTRA.items() if name in names), None)


def _column(column: str, word: str, rows: Any, batch: Mapping[str, Any]) -> Any:
    cells = []
    for where, row in rows:
        x = row.get(column)
        if word == "responses":
            if not isinstance(x, (str, int)):
                raise ValueError(f"{where}: {column} is {x!r}; write a text, or a hash of it")
        elif isinstance(x, list):
            if not all(isinstance(y, (int, float)) for y in x):
                raise ValueError(f"{where}: {column} holds what is no number; write one per token")
        elif x is not None and (isinstance(x, bool) or not isinstance(x, (int, float))):
            raise ValueError(f"{where}: {column} is {x!r}; write a number")
        cells.append(x)
    if word == "responses":
        return cells
    lists = [isinstance(x, list) for x in cells]
    if any(lists):
        if not all(lists) or "mask" not in batch:
            raise ValueError(f"{column} has a list per row; give every row one, and a mask beside it")
        width = batch["mask"].shape[1]
        for (where, _), x in zip(rows, cells, strict=True):
            if len(x) > width:
                raise ValueError(f"{where}: {column} has {len(x)} tokens, and the longest mask {width}; write as many")
        return np.array([x + [0.0] * (width - len(x)) for x in cells], float)
    return np.array([np.nan if x is None else x for x in cells], float)


def estimators_named(text: str) -> dict[str, Callable[..., Any]]:
    """The estimators of a comma-separated list, by name."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if len(set(names)) < len(names) or not names:
        raise ValueError(f"--estimators {text}: name each estimator once, grpo,rloo for instance")
    return {name: named(name) for name in names}


def advantages_of(function: Callable[..., Any], batch: Mapping[str, Any], **settings: Any) -> Any:
    """What an estimator gives on a batch."""
    d = definition_of(function)
    missing = [word for word in d.needed if word not in batch]
    if missing:
        raise ValueError(
            f"{d.name} needs {', '.join(missing)}, which the file has not: {INPUTS[missing[0]].meaning}; name the "
            f"column that it is: --map OWN={missing[0]}"
        )
    return np.asarray(function(**{word: batch[word] for word in d.inputs if word in batch}, **settings))


def diagnosed(batch: Mapping[str, Any], advantages: Any, *, temperature: float | None = None, **more: Any) -> Diagnosis:
    """The diagnosis of a batch, with all that it holds; LamPO's weights only at a temperature."""
    words = {key: batch[key] for key in ("valid", "mask", "lengths", "responses") if key in batch}
    words |= {key: batch[key] for key in ("penalties", "second_rewards", "unclipped") if key in batch}
    if temperature is not None and "logprobs" in batch:
        words |= {"logprobs": batch["logprobs"], "temperature": temperature}
    return diagnose(batch["rewards"], advantages, batch["groups"], **words, **more)


def temperature_of(function: Callable[..., Any], **settings: Any) -> float | None:
    """The number by which an estimator divides distances of log-probabilities, or None."""
    d = definition_of(function)
    found = {**d.settings, **settings}.get("temperature")
    compares = "logprobs" in d.own_inputs and found is not None and {**d.settings, **settings}.get("reduction") == "sum"
    return float(found) if compares and isinstance(found, (int, float)) else None


def place(path: Path | None, *endings: str, needs: Sequence[str] = ("matplotlib",)) -> None:
    """Look, before work begins, whether a file can be written there, if one is asked for.

    Raises:
        ValueError: there is no such folder, its name has none of the endings, or a module that it needs is missing.
    """
    if path is None:
        return
    if path.suffix.lower() not in endings:
        raise ValueError(f"{path} is of no kind that can be written; pass a name that ends in {' or '.join(endings)}")
    if not path.parent.is_dir():
        raise ValueError(f"{path} cannot be written: there is no folder {path.parent}; make it, or pass another place")
    if any(importlib.util.find_spec(module) is None for module in needs):
        raise ValueError(f"{path} needs {' and '.join(needs)}; pip install 'rl-advantages[train]'")


def saved(figure: Any, path: Path) -> None:
    """Write a picture; the ending of its name says which kind."""
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise ValueError(f"{path} cannot be written ({error.strerror}); pass another place") from None
