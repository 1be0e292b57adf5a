"""Which rows count, and what the function makes of them."""

from functools import reduce
from math import floor, inf, isfinite, log2
from operator import and_
from typing import Any

from ..backends import Backend
from ..core.definition import Definition
from ..core.groups import Groups
from ..core.vocabulary import INPUTS
from ..ops.elementwise import unless, where
from ..ops.groupwise import small_groups
from ..ops.refusals import check_range, few
from ..ops.tokens import carried_rewards
from ..ops.unseen import ORDINARY

__all__ = ["check_shape", "rows_estimated"]

Extents = dict[str, tuple[float, float]]


def rows_estimated(
    d: Definition, backend: Backend, inputs: dict[str, Any], ids: dict[str, Any], settings: dict[str, Any]
) -> Any:
    """Advantages in the dtype of the rewards."""
    extents = {
        name: _extent(d, backend, name, x)
        for name, x in inputs.items()
        if backend.kind(x) == "f" and backend.on_host(x)
    }
    scored, most = _scored(d, backend, inputs, extents, strict=settings["strict"])
    return _estimate(d, backend, inputs, extents, ids, scored, most, settings)


def _extent(d: Definition, backend: Backend, name: str, x: Any) -> tuple[float, float]:
    """What all numbers lie between: their norm, found in one pass, where no range is asked for and it is ordinary."""
    norm = inf if name in d.ranges else backend.norm(x)
    return (-norm, norm) if norm < ORDINARY else backend.extent(x)


def _estimate(
    d: Definition,
    backend: Backend,
    inputs: dict[str, Any],
    extents: Extents,
    ids: dict[str, Any],
    scored: Any,
    most: float | None,
    settings: dict[str, Any],
) -> Any:
    """The function on clean rows; what does not count goes in as zeros and comes out as zero."""
    lead = inputs[d.lead]
    clean: dict[str, Any] = dict.fromkeys(d.own_inputs)
    mask = inputs.get("mask")
    if mask is not None and scored is not None:
        mask = mask & scored[:, None]
    # A word that widens selects, too; where all rows count it gives what may be too large for what it was given.
    as_given = scored is not None and d.widens and backend.wide_dtype(lead) != lead.dtype
    groups = None
    for name, x in ids.items():
        if name not in d.own:
            continue
        if isinstance(x, Groups):
            clean[name] = groups = x if scored is None else x.where(scored).remembering()
        else:
            clean[name] = Groups.of_cells(x).where(None if mask is None else mask.reshape(-1))

    def kept(x: Any) -> Any:
        return where(scored, x, 0.0) if groups is None else unless(groups.unscored, x, 0.0)

    for name, x in inputs.items():
        if name not in clean:
            continue
        word = INPUTS[name]
        per_token = word.per_token
        if name == "mask":
            clean[name] = mask
        elif word.kind == "flag":
            clean[name] = where(mask if per_token else scored, x, False)
        elif per_token and d.selects:
            clean[name] = x
        elif name == "token_rewards" and mask is not None:
            clean[name] = carried_rewards(x, mask)
        elif per_token:
            clean[name] = where(mask, backend.working(x), 0.0)
        elif len(x.shape) == 2:  # components; each is scored or not on its own
            clean[name] = backend.wide(x)
        else:
            clean[name] = x if as_given else kept(backend.wide(x))
    if "valid" in d.own:
        clean["valid"] = scored

    for name, allowed in d.ranges.items():
        if INPUTS[name].kind != "flag" and clean.get(name) is not None:
            x = clean[name]
            if name in extents and not allowed.whole and allowed.spans(*extents[name]):
                continue
            if as_given or (d.selects and INPUTS[name].per_token):
                x = where(mask if INPUTS[name].per_token else scored, x, 0.0)
            check_range(d.name, name, x, allowed)
    shrink = None if as_given else _shrink(d, backend, inputs, clean, most)
    if shrink is not None:
        clean |= {name: x * shrink for name, x in clean.items() if x is not None and INPUTS[name].reward_unit}
    named = {name: clean[name] for name in d.by_name}
    for key in d.own_settings:
        named[key] = settings[key]
    result = d.function(*map(clean.__getitem__, d.positional), **named)
    check_shape(d, result, inputs["mask"].shape if d.per_token else lead.shape[:1])
    alone_get_zero = d.promises.zero_sum and settings["singleton"] == "zero" and settings["min_scored"] == 2
    if "groups" in ids and "singleton" not in d.own and not alone_get_zero:
        rewards = kept(clean["rewards"]) if as_given else clean["rewards"]
        result = small_groups(d.name, result, rewards, clean["groups"], settings["singleton"], settings["min_scored"])
    if shrink is not None and d.promises.scale == "equivariant":
        most_possible = backend.largest(result) * shrink  # what is too large becomes the largest there is
        result = backend.xp.clip(result, -most_possible, most_possible) / shrink
    bounded = d.promises.bound is not None or (most is not None and most < ORDINARY)
    result = backend.cast(result, backend.result_dtype(lead), bounded)
    if d.selects or as_given:
        return result
    return where(mask, result, 0.0) if d.per_token else kept(result)


