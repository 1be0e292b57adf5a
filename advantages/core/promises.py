"""What an estimator promises beyond what all of them do."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Any, NamedTuple

from .naming import nearest
from .objectives import MEAN, Objective

__all__ = ["Bound", "Promises"]


@dataclass(frozen=True)
class Bound:
    """A number that depends on n, the scored responses in a group, and the formula to print.

    >>> from advantages import Bound
    >>> bound = Bound("(n - 1)/n", lambda n: (n - 1) / n)
    >>> str(bound), bound(4)
    ('(n - 1)/n', 0.75)
    """

    formula: str
    value: Callable[[int], float]

    def __call__(self, n: int) -> float:
        return self.value(n)

    def __str__(self) -> str:
        return self.formula


class _Fields(NamedTuple):
    spans_batch: bool = False
    """Statistics are formed over the whole batch, so that other groups and other responses matter."""
    zero_sum: bool = False
    """The advantages of a group sum to zero."""
    shift_invariant: bool = False
    """A constant added to all rewards of a group changes nothing."""
    scale: str | None = None
    """ "equivariant": rewards times c > 0 give advantages times c; "invariant": they change nothing."""
    monotone: bool = False
    """Within a group, a higher reward never has a lower advantage."""
    bound: Callable[[int], float] | None = None
    """The largest size of an advantage in a group of n, whatever the rewards."""
    gap_bound: Callable[[int], float] | None = None
    """The same, in units of the gap between the group's highest and lowest reward."""
    unbiased: Callable[[int], float] | None = None
    """The mean of A * grad log pi over groups of n is this factor times the gradient of the objective."""
    objective: Objective = MEAN
    """What it is made to climb, whether or not it does so without bias."""
    equals_get_zero: bool = True
    """A group of equal rewards gets exactly zero; what all estimators promise, but those that push such groups."""


class Promises(_Fields):
    """What an estimator promises beyond what all of them do; each promise is tested, and shown in the documentation.

    In a promise about groups, n is the number of scored responses in the group.
    """

    __slots__ = ()

    if not TYPE_CHECKING:  # type checkers read the fields

        def __new__(cls, *args: Any, **kwargs: Any) -> "Promises":
            for name in kwargs:
                if name not in cls._fields:
                    raise TypeError(f"Promises: there is no promise {name!r}; {_nearest(name, cls._fields)}")
            made = super().__new__(cls, *args, **kwargs)
            made._check()
            return made

    def _check(self) -> None:
        """Refuse values that no test could mean anything by."""
        for name, value in self._asdict().items():
            if name == "scale":
                if value is not None and value not in _SCALES:
                    raise ValueError(f"Promises: scale is {value!r}; {_nearest(value, _SCALES)}")
            elif name == "objective":
                if not isinstance(value, Objective):
                    raise TypeError(
                        f"Promises: objective is {value!r}; pass an Objective, such as Objective(formula, worth)"
                    )
            elif isinstance(_Fields._field_defaults[name], bool):
                if not isinstance(value, bool):
                    raise TypeError(f"Promises: {name} is {value!r}; pass True or False")
            elif value is not None:
                _check_function(name, value)


_SCALES = ("equivariant", "invariant")


def _nearest(name: object, names: tuple[str, ...]) -> str:
    near = nearest(str(name), names, 0.3)
    return f"pass one of {', '.join(names)}" + (f"; the nearest is {near}" if near else "")


def _check_function(name: str, function: Any) -> None:
    """A function of the group's size, tried on a pair."""
    advice = f"pass a function of the group's size n, such as {name}=lambda n: (n - 1) / n"
    if not callable(function):
        constant = "1.0" if function is True else repr(function)
        if isinstance(function, (bool, int, float)) and function is not False:
            advice = f"pass a function of the group's size n: {name}=lambda n: {constant}, if it is that for every n"
        raise TypeError(f"Promises: {name} is {function!r}; {advice}")
    try:
        value: Any = function(2)
    except Exception as error:
        raise TypeError(f"Promises: {name} cannot be called with n = 2 ({error}); {advice}") from None
    if isinstance(value, bool) or not hasattr(value, "__float__") or isnan(float(value)):
        raise TypeError(f"Promises: {name} gives {value!r} for n = 2, which is no number; {advice}")
