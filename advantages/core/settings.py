"""The values that a setting may have, read once from its type hint: one validator for all who have settings.

An estimator's, a stage's and a reward's settings, those of a run and of an evaluation are hinted with the same words
(`Positive`, `Count`, `Literal[...]`), are checked by the same `Setting`, and are spoken of in the same sentence.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from math import inf
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from ..backends import backend_of, library_of

__all__ = [
    "Count",
    "Finite",
    "FiniteNonNegative",
    "FinitePositive",
    "Fraction",
    "MinScored",
    "NonNegative",
    "Positive",
    "Range",
    "Setting",
    "Text",
    "Whole",
    "check_arguments",
    "check_fields",
    "option",
    "settings_of",
]


class Range(NamedTuple):
    """The numbers that a setting may have; the test kit draws from it and the check refuses the rest.

    >>> str(Range(0.0, float("inf"), finite=True)), str(Range(1, 1000, whole=True))
    ('a finite number of at least 0', 'a whole number between 1 and 1000')
    """

    low: float
    high: float
    low_excluded: bool = False
    whole: bool = False
    finite: bool = False
    """Whether infinity is refused where a bound is infinite."""
    rounding: float = 0.0
    """How far beyond its bounds rounding may have brought a number."""

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int if self.whole else (int, float)) or isinstance(value, bool):
            return False
        if self.finite and not -inf < value < inf:
            return False
        return (value > self.low if self.low_excluded else value >= self.low) and value <= self.high

    @property
    def bounded(self) -> bool:
        """Whether there are numbers that it lacks."""
        return self.whole or not self.spans(-inf, inf)

    def outside(self, x: Any) -> Any:
        """Where an array has other numbers, rounding apart."""
        outside = (x < self.low - self.rounding) | (x > self.high + self.rounding)
        return outside | (x % 1 != 0) if self.whole else outside

    def spans(self, low: float, high: float) -> bool:
        """Whether no number from `low` to `high` is outside."""
        return low >= self.low - self.rounding and high <= self.high + self.rounding

    def __str__(self) -> str:
        number = "a whole number" if self.whole else "a finite number" if self.finite else "a number"
        if self.low == -inf:
            return number if self.high == inf else f"{number} of at most {self.high:g}"
        if self.high == inf:
            return f"{number} {'above' if self.low_excluded else 'of at least'} {self.low:g}"
        if self.low_excluded:
            return f"{number} above {self.low:g} and of at most {self.high:g}"
        return f"{number} between {self.low:g} and {self.high:g}"


class _NotEmpty:
    def __contains__(self, value: object) -> bool:
        return isinstance(value, str) and value != ""

    def __str__(self) -> str:
        return "a string with something in it"


Positive = Annotated[float, Range(0.0, inf, low_excluded=True)]
NonNegative = Annotated[float, Range(0.0, inf)]
Fraction = Annotated[float, Range(0.0, 1.0)]
Finite = Annotated[float, Range(-inf, inf, finite=True)]
FinitePositive = Annotated[float, Range(0.0, inf, low_excluded=True, finite=True)]
FiniteNonNegative = Annotated[float, Range(0.0, inf, finite=True)]
Whole = Annotated[int, Range(0, inf, whole=True)]
"""A whole number from 0 on."""
Count = Annotated[int, Range(1, inf, whole=True)]
"""A whole number from 1 on."""
MinScored = Annotated[int, Range(2, inf, whole=True)]
Text = Annotated[str, _NotEmpty()]
"""A string with something in it."""


class Setting:
    """The values that a setting may have, read once from its type hint.

    `Literal` words, numbers in a `Range`, `Text`, plain `bool`, `int`, `float` and `str`, mappings by name and tuples
    of any length are checked; a hint of which a part says nothing checkable lets everything pass.

    Attributes:
        literals: the words and numbers that are allowed as they stand.
        ranges: ranges of numbers, any of which will do.
        texts: not empty where the setting may be a string with something in it.
        types: of bool, int, float and str those that are allowed whatever the value.
        values: of a mapping by name, what its values may be; None where it may be no mapping.
        items: of a tuple, what its items may be; None where it may be no tuple.
        optional: whether it may be None.
        open: whether everything passes.
        expected: what to pass, in words.

    >>> Setting(Positive | Literal["auto"]).check("lampo", "temperature", -1.0)
    Traceback (most recent call last):
    ValueError: lampo: temperature is -1.0; pass "auto" or a number above 0
    """

    def __init__(self, hint: Any) -> None:
        choices = list(_choices(hint))
        self.literals = [choice for choice in choices if isinstance(choice, (str, int, float))]
        self.ranges = [choice for choice in choices if isinstance(choice, Range)]
        self.texts = [choice for choice in choices if isinstance(choice, _NotEmpty)]
        self.types = tuple(choice for choice in choices if choice in (bool, int, float, str))
        self.optional = type(None) in choices
        mappings = [get_args(choice)[1] for choice in choices if _is_mapping(choice)]
        tuples = [get_args(choice)[0] for choice in choices if _is_tuple(choice)]
        self.values = Setting(mappings[0]) if mappings else None
        self.items = Setting(tuples[0]) if tuples else None
        known = len([*self.literals, *self.ranges, *self.texts, *self.types, *mappings, *tuples])
        self.open = known == 0 or known + self.optional < len(choices)
        words = all(isinstance(word, str) for word in self.literals) and known == len(self.literals) > 1
        self.expected = " or ".join(
            [
                *["None"] * self.optional,
                *([f"one of {', '.join(map(str, self.literals))}"] if words else map(_quoted, self.literals)),
                *map(str, (*self.ranges, *self.texts)),
                *(_NAMES[cls] for cls in self.types),
                *["a mapping whose keys are names"] * bool(mappings),
                *["a tuple"] * bool(tuples),
            ]
        )

    @property
    def numbers(self) -> list[type[int] | type[float]]:
        """The kinds of numbers that are allowed: int, float, or both."""
        whole = int in self.types or any(allowed.whole for allowed in self.ranges)
        broken = float in self.types or any(not allowed.whole for allowed in self.ranges)
        return [int] * whole + [float] * broken

    def check(self, who: str, name: str, value: Any) -> None:
        """Let a fitting value pass; a number may also be a 0-d array, such as a tracer of JAX in a sweep.

        The range of an array is checked where its value is at hand.

        Raises:
            TypeError: the value has the wrong type.
            ValueError: the value is out of range.
        """
        if (self.ranges or float in self.types) and getattr(value, "shape", None) == () and library_of(value):
            if not backend_of(value).on_host(value):  # its value cannot be read without waiting for it
                return
            array: Any = value
            value = array.item()
        self.check_plain(who, name, value)

    def check_plain(self, who: str, name: str, value: Any) -> None:
        """The same for what ends in a file: a number is one of Python's own."""
        if self.open or (value is None and self.optional):
            return
        if self.values is not None and isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            for key, x in value.items():
                self.values.check_plain(who, f"{name}[{key!r}]", x)
            return
        if self.items is not None and isinstance(value, tuple):
            for k, x in enumerate(value):
                self.items.check_plain(who, f"{name}[{k}]", x)
            return
        if any(type(value) is type(word) and value == word for word in self.literals):
            return
        if any(value in allowed for allowed in self.ranges) or any(value in allowed for allowed in self.texts):
            return
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if number and (float in self.types or (int in self.types and isinstance(value, int))):
            return
        if (bool in self.types and isinstance(value, bool)) or (str in self.types and isinstance(value, str)):
            return
        found = "empty" if value == "" and isinstance(value, str) else f"{value!r:.60}"
        sentence = f"{who}: " * bool(who) + f"{name} is {found}; pass {self.expected}"
        alike = (number and self.ranges) or (isinstance(value, str) and self.texts)
        if alike or any(type(value) is type(word) for word in self.literals):
            raise ValueError(sentence)
        raise TypeError(sentence)