def check_shape(d: Definition, result: Any, expected: tuple[int, ...]) -> None:
    """Refuse what a function returned, if it is not one advantage for each.

    Raises:
        ValueError: the result has another shape.
    """
    found = getattr(result, "shape", ())
    if found != expected and not (d.per_token and found == (expected[0], 1)):
        other = ' (declare unit="token" for one per token)' if not d.per_token and len(found) == 2 else ""
        raise ValueError(
            f"{d.name}: returned shape {found}; "
            f"its advantages must have shape {tuple(expected)}, one per {d.unit}{other}"
        )


def _shrink(d: Definition, backend: Backend, inputs: dict[str, Any], clean: dict[str, Any], most: float | None) -> Any:
    """A factor that keeps the squares of huge rewards finite, or None where none is needed.

    Numbers that were widened have the room already. For others the power of two is chosen on the host by looking,
    and in a compiled function within it, where that costs no pass of its own.
    """
    if most is not None and most < ORDINARY:
        return None
    if d.promises.scale is None and not d.by_component:  # components are normalised one by one
        return None
    words = [
        x
        for name, x in clean.items()
        if name in inputs
        and INPUTS[name].reward_unit
        and inputs[name].dtype == x.dtype
        and backend.kind(x) == "f"
        and 0 not in x.shape
    ]
    if not words or (most is None and not backend.traced(words[0])):
        return None
    if most is None and d.selects:
        if d.promises.scale == "equivariant":  # sums alone, no squares
            return None
        words = [where(clean["mask"], x, 0.0) for x in words]
    limit = max(map(backend.largest, words)) ** 0.4
    if most is not None:
        return None if most <= limit else 2.0 ** floor(log2(limit / most))
    xp = backend.xp
    top = xp.clip(sum(xp.clip(xp.maximum(x.max(), -x.min()) / limit, None, 1e30) for x in words), 1.0, None)
    return xp.exp2(-xp.ceil(xp.log2(top)))


def _scored(
    d: Definition, backend: Backend, inputs: dict[str, Any], extents: Extents, *, strict: bool
) -> tuple[Any, float | None]:
    """(N,) rows that count, or None where all are known to: valid, and every input finite.

    Also the size of the largest number that is measured in rewards, where it was looked at.
    """
    most = 0.0
    cells, numbers, found = [], [], []
    for name, x in inputs.items():
        if backend.kind(x) != "f":
            continue
        if name in extents:
            low, high = extents[name]
            if isfinite(low) and isfinite(high):
                if INPUTS[name].reward_unit:
                    most = max(most, -low, high)
                continue
        if INPUTS[name].reward_unit:
            most = float("nan")
        if len(x.shape) == 2 and INPUTS[name].per_token:
            cells.append(x)
        elif len(x.shape) == 2:
            found.append((backend.xp.abs(x) < inf).any(1))
        else:
            numbers.append(x)
    if numbers:
        found.append(backend.finite(numbers))
    if cells:
        found.append(backend.finite_rows(cells, inputs["mask"]))
    counted = inputs.get("valid")
    known = None if most != most else most
    if not found:
        return counted, known
    finite = reduce(and_, found)
    if strict:
        if backend.traced(finite):
            raise ValueError(
                f"{d.name}: strict=True reads values, which a compiled function has not yet; drop it there"
            )
        failed = ~finite if counted is None else ~finite & counted
        rows = [row for row, bad in enumerate(failed.tolist()) if bad]
        if rows:
            raise ValueError(
                f"{d.name}: rows {few(rows)} have a non-finite input; mend them, or pass strict=False to leave them out"
            )
    return (finite if counted is None else finite & counted), known
