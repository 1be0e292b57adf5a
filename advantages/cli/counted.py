"""How far a command is, for one that takes seconds."""

import sys
from collections.abc import Iterator, Sequence

__all__ = ["counted"]


def counted(names: Sequence[str], what: str) -> Iterator[str]:
    """The names, with the place of each on one line of the terminal; silent where standard error is a file.

    >>> list(counted(["grpo", "rloo"], "vectors"))
    ['grpo', 'rloo']
    """
    for place, name in enumerate(names, 1):
        _show(f"{what} {place}/{len(names)} {name}")
        yield name
    _show("")


def _show(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
