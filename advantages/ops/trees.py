"""Values of the nodes of a tree of responses, on the host."""

from collections import defaultdict
from collections.abc import Hashable
from typing import Any, Literal

import numpy as np

from ..backends import backend_of
from ..core.types import A, Array, Ids, Vector
from .groupwise import made_groups

__all__ = ["node_values"]

Path = tuple[Hashable, ...]


def node_values(
    rewards: A, groups: Ids, nodes: Any, mask: Array, *, average: Literal["leaves", "children"] = "leaves"
) -> A:
    """(N, T) at each trained token, the value of the node of a tree where the token's step begins.

    It is what `treepo`, `treerl` and `vineppo` take for `values`, with `nodes` for `turns`. Responses of one group
    that begin with the same nodes share them, and a node is worth the mean of the rewards below it; the root is shared
    by the whole group. Equal rewards are worth exactly that. A reward that is not finite
    enters no mean; a node with none below is NaN, and its responses are not scored.

    Args:
        rewards: (N,) outcome reward of each response, a leaf of the tree.
        groups: (N,) ids, equal where responses answer the same prompt.
        nodes: (N, T) ids, the node that a token belongs to; a node is one run of tokens.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        average: over the "leaves" below a node, as TreePO and TreeRL have it, or over its "children", each worth the
            mean of its own, as SPO has it.

    Raises:
        ValueError: arrays do not fit together.

    >>> rewards, mask = np.array([1.0, 0.0, 0.0]), np.ones((3, 2), bool)
    >>> node_values(rewards, ["a"] * 3, [["x", "y"], ["x", "z"], ["w", "v"]], mask).round(3)
    array([[0.333, 0.5  ],
           [0.333, 0.5  ],
           [0.333, 0.   ]])
    """
    backend = backend_of(rewards)
    r: Vector = backend.to_numpy(rewards).astype(np.float64)
    on = backend_of(mask).to_numpy(mask) != 0
    names = np.array(nodes, object) if isinstance(nodes, list) else backend_of(nodes).to_numpy(nodes)
    prompts = made_groups(groups, len(r)).slots.tolist()
    if not len(r) == len(prompts) == len(on) or names.shape != on.shape:
        raise ValueError(
            f"node_values: rewards has {len(r)} rows, groups {len(prompts)}, and nodes and mask have shapes "
            f"{names.shape} and {on.shape}; pass one reward and one group per row, and one node per row and token"
        )
    paths = [
        (prompt, *dict.fromkeys(row[there].tolist())) for prompt, row, there in zip(prompts, names, on, strict=True)
    ]
    worth = _over_leaves(r, paths) if average == "leaves" else _over_children(r, paths)
    values = np.zeros(on.shape)
    for i, path in enumerate(paths):
        for k, node in enumerate(path[1:]):
            values[i, on[i] & (names[i] == node)] = worth[path[: k + 1]]
    made: A = backend.cast(backend.from_numpy(values, rewards), backend.result_dtype(rewards))
    return made


def _over_leaves(r: Vector, paths: list[Path]) -> dict[Path, float]:
    below: dict[Path, list[float]] = defaultdict(list)
    for reward, path in zip(r.tolist(), paths, strict=True):
        for k in range(len(path)):
            below[path[: k + 1]].append(reward)
    return {path: _mean(some) for path, some in below.items()}


def _over_children(r: Vector, paths: list[Path]) -> dict[Path, float]:
    below: dict[Path, list[float]] = defaultdict(list)
    for reward, path in zip(r.tolist(), paths, strict=True):
        below[path].append(reward)
    worth: dict[Path, float] = {}
    nodes = {path[: k + 1] for path in paths for k in range(len(path))}
    for path in sorted(nodes, key=len, reverse=True):
        worth[path] = _mean(below[path])
        below[path[:-1]].append(worth[path])
    return worth


def _mean(rewards: list[float]) -> float:
    """Measured from the smallest, so that the mean of equal rewards is that reward; NaN without a finite one."""
    x = np.array([reward for reward in rewards if np.isfinite(reward)])
    return float(x.min() + (x - x.min()).mean()) if len(x) else float("nan")
