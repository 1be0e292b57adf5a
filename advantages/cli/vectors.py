"""`advantages vectors`: small cases with their advantages as JSON, for implementations in any language."""

import argparse
from pathlib import Path

from .. import vectors
from .counted import counted

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `advantages vectors`."""
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the files, made where missing"
    )


def run(options: argparse.Namespace) -> int:
    """Write the files."""
    names = vectors.names()
    try:
        vectors.write(options.out, counted(names, "vectors"))
    except ValueError as error:
        raise SystemExit(f"advantages vectors: {error}") from None
    print(f"{len(names)} files and schema.json in {options.out}")
    return 0
