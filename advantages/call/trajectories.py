"""Agent rollouts that became several rows: they count once, and all their rows get what the rollout gets."""

from typing import Any

import numpy as np

from ..backends import Backend
from ..core.definition import Definition
from ..core.groups import Groups
from ..core.vocabulary import INPUTS
from ..ops.elementwise import where
from ..ops.groupwise import group_sum
from .rows import rows_estimated

__all__ = ["check_nested", "last_rows", "long_rows"]


def _latest(backend: Backend, inputs: dict[str, Any], trajectories: Groups, lead: Any) -> Any:
    """Per slot, the number of the last valid row of a trajectory, or -1."""
    numbers = backend.wide(backend.arange(lead.shape[0], lead))
    numbers = where(inputs.get("valid"), numbers, -1.0)
    latest = backend.segment("max", numbers, trajectories.slots_like(lead), trajectories.count)
    return backend.index(backend.xp.clip(latest, -1.0, None))


def check_nested(d: Definition, ids: dict[str, Any], trajectories: Groups) -> None:
    """Refuse a trajectory that lies in two groups, where that can be seen without waiting."""
    groups = ids.get("groups")
    if groups is None or not groups.on_host or not trajectories.on_host:
        return
    group_of = np.zeros(trajectories.count, np.intp)
    group_of[trajectories.slots] = groups.slots
    strays = np.flatnonzero(group_of[trajectories.slots] != groups.slots)
    if len(strays):
        raise ValueError(
            f"{d.name}: the trajectory of row {strays[0]} lies in two groups; give each rollout an id of its own"
        )


def last_rows(
    d: Definition,
    backend: Backend,
    inputs: dict[str, Any],
    ids: dict[str, Any],
    trajectories: Groups,
    settings: dict[str, Any],
) -> Any:
    """Let each trajectory's last valid row stand for it, and give its advantage to all its valid rows."""
    check_nested(d, ids, trajectories)
    lead = inputs[d.lead]
    latest = _latest(backend, inputs, trajectories, lead)[trajectories.slots_like(lead)]
    stands = latest == backend.arange(lead.shape[0], lead)
    valid = inputs.get("valid")
    rollouts = trajectories if valid is None else trajectories.where(valid)
    whole = {name: group_sum(x, rollouts) if INPUTS[name].of_trajectory == "sum" else x for name, x in inputs.items()}
    whole[d.lead] = lead
    result = rows_estimated(d, backend, {**whole, "valid": stands}, ids, settings)
    return where(valid, result[backend.xp.clip(latest, 0, None)], 0.0)


def long_rows(
    d: Definition,
    backend: Backend,
    inputs: dict[str, Any],
    ids: dict[str, Any],
    trajectories: Groups,
    settings: dict[str, Any],
) -> Any:
    """Lay the rows of a trajectory end to end, in their order, as the one long response that they are."""
    check_nested(d, ids, trajectories)
    if not trajectories.on_host:
        raise ValueError(
            f"{d.name}: trajectories are on an accelerator or inside a compiled function, where their sizes are "
            "unknown; pass ids as a list, or Groups made from one"
        )
    lead = inputs[d.lead]
    members = trajectories.members
    place = np.empty_like(members.order)
    place[members.order] = np.arange(len(place)) - members.starts[trajectories.slots[members.order]]
    table = np.full((trajectories.count, members.sizes.max()), -1)
    table[trajectories.slots, place] = np.arange(len(place))

    valid = inputs.get("valid")
    index = backend.from_numpy(table, lead)
    present = index >= 0 if valid is None else (index >= 0) & valid[index]
    latest = _latest(backend, inputs, trajectories, lead)
    stand = backend.xp.clip(latest, 0, None)

    def joined(name: str, x: Any) -> Any:
        if INPUTS[name].per_token:
            nothing = False if backend.kind(x) == "b" else 0
            return backend.xp.where(present[:, :, None], x[index], nothing).reshape(table.shape[0], -1)
        if INPUTS[name].of_trajectory == "sum":
            x = group_sum(x, trajectories if valid is None else trajectories.where(valid))
        return x[stand]

    long = {name: joined(name, x) for name, x in inputs.items()}
    long["valid"] = latest >= 0
    of_rows = {}
    for name, x in ids.items():
        if isinstance(x, Groups):
            of_rows[name] = Groups(x.slots[table[:, 0]] if x.on_host else x.slots[index[:, 0]])
        else:
            of_rows[name] = joined(name, x)
    result = rows_estimated(d, backend, long, of_rows, settings).reshape(*table.shape, -1)
    return result[trajectories.slots_like(lead), backend.from_numpy(place, lead)]
