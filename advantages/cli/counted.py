"""How far a command is, and how long it will take, for one that takes seconds."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

__all__ = ["counted"]

T = TypeVar("T")
_PAUSE = 0.1
"""Seconds for which a line stands at least."""


def counted(items: Sequence[T], what: str, name: Callable[[T], str] = str) -> Iterator[T]:
    """The items, with the place of each and the time left on one line of the terminal.

    Silent where standard error is a file. The time left is that of the items before, for as many as are left.

    >>> list(counted(["grpo", "rloo"], "vectors"))
    ['grpo', 'rloo']
    """
    start, shown = time.perf_counter(), -_PAUSE
    for done, item in enumerate(items):
        took = time.perf_counter() - start
        if took - shown >= _PAUSE or done + 1 == len(items):
            left = f", about {took / done * (len(items) - done):.0f} s left" if done else ""
            _show(f"{what} {done + 1}/{len(items)}{left}: {name(item)}")
            shown = took
        yield item
    _show("")


def _show(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
