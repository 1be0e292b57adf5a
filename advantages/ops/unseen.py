"""Numbers at which nobody has looked: a word that reads all of them anyway says whether they are ordinary."""

from typing import Any

from ..backends.numpy import squares

__all__ = ["ORDINARY", "Extraordinary", "Unseen"]

ORDINARY = 1e9
"""Rewards below this have advantages that fit every dtype but float16, and squares that fit float32."""


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
        self.answer(squares(self.numbers))
        return self.numbers

    def answer(self, total: float) -> None:
        """Take the sum of their squares, from a word that has formed it on its way.

        Raises:
            Extraordinary: a number is not finite or not of ordinary size, or many are large.
        """
        if not total < ORDINARY**2:  # NaN is not
            raise Extraordinary
