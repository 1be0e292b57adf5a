"""Border checks: what is wrong with a call, said in one sentence, before anything is computed.

Only libraries, devices, shapes, dtypes and settings are looked at, so the checks cost nothing on an accelerator and
hold while a compiler traces the call. Every message reads `{who}: {what was found}; {what to do}`.
"""

from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from ..backends import backend_of, library_of
from .groups import Groups
from .types import Range
from .vocabulary import INPUTS

__all__ = ["Setting", "check_arrays", "check_ids"]

_KINDS = {
    "real": ("fiub", "numbers"),
    "count": ("iuf", "counts"),
    "flag": ("biu", "booleans, or integers that are 0 or 1"),
}
_SHAPES: dict[str, tuple[tuple[str, ...], ...]] = {}


def check_arrays(
    who: str, arrays: Mapping[str, Any], shapes: Mapping[str, tuple[tuple[str, ...], ...]] = _SHAPES
) -> dict[str, int]:
    """Check named arrays against each other and the vocabulary; sizes of the dimensions they share.

    Args:
        who: whose call it is, for the message.
        arrays: by input name; None stands for an input that was not passed.
        shapes: for a name that the vocabulary lacks, or that may have another shape here, the shapes it may have.

    Raises:
        TypeError: an array is none, its dtype does not fit, or arrays come from two libraries.
        ValueError: shapes or devices do not fit together.
    """
    sizes: dict[str, int] = {}
    owner: dict[str, str] = {}
    first: tuple[str, str | None, Any] | None = None
    for name, x in arrays.items():
        if x is None:
            continue
        library = library_of(x)
        if library is None:
            raise TypeError(f"{who}: {name} is a {type(x).__name__}; pass a numpy, torch or JAX array")
        backend = backend_of(x)
        device = backend.device(x)
        if first is None:
            first = (name, library, device)
        elif library != first[1]:
            raise TypeError(f"{who}: {first[0]} is a {first[1]} array but {name} a {library} array; pass one library")
        elif device != first[2]:
            raise ValueError(f"{who}: {first[0]} is on {first[2]} but {name} on {device}; move them to the same device")
        word = INPUTS.get(name)
        allowed, expected = _KINDS[word.kind if word else "real"]
        if backend.kind(x) not in allowed:
            raise TypeError(f"{who}: {name} has dtype {x.dtype}; pass {expected}")
        options = shapes.get(name) or ((word.shape,) if word else (("N", "T"),))
        _match(who, name, tuple(x.shape), options, sizes, owner)
    return sizes


def _match(
    who: str,
    name: str,
    shape: tuple[int, ...],
    options: Iterable[tuple[str, ...]],
    sizes: dict[str, int],
    owner: dict[str, str],
) -> None:
    dims = next((dims for dims in options if len(dims) == len(shape)), None)
    each = INPUTS[name].each if name in INPUTS else "one number each"
    if dims is None:
        expected = " or ".join(_shape(dims) for dims in options)
        raise ValueError(f"{who}: {name} has shape {shape}, not {expected}; pass {each}")
    for dim, size in zip(dims, shape, strict=True):
        if sizes.setdefault(dim, size) != size:
            what = {"N": "rows", "T": "tokens", "K": "components"}[dim]
            raise ValueError(f"{who}: {owner[dim]} has {sizes[dim]} {what} but {name} has {size}; pass {each}")
        owner.setdefault(dim, name)


def _shape(dims: tuple[str, ...]) -> str:
    return f"({', '.join(dims)}{',' if len(dims) == 1 else ''})"


def check_ids(who: str, name: str, ids: Any, rows: int, lead: tuple[str, Any]) -> Groups:
    """Make `Groups` of `ids`, or take them as they are, and check that they fit `rows` rows of the array `lead`."""
    lead_name, x = lead
    try:
        groups = ids if isinstance(ids, Groups) else Groups(ids)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{who}: {name}: {error}") from None
    if len(groups) != rows:
        raise ValueError(f"{who}: {lead_name} has {rows} rows but {name} has {len(groups)}; pass {INPUTS[name].each}")
    if not groups.on_host:
        device, other = backend_of(x).device(x), backend_of(groups.slots).device(groups.slots)
        if library_of(groups.slots) != library_of(x):
            raise TypeError(
                f"{who}: {lead_name} is a {library_of(x)} array but {name} a {library_of(groups.slots)} array; "
                "pass one library, or ids as a list"
            )
        if device != other:
            raise ValueError(
                f"{who}: {lead_name} is on {device} but {name} on {other}; "
                "move them to the same device, or pass ids as a list"
            )
    return groups


class Setting:
    """The values that a setting may have, read once from its type hint.

    `Literal` words, numbers in a `Range`, and plain `bool`, `int` and `float` are checked; a hint that says nothing
    checkable lets everything pass.

    >>> from advantages.core.types import Positive
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
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if any(type(value) is type(word) and value == word for word in self.literals):
            return
        if any(value in allowed for allowed in self.ranges):
            return
        if bool in self.types and isinstance(value, bool):
            return
        if number and (float in self.types or (int in self.types and isinstance(value, int))):
            return
        right_type = (number and self.ranges) or any(type(value) is type(word) for word in self.literals)
        if right_type:
            raise ValueError(f"{who}: {name} is {value!r}; pass {self.expected}")
        raise TypeError(f"{who}: {name} is a {type(value).__name__}; pass {self.expected}")


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
