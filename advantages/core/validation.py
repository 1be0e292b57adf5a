"""Border checks: what is wrong with a call, said in one sentence, before anything is computed.

Only libraries, devices, shapes, dtypes and settings are looked at, so the checks cost nothing on an accelerator and
hold while a compiler traces the call. Every message reads `{who}: {what was found}; {what to do}`.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast, get_type_hints

import numpy as np

from ..backends import backend_of, library_of
from .groups import Groups
from .settings import Setting
from .vocabulary import INPUTS

__all__ = ["check_arrays", "check_cells", "check_ids", "checked"]

F = TypeVar("F", bound=Callable[..., Any])

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
    given = [(name, x) for name, x in arrays.items() if x is not None]
    if not given:
        return sizes
    lead = given[0]
    try:
        backend = backend_of(lead[1])
    except TypeError:
        raise TypeError(f"{who}: {lead[0]} is a {type(lead[1]).__name__}; pass a numpy, torch or JAX array") from None
    device = backend.device(lead[1])
    for name, x in given:
        if type(x) is not type(lead[1]):
            _check_library(who, name, x, lead)
        if backend.device(x) != device:
            raise ValueError(
                f"{who}: {lead[0]} is on {device} but {name} on {backend.device(x)}; move them to the same device"
            )
        word = INPUTS.get(name)
        allowed, expected = _KINDS[word.kind if word else "real"]
        if backend.kind(x) not in allowed:
            raise TypeError(f"{who}: {name} has dtype {x.dtype}; pass {expected}")
        options = shapes.get(name) or ((word.shape,) if word else (("N", "T"),))
        _match(who, name, tuple(x.shape), options, sizes, owner)
    return sizes


def _check_library(who: str, name: str, x: Any, lead: tuple[str, Any]) -> None:
    library, first = library_of(x), library_of(lead[1])
    if library is None:
        raise TypeError(f"{who}: {name} is a {type(x).__name__}; pass a numpy, torch or JAX array")
    if library != first:
        raise TypeError(f"{who}: {lead[0]} is a {first} array but {name} a {library} array; pass one library")


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
        of_components = " and component" if all("K" in dims for dims in options) else ""
        raise ValueError(f"{who}: {name} has shape {shape}, not {expected}; pass {each}{of_components}")
    for dim, size in zip(dims, shape, strict=True):
        if sizes.setdefault(dim, size) != size:
            what = {"N": "rows", "T": "tokens", "K": "components"}[dim]
            raise ValueError(f"{who}: {owner[dim]} has {sizes[dim]} {what} but {name} has {size}; pass {each}")
        owner.setdefault(dim, name)


def _shape(dims: tuple[str, ...]) -> str:
    return f"({', '.join(dims)}{',' if len(dims) == 1 else ''})"


def check_ids(who: str, name: str, ids: Any, rows: int, lead: tuple[str, Any]) -> Groups:
    """Make `Groups` of `ids`, or take them as they are, and check that they fit `rows` rows of the array `lead`.

    A whole number is the number of neighbouring rows that make up each group.
    """
    lead_name, x = lead
    try:
        if isinstance(ids, (int, np.integer)) and not isinstance(ids, bool):
            return Groups.of_size(int(ids), rows)
        groups = Groups.of(ids)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{who}: {name}: {error}") from None
    if len(groups) != rows:
        raise ValueError(f"{who}: {lead_name} has {rows} rows but {name} has {len(groups)}; pass {INPUTS[name].each}")
    if not groups.on_host:
        _check_beside(who, name, groups.slots, lead_name, x)
    return groups


def check_cells(who: str, name: str, ids: Any, shape: tuple[int, int], lead: tuple[str, Any]) -> Any:
    """Whole numbers for (N, T) ids, equal where the ids are, as an array of the library and device of `lead`."""
    lead_name, x = lead
    if library_of(ids) is None or (isinstance(ids, np.ndarray) and ids.dtype.kind not in "iu"):
        table = np.array(ids, object) if not isinstance(ids, np.ndarray) else ids.astype(object)
        if table.ndim != 2:
            raise ValueError(f"{who}: {name} has shape {table.shape}, not (N, T); pass {INPUTS[name].each}")
        try:
            ids = Groups(table.reshape(-1).tolist()).slots.reshape(table.shape)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{who}: {name}: {error}") from None
    backend = backend_of(ids)
    if backend.kind(ids) not in "iu":
        raise TypeError(f"{who}: {name} has dtype {ids.dtype}; ids are names: pass integers or strings")
    if tuple(ids.shape) != shape:
        raise ValueError(f"{who}: {name} has shape {tuple(ids.shape)}, not {shape}; pass {INPUTS[name].each}")
    if isinstance(ids, np.ndarray):
        return backend_of(x).from_numpy(ids, x)
    _check_beside(who, name, ids, lead_name, x)
    return ids


def _check_beside(who: str, name: str, ids: Any, lead_name: str, x: Any) -> None:
    device, other = backend_of(x).device(x), backend_of(ids).device(ids)
    if library_of(ids) != library_of(x):
        raise TypeError(
            f"{who}: {lead_name} is a {library_of(x)} array but {name} a {library_of(ids)} array; "
            "pass one library, or ids as a list"
        )
    if device != other:
        raise ValueError(
            f"{who}: {lead_name} is on {device} but {name} on {other}; "
            "move them to the same device, or pass ids as a list"
        )


def checked(**shapes: tuple[tuple[str, ...], ...]) -> Callable[[F], F]:
    """A face for a word of `ops`: its arrays and settings are checked, and masks of zeros and ones become booleans.

    Args:
        shapes: for each array that the function takes, the shapes that it may have.
    """

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        who = function.__name__
        hints = get_type_hints(function, include_extras=True)
        settings = {
            p.name: Setting(hints[p.name])
            for p in signature.parameters.values()
            if p.kind is p.KEYWORD_ONLY and p.name in hints
        }

        @functools.wraps(function)
        def face(*args: Any, **kwargs: Any) -> Any:
            call = signature.bind(*args, **kwargs)
            given = call.arguments
            for name, check in settings.items():
                if name in given:
                    check.check(who, name, given[name])
            arrays = {name: given.get(name) for name in shapes}
            ndim = len(getattr(next(iter(arrays.values())), "shape", ()))
            options = {name: tuple(dims for dims in may if len(dims) == ndim) or may for name, may in shapes.items()}
            check_arrays(who, arrays, options)
            for name, x in arrays.items():
                if x is not None and name in INPUTS and INPUTS[name].kind == "flag" and backend_of(x).kind(x) != "b":
                    given[name] = x != 0
            return function(*call.args, **call.kwargs)

        return cast(F, face)

    return decorate
