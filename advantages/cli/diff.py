"""`advantages diff`: where two conventions part on one's own rollouts."""

import argparse
import json
from pathlib import Path

from ..core.definition import definition_of
from ..diff import diff, named, sentences
from .batches import add_map, read
from .counted import counted

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("first", help='an estimator: "verl.rloo", a name in `advantages`, or package.module:function')
    parser.add_argument("second", help="another one")
    parser.add_argument("file", type=Path, help="rollouts: JSON Lines, Parquet or npz, a record per response")
    add_map(parser)
    parser.add_argument("--tolerance", type=float, default=1e-5, help="relative differences up to it are none")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Print what differs; the exit status is 1 where something does."""
    try:
        first, second = named(options.first), named(options.second)
        words = {word for function in (first, second) for word in (*definition_of(function).inputs, "mask")}
        batch = read(options.file, options.map, words, look=False)
        found = diff(first, second, batch, tolerance=options.tolerance, watched=counted)
    except (TypeError, ValueError) as error:
        raise SystemExit(f"advantages diff: {str(error).removeprefix('diff: ')}") from None
    if options.json:
        content = found._asdict()
        content["advantages"] = [a.tolist() for a in found.advantages]
        content["exchanges"] = None if found.exchanges is None else [e._asdict() for e in found.exchanges]
        print(json.dumps(content))
    else:
        print("\n".join(sentences(found)))
    return 1 if found.rows else 0
