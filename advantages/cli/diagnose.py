"""`advantages diagnose`: is the run dead, and why, from a file of rollouts."""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..core.definition import definition_of
from ..diagnostics import Diagnosis, merged
from ..diff import named
from ..tasks.rollouts import Interleaved, joined, whole_groups
from .batches import PICTURES, add_file, advantages_of, diagnosed, looked_at, opened, place, saved, temperature_of
from .counted import share_of

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_file(parser)
    parser.add_argument("--estimator", help="forms the advantages (default: the file's own, else those of grpo)")
    parser.add_argument("--wrong", type=float, default=0.0, help="equal rewards up to it are all wrong (default: 0)")
    parser.add_argument("--right", type=float, default=1.0, help="equal rewards from it on are all right (default: 1)")
    parser.add_argument("--temperature", type=float, help="of LamPO's weights (default: that of the estimator)")
    parser.add_argument("--plot", type=Path, metavar="PICTURE", help="write a picture: png, svg or pdf")


def run(options: argparse.Namespace) -> int:
    """Print what is wrong; the exit status is 1 where something is."""
    try:
        place(options.plot, *PICTURES)
        source, found = _diagnosis(options)
        if options.plot:
            saved(found.plot(), options.plot)
    except (TypeError, ValueError) as error:
        raise SystemExit(f"advantages diagnose: {str(error).removeprefix('diagnose: ')}") from None
    told = found.explain()
    if options.json:
        print(json.dumps({"advantages": source, "metrics": found.metrics(), "explain": told}))
        return 1 if told else 0
    print(f"{found.responses} responses in {found.groups} groups; advantages are those of {source}")
    print("\n".join(f"- {sentence}" for sentence in told or ["Nothing stands out."]))
    print()
    for name, value in found.metrics().items():
        print(f"{name:<40} {value:.6g}")
    return 1 if told else 0


def _diagnosis(options: argparse.Namespace) -> tuple[str, Diagnosis]:
    """Where the advantages are from, and what they look like.

    A batch of rows is looked at after the other, and forgotten, where groups can be told apart; the whole file at once
    where a group is in several places of it, or where statistics span the batch.
    """
    function = named(options.estimator or "grpo")
    own = options.estimator is None
    temperature = temperature_of(function) if options.temperature is None else options.temperature
    words = looked_at(function, logprobs=temperature is not None) | ({"advantages"} if own else set())
    sources = set()

    def look(batch: Mapping[str, Any]) -> Diagnosis:
        if options.temperature is not None and "logprobs" not in batch:
            raise ValueError("--temperature is of LamPO's weights, but the file has no logprobs; see --map")
        if own and "advantages" in batch:
            sources.add("the file")
            advantages, of = batch["advantages"], options.temperature
        elif own and batch["rewards"].ndim == 2:
            sources.add("grpo, of the sum of components")
            known = np.isfinite(batch["rewards"])
            total = np.where(known.any(1), np.where(known, batch["rewards"], 0.0).sum(1), np.nan)
            advantages, of = advantages_of(function, {**batch, "rewards": total}), temperature
        else:
            sources.add("grpo" if own else options.estimator)
            advantages, of = advantages_of(function, batch), temperature
        return diagnosed(batch, advantages, temperature=of, wrong=options.wrong, right=options.right)

    def looks(split: Callable[[Iterator[Any]], Iterator[Any]]) -> Diagnosis:
        with share_of(f"reading {options.file.name}") as told:
            return merged(look(batch) for batch in split(opened(options.file, options.map, words, told)))

    def whole(parts: Iterator[Any]) -> Iterator[Any]:
        yield joined(parts)

    if definition_of(function).promises.spans_batch or not hasattr(function, "__advantages__"):  # or may span it
        found = looks(whole)
    else:
        try:
            found = looks(whole_groups)
        except Interleaved:
            found = looks(whole)
    return sources.pop(), found
