"""The rollouts that a command looks at: words of the vocabulary, and what else `diagnose` can be told."""

import argparse
import importlib.util
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.definition import definition_of
from ..core.vocabulary import INPUTS
from ..diagnostics import Diagnosis, diagnose
from ..diff import named
from ..files import MAP
from ..tasks.rollouts import batches, joined, words_of_columns
from .counted import share_of
from .fields import Joined, pairs

__all__ = [
    "PICTURES",
    "add_file",
    "add_map",
    "advantages_of",
    "diagnosed",
    "estimators_named",
    "looked_at",
    "opened",
    "place",
    "read",
    "saved",
    "temperature_of",
]

PICTURES = (".png", ".svg", ".pdf")
_LOOKED = ("rewards", "groups", "valid", "mask", "lengths", "responses", "penalties", "second_rewards", "unclipped")
"""What a diagnosis is made of, whatever gives the advantages."""


def add_file(parser: argparse.ArgumentParser, name: str = "file") -> None:
    """The options of every command that reads rollouts."""
    required: dict[str, Any] = {"required": True} if name.startswith("-") else {}
    text = "rollouts: JSON Lines, Parquet or npz, a record per response"
    parser.add_argument(name, type=Path, metavar="FILE", help=text, **required)
    add_map(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def add_map(parser: argparse.ArgumentParser) -> None:
    """The names that columns have."""
    text = f"the word that a column is: {MAP}, or score=rewards"
    parser.add_argument("--map", action=Joined, metavar="OWN=NAME,...", help=text)


def opened(
    path: Path, text: str | None, words: Collection[str], told: Callable[[float], None], *, look: bool = True
) -> Iterator[dict[str, Any]]:
    """The rows of a file, a batch at a time: columns by word, as numpy arrays; ids and responses as lists.

    Args:
        path: of the file.
        text: of `--map`.
        words: that are read.
        told: hears the share of the file that has been read.
        look: whether a diagnosis is made: there must be rewards and groups, and columns count that are no words of
            the vocabulary.

    Raises:
        ValueError: the file or a record does not fit; the message says which line.
    """
    names = words_of_columns(pairs(text, option="--map", form=MAP), extra=look) if text else {}
    for batch in batches(path, names, extra=look, words=words, told=told):
        for word in ("rewards", "groups"):
            if look and word not in batch:
                raise ValueError(f"{path} has no {word}; name the column that holds them: --map OWN={word}")
        yield batch


def read(path: Path, text: str | None, words: Collection[str], *, look: bool = True) -> dict[str, Any]:
    """All rows of a file as one batch, where no part can be understood alone."""
    with share_of(f"reading {path.name}") as told:
        return joined(opened(path, text, words, told, look=look))


def looked_at(*functions: Callable[..., Any], logprobs: bool = False) -> set[str]:
    """The words that a diagnosis of these estimators' advantages is made of."""
    own = {word for function in functions for word in definition_of(function).inputs}
    return {*_LOOKED, *own} | ({"logprobs"} if logprobs else set())


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
