"""The values that a setting may have, read once from its type hint: one validator for all who have settings."""

from collections.abc import Iterable
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from ..backends import backend_of, library_of

__all__ = ["Fraction", "MinScored", "NonNegative", "Positive", "Range", "Setting"]


class Range(NamedTuple):
    """The numbers that a setting may have; the test kit draws from it and the check refuses the rest."""

    low: float
    high: float
    low_excluded: bool = False
    whole: bool = False

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int if self.whole else (int, float)) or isinstance(value, bool):
            return False
        return (value > self.low if self.low_excluded else value >= self.low) and value <= self.high

    def __str__(self) -> str:
        number = "a whole number" if self.whole else "a number"
        if self.high < float("inf"):
            return f"{number} between {self.low:g} and {self.high:g}"
        return f"{number} {'above' if self.low_excluded else 'of at least'} {self.low:g}"


Positive = Annotated[float, Range(0.0, float("inf"), low_excluded=True)]
NonNegative = Annotated[float, Range(0.0, float("inf"))]
Fraction = Annotated[float, Range(0.0, 1.0)]
MinScored = Annotated[int, Range(2, float("inf"), whole=True)]


class Setting:
    """The values that a setting may have, read once from its type hint.

    `Literal` words, numbers in a `Range`, and plain `bool`, `int` and `float` are checked; a hint that says nothing
    checkable lets everything pass. A number may also be a 0-d array, such as a tracer of JAX in a sweep; its range
    is checked where its value is at hand.

    >>> Setting(Positive | Literal["auto"]).check("lampo", "temperature", -1.0)
    Traceback (most recent call last):
    ValueError: lampo: temperature is -1.0; pass "auto" or a number above 0
    """

    def __init__(self, hint: Any) -> None:
        choices = list(_choices(hint))
        self.literals = [choice for choice in choices if isinstance(choice, (str, int, float))]
        self.ranges = [choice for choice in choices if isinstance(choice, Range)]
        self.types = tuple(choice for choice in choices if choice in _NAMES)
        self.optional = type(None) in choices
        self.expected = " or ".join(
            [
                *(f'"{word}"' if isinstance(word, str) else str(word) for word in self.literals),
                *map(str, self.ranges),
                *(_NAMES[cls] for cls in self.types),
            ]
        )

    def check(self, who: str, name: str, value: Any) -> None:
        """Let a fitting value pass.

        Raises:
            TypeError: the value has the wrong type.
            ValueError: the value is out of range.
        """
        if not self.expected or (value is None and self.optional):
            return
        if any(type(value) is type(word) and value == word for word in self.literals):
            return
        if (self.ranges or float in self.types) and getattr(value, "shape", None) == () and library_of(value):
            if not backend_of(value).on_host(value):  # its value cannot be read without waiting for it
                return
            array: Any = value
            value = array.item()
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if any(value in allowed for allowed in self.ranges):
            return
        if bool in self.types and isinstance(value, bool):
            return
        if number and (float in self.types or (int in self.types and isinstance(value, int))):
            return
        right_type = (number and self.ranges) or any(type(value) is type(word) for word in self.literals)
        if right_type:
            raise ValueError(f"{who}: {name} is {value!r}; pass {self.expected}")
        raise TypeError(f"{who}: {name} is {value!r:.60}; pass {self.expected}")


_NAMES: dict[Any, str] = {bool: "True or False", int: "a whole number", float: "a number"}


def _choices(hint: Any) -> Iterable[Any]:
    """What a hint allows: `Literal["auto"] | Positive` gives "auto" and a range."""
    if hasattr(hint, "__metadata__"):
        yield from (part for part in hint.__metadata__ if isinstance(part, Range))
    elif get_origin(hint) is Literal:
        yield from get_args(hint)
    elif get_origin(hint) in (Union, UnionType):
        for part in get_args(hint):
            yield from _choices(part)
    else:
        yield hint