def check_fields(instance: Any, who: str = "") -> None:
    """Let a dataclass pass whose fields are what their type hints say.

    Args:
        instance: of the dataclass, whose `__post_init__` asks.
        who: whose settings they are, for the message; without it, the message begins with the field's name.

    Raises:
        TypeError: a field has the wrong type.
        ValueError: a field is out of range.

    >>> @dataclasses.dataclass
    ... class Judge:
    ...     votes: Count = 3
    ...     def __post_init__(self):
    ...         check_fields(self, "judge")
    >>> Judge(votes=0)
    Traceback (most recent call last):
    ValueError: judge: votes is 0; pass a whole number of at least 1
    """
    cls: Any = type(instance)
    settings = settings_of(cls)
    for field in dataclasses.fields(instance):
        settings[field.name].check_plain(who, field.name, getattr(instance, field.name))


def check_arguments(who: str, function: Callable[..., Any], **values: Any) -> None:
    """Let arguments pass that are what the function's type hints say.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.
    """
    settings = settings_of(function)
    for name, value in values.items():
        settings[name].check_plain(who, name, value)


@functools.cache
def settings_of(owner: Any) -> dict[str, Setting]:
    """What the fields of a class, or the arguments of a function, may be, by name."""
    return {name: Setting(hint) for name, hint in get_type_hints(owner, include_extras=True).items()}


def option(default: Any, meaning: str, *, group: str = "", form: str = "") -> Any:
    """A dataclass's field that is an option of a command, too.

    Args:
        default: `dataclasses.MISSING` for none; of a mapping, each instance gets a copy.
        meaning: for its help and for reports.
        group: of options, that it stands in.
        form: of a mapping, what an entry looks like: "name=weight, such as exact=1".
    """
    facts = {"meaning": meaning, "group": group, "form": form}
    if isinstance(default, Mapping):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=facts)
    return dataclasses.field(default=default, metadata=facts)


_NAMES: dict[Any, str] = {bool: "True or False", int: "a whole number", float: "a number", str: "a string"}


def _quoted(word: object) -> str:
    return f'"{word}"' if isinstance(word, str) else str(word)


def _is_mapping(hint: Any) -> bool:
    return get_origin(hint) in (Mapping, dict) and get_args(hint)[0] is str


def _is_tuple(hint: Any) -> bool:
    return get_origin(hint) is tuple and get_args(hint)[1:] == (Ellipsis,)


def _choices(hint: Any) -> Iterable[Any]:
    """What a hint allows: `Literal["auto"] | Positive` gives "auto" and a range."""
    if hasattr(hint, "__metadata__"):
        checkable = [part for part in hint.__metadata__ if isinstance(part, (Range, _NotEmpty))]
        yield from checkable or _choices(hint.__origin__)
    elif get_origin(hint) is Literal:
        yield from (type(None) if word is None else word for word in get_args(hint))
    elif get_origin(hint) in (Union, UnionType):
        for part in get_args(hint):
            yield from _choices(part)
    else:
        yield hint
