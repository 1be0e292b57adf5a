"""Numbers at which nobody has looked: a word that reads all of them anyway says whether they are ordinary."""

from typing import Any

import numpy as np

__all__ = ["ORDINARY", "Extraordinary", "Unseen"]

ORDINARY = 1e9
"""Rewards below this have advantages that fit every dtype but float16, and squares that fit float32."""
_FEW = 8_192
"""Numbers up to which a product of BLAS waits for no threads."""


class Extraordinary(ArithmeticError):
    """A number is not finite, or so large that each of them has to be looked at."""


class Unseen:
    """(N,) floats in numpy's memory, which may be anything: a word that takes them answers for what it finds."""

    __slots__ = ("numbers",)

    def __init__(self, numbers: Any) -> None:
        self.numbers = numbers

    def seen(self) -> Any:
        """The numbers, after a look at them.

        Raises:
            Extraordinary: as in `answer`.
        """
        self.answer(_squares(self.numbers))
        return self.numbers

    def answer(self, total: float) -> None:
        """Take the sum of their squares, from a word that has formed it on its way.

        Raises:
            Extraordinary: a number is not finite or not of ordinary size, or many are large.
        """
        if not total < ORDINARY**2:  # NaN is not
            raise Extraordinary


def _squares(x: Any) -> float:
    """The sum of the squares of (N,) numbers, which says sooner than they do that all of them are finite."""
    if len(x) <= _FEW:
        return float(np.vdot(x, x))
    rows = x[: len(x) // _FEW * _FEW].reshape(-1, _FEW)
    with np.errstate(over="ignore"):
        return float(np.vecdot(rows, rows).sum()) + _squares(x[rows.size :])
