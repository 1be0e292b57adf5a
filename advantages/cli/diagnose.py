"""`advantages diagnose`: is the run dead, and why, from a file of rollouts."""

import argparse
import json
from pathlib import Path

from ..diff import named
from .batches import PICTURES, add_file, advantages_of, diagnosed, place, read, saved, temperature_of

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
        batch, temperature = read(options.file, options.map), options.temperature
        if options.estimator is None and "advantages" in batch:
            source, advantages = "the file", batch["advantages"]
        else:
            source = options.estimator or "grpo"
            function = named(source)
            advantages = advantages_of(function, batch)
            temperature = temperature_of(function) if temperature is None else temperature
        found = diagnosed(batch, advantages, temperature=temperature, wrong=options.wrong, right=options.right)
        if options.plot:
            saved(found.plot(), options.plot)
    except (TypeError, ValueError) as error:
        raise SystemExit(f"advantages diagnose: {error}") from None
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
