"""`advantages lab`: every estimator's exact expected update beside the gradient of its own objective."""

import argparse
import json
from pathlib import Path

from .. import estimators, laboratory
from ..files import write_whole
from .counted import counted

__all__ = ["add_arguments", "run"]

_START, _END = "<!-- laboratory -->", "<!-- /laboratory -->"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `advantages lab`."""
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="all digits, for programs")
    form.add_argument(
        "--into", type=Path, metavar="PAGE", help="as the table of a page, between <!-- laboratory --> and its end"
    )


def run(options: argparse.Namespace) -> int:
    """Print the table."""
    found = list(laboratory.rows(counted(estimators.__all__, "lab")))
    if options.json:
        worlds = ({name: m and m._asdict() for name, m in row.measures.items()} for row in found)
        print(json.dumps([{**row._asdict(), "measures": m} for row, m in zip(found, worlds, strict=True)], indent=1))
    elif options.into:
        _replace(options.into, laboratory.markdown(found))
    else:
        print(laboratory.table(found))
    return 0


def _replace(page: Path, table: str) -> None:
    try:
        before, marked, rest = page.read_text(encoding="utf-8").partition(_START)
        _, ended, after = rest.partition(_END)
        if not marked or not ended:
            raise ValueError(f"{page} has no {_START} with a {_END} behind it; write both where the table belongs")
        write_whole(page, f"{before}{_START}\n{table}\n{_END}{after}")
    except (OSError, ValueError) as error:
        raise SystemExit(f"advantages lab: {error}") from None
