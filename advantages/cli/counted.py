"""How far a command is, and how long it will take, for one that takes seconds."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["counted", "share_of"]

T = TypeVar("T")
_PAUSE = 0.1
"""Seconds for which a line stands at least."""


def counted(items: Sequence[T], what: str, name: Callable[[T], str] = str) -> Iterator[T]:
    """The items, with the place of each and the time left on one line of the terminal.

    Silent where standard error is a file. The time left is that of the items before, for as many as are left.

    >>> list(counted(["grpo", "rloo"], "vectors"))
    ['grpo', 'rloo']
    """
    line = _Line()
    for done, item in enumerate(items):
        line.show(f"{what} {done + 1}/{len(items)}", done / len(items), f": {name(item)}", last=done + 1 == len(items))
        yield item
    line.clear()


@contextmanager
def share_of(what: str) -> Iterator[Callable[[float], None]]:
    """Within, a function that is told which share of something is done, and shows it as `counted` does.

    >>> with share_of("reading rollouts.jsonl") as told:
    ...     told(0.5)
    """
    line = _Line()
    try:
        yield lambda share: line.show(f"{what}: {share:.0%}", share, last=share == 1)
    finally:
        line.clear()


class _Line:
    """One line of the terminal, written anew now and then."""

    def __init__(self) -> None:
        self._start, self._shown = time.perf_counter(), -_PAUSE

    def show(self, text: str, share: float, more: str = "", *, last: bool) -> None:
        took = time.perf_counter() - self._start
        if last or took - self._shown >= _PAUSE:
            left = f", about {took / share * (1 - share):.0f} s left" if share >= 0.01 else ""  # or it is a guess
            self._write(f"{text}{left}{more}")
            self._shown = took

    def clear(self) -> None:
        self._write("")

    def _write(self, line: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
