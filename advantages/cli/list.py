"""`advantages list`: the estimators, what each needs and promises, and where it was published."""

import argparse
import json
from typing import get_args

from ..catalogue import markdown, rows, table
from ..core.definition import Unit
from ..core.naming import did_you_mean
from ..core.vocabulary import INPUTS

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `advantages list`."""
    parser.add_argument(
        "--needs", type=_words, default=(), metavar="WORD,...", help="only those that need all these inputs"
    )
    parser.add_argument("--unit", choices=get_args(Unit), help="only those with one advantage per response, or token")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="the table of the README")
    form.add_argument("--json", action="store_true", help="print one JSON object")


def _words(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    for word in words:
        if word not in INPUTS:
            raise argparse.ArgumentTypeError(
                f"{word!r} is no input; inputs are {', '.join(INPUTS)}{did_you_mean(word, INPUTS)}"
            )
    return words


def run(options: argparse.Namespace) -> int:
    """Print the estimators that were asked for."""
    if options.markdown:
        print(markdown())
        return 0
    found = rows(options.needs, options.unit)
    if options.json:
        print(json.dumps({"estimators": [one.record() for one in found]}))
    elif found:
        print(table(found))
    else:
        per = f" with one advantage per {options.unit}" if options.unit else ""
        print(f"no estimator{per} needs {', '.join(options.needs)}" if options.needs else f"no estimator{per}")
    return 0
