"""Estimators over trees of responses, beside the authors' own ways to compute them, restated in loops over paths."""

import numpy as np
import pytest

from advantages import dr_grpo, grpo, treepo, treerl, vineppo
from advantages.ops import node_values

SEEDS = pytest.mark.parametrize("seed", range(20))


def close(found, expected, **options):
    np.testing.assert_allclose(found, expected, **{"rtol": 1e-6, "atol": 1e-9} | options)


def grown(seed, depth=3):
    """Some trees: each response's path of node names, and its tokens, one to two for each node, with holes behind."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(3), rng.integers(1, 7, 3))
    paths = [[f"{k}:{rng.integers(3)}" for k in range(rng.integers(1, depth + 1))] for _ in groups]
    counts = rng.integers(1, 3, depth)  # a shared segment is as long in all that share it
    tokens = [[node for k, node in enumerate(path) for _ in range(counts[k])] for path in paths]
    width = max(map(len, tokens)) + 1
    nodes = np.array([row + ["-"] * (width - len(row)) for row in tokens])
    mask = nodes != "-"
    nodes[:, -1] = [row[-1] for row in tokens]  # a node's name on a masked token means nothing
    rewards = rng.integers(0, 2, len(groups)) * 1.0
    return rewards, groups, [(g, *path) for g, path in zip(groups.tolist(), paths, strict=True)], nodes, mask


def below(prefix, paths):
    return [i for i, path in enumerate(paths) if path[: len(prefix)] == prefix]


@SEEDS
def test_treepo_as_its_authors_train(seed):
    """Their script has adv_estimator=tree_reinforce_plus_plus_baseline with adv_weight_strategy="average"."""
    rewards, groups, paths, nodes, mask = grown(seed)
    turns, above = nodes.copy(), []
    for i, path in enumerate(paths):
        parts = []
        for k in range(1, len(path)):
            subgroup = below(path[:k], paths)
            if len(subgroup) > 1 or k == 1:
                parts.append(rewards[i] - rewards[subgroup].mean())
            else:  # alone: no subgroup
                turns[i][nodes[i] == path[k]] = turns[i][nodes[i] == path[k - 1]][0]
        above.append(np.mean(parts))
    rows = np.where(mask, np.array(above)[:, None], 0.0)
    white = np.where(mask, (rows - rows[mask].mean()) / np.sqrt(rows[mask].var(ddof=1) + 1e-8), 0.0)
    values = node_values(rewards, groups, nodes, mask)
    close(treepo(rewards, values, mask, turns, center=True, epsilon=0.0), white, rtol=1e-4, atol=1e-6)
    close(treepo(rewards, values, mask, turns, epsilon=0.0), rows / (rows[mask].std(ddof=1) or 1.0))


@SEEDS
def test_treepo_gives_all_tokens_what_treerl_gives_the_last_step(seed):
    rewards, groups, _, nodes, mask = grown(seed)
    values = node_values(rewards, groups, nodes, mask)
    ends = mask.cumsum(1).argmax(1)
    outcomes = np.zeros(mask.shape)
    outcomes[np.arange(len(mask)), ends] = rewards
    last = treerl(outcomes, values, mask, nodes)[np.arange(len(mask)), ends]
    deviation = np.repeat(last, mask.sum(1)).std(ddof=1)
    if deviation > 1e-9:
        close(treepo(rewards, values, mask, nodes, epsilon=0.0)[mask], np.repeat(last / deviation, mask.sum(1)))


@SEEDS
@pytest.mark.parametrize("average", ["leaves", "children"])
def test_a_node_is_worth_what_is_below_it(seed, average):
    rewards, groups, paths, nodes, mask = grown(seed)

    def worth(prefix):
        rows = below(prefix, paths)
        ends = [rewards[i] for i in rows if paths[i] == prefix]
        if average == "leaves":
            return rewards[rows].mean()
        children = {paths[i][: len(prefix) + 1] for i in rows if len(paths[i]) > len(prefix)}
        return np.mean([*ends, *map(worth, children)])

    values = node_values(rewards, groups, nodes, mask, average=average)
    for i, path in enumerate(paths):
        for k in range(1, len(path)):
            close(values[i][mask[i] & (nodes[i] == path[k])], worth(path[:k]))
    assert not values[~mask].any()


@SEEDS
def test_spos_tree_is_grpo_over_segments(seed):
    """SPO trains on each segment once: a row is a segment, its reward its node's value, its group its parent."""
    rewards, _, paths, _, _ = grown(seed)
    leaves = {path: rewards[i] for i, path in enumerate(paths)}  # one response to a leaf, as SPO samples them

    def worth(node):
        children = {path[: len(node) + 1] for path in leaves if path[: len(node)] == node and len(path) > len(node)}
        return np.mean([worth(child) for child in children]) if children else leaves[node]

    segments = sorted({path[: k + 1] for path in leaves for k in range(1, len(path))})
    parents, value = [node[:-1] for node in segments], np.array([worth(node) for node in segments])
    gain = np.array([x - worth(parent) for x, parent in zip(value, parents, strict=True)])
    siblings = [[x for x, other in zip(value, parents, strict=True) if other == parent] for parent in parents]
    close(dr_grpo(value, parents), gain)
    close(
        grpo(value, parents, ddof=0, epsilon=1e-8), gain / (np.array([np.std(x) for x in siblings]) + 1e-8), atol=1e-6
    )


@pytest.mark.parametrize("library", ["numpy", "torch", "jax.numpy"])
def test_node_values_in_every_library(library):
    make = pytest.importorskip(library).asarray
    rewards, mask = np.array([1.0, np.nan, 0.0, 1.0], np.float32), np.ones((4, 2), bool)
    nodes = np.array([[0, 1], [0, 2], [0, 3], [5, 6]])
    found = node_values(make(rewards), ["a"] * 4, make(nodes), make(mask))
    assert type(found) is type(make(rewards))
    assert found.dtype == make(rewards).dtype
    close(np.asarray(found), [[2 / 3, 1 / 2]] * 3 + [[2 / 3, 1.0]])


def test_what_nodes_of_equals_and_of_other_batches_are_worth():
    nodes, mask = np.array([[0, 1], [0, 2], [0, 3], [5, 6]]), np.ones((4, 2), bool)
    equal = np.full(3, 0.1)
    values = node_values(equal, 3, nodes[:3], mask[:3])
    assert not treepo(equal, values, mask[:3], nodes[:3], epsilon=0.0).any()
    assert not vineppo(np.array([[0, 0.1]] * 3), values, mask[:3], nodes[:3]).any()
    with pytest.raises(
        ValueError, match=r"node_values: rewards has 4 rows, groups 4, and nodes .* \(3, 2\) and \(4, 2\)"
    ):
        node_values(np.ones(4), ["a"] * 4, nodes[:3], mask)
