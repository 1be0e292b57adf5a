"""The tree's expectations, against a sum over all sequences of draws and against finite differences."""

import itertools
from math import log

import numpy as np
import pytest

from advantages import Promises, estimator, gae, grpo, minillm, pkpo, reinforce_plus_plus, reward_to_go, rloo
from advantages.core import objectives
from advantages.core.definition import definition_of
from advantages.core.objectives import Answers
from advantages.lab.tree import Tree, updates
from advantages.testing import CHECKS, Subject, verdict_on

TREE = Tree(
    {(): (0.5, 0.3, 0.2), (0,): (0.8, 0.2), (2,): (0.4, 0.6)},
    {(0, 0): 0.25, (0, 1): -1.0, (1,): 0.5, (2, 0): 2.0, (2, 1): 0.0},
    {(): (0.2, 0.2, 0.6), (0,): (0.5, 0.5)},
)
LEAVES = list(TREE.rewards)


def chance(leaf, policy=TREE.policy):
    return np.prod([policy[leaf[:t]][token] for t, token in enumerate(leaf)])


def score(leaf, t):
    """(prefixes, tokens) gradient of the log-probability of one token by all logits."""
    made = np.zeros((3, 3))
    for place, (prefix, p) in enumerate(TREE.policy.items()):
        if prefix == leaf[:t] and t < len(leaf):
            made[place, : len(p)] = np.eye(len(p))[leaf[t]] - p
    return made


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("function", [rloo, grpo, reward_to_go, reinforce_plus_plus])
def test_expectations_are_those_over_all_sequences_of_draws(function, n):
    found = updates(function, TREE, n)
    mean, square = np.zeros((3, 3)), 0.0
    for drawn in itertools.product(LEAVES, repeat=n):
        r = np.array([TREE.rewards[leaf] for leaf in drawn])
        mask = np.array([[True, len(leaf) > 1] for leaf in drawn])
        last = np.array([len(leaf) - 1 for leaf in drawn])
        if definition_of(function).lead == "rewards":
            advantages = np.broadcast_to(function(r, n)[:, None], (n, 2))
        else:
            advantages = function(np.where(np.arange(2) == last[:, None], r[:, None], 0.0), mask)
        update = sum(advantages[i, t] * score(leaf, t) for i, leaf in enumerate(drawn) for t in (0, 1)) / n
        weight = np.prod([chance(leaf) for leaf in drawn])
        mean += weight * update
        square += weight * (update**2).sum()
    np.testing.assert_allclose(found.mean, mean, atol=1e-12)
    assert found.deviation == pytest.approx(np.sqrt(square - (mean**2).sum()))


def by_differences(value):
    """(prefixes, tokens) the gradient of a function of the answers' probabilities, by logit."""
    made, step = np.zeros((3, 3)), 1e-6
    for place, (prefix, p) in enumerate(TREE.policy.items()):
        for token in range(len(p)):
            at = []
            for sign in (1, -1):
                weights = np.array(p) * np.exp(sign * step * (np.arange(len(p)) == token))
                policy = {**TREE.policy, prefix: weights / weights.sum()}
                at.append(value(np.array([chance(leaf, policy) for leaf in LEAVES])))
            made[place, token] = (at[0] - at[1]) / (2 * step)
    return made


REWARDS = np.array([TREE.rewards[leaf] for leaf in LEAVES])
TEACHER = np.array([chance(leaf, {**TREE.teacher, (2,): (0.5, 0.5)}) for leaf in LEAVES])
RIGHT = (REWARDS > 0) * 1.0


def best_of(k):
    def value(p):
        return sum(max(REWARDS[list(some)]) * p[list(some)].prod() for some in itertools.product(range(5), repeat=k))

    return value


def jensen_shannon(p, beta=0.3):
    m = beta * TEACHER + (1 - beta) * p
    return p @ REWARDS - beta * TEACHER @ np.log(TEACHER / m) - (1 - beta) * p @ np.log(p / m)


VALUES = {
    "MEAN": ({}, lambda p: p @ REWARDS),
    "BEST_OF_K": ({"k": 3}, best_of(3)),
    "BEST_OF_GROUP": ({}, best_of(2)),
    "LIKELIHOOD": ({}, lambda p: log(p @ RIGHT)),
    "LIKELIHOOD_OF_ORDER": ({"order": 1}, lambda p: p @ RIGHT),
    "LIKELIHOOD_OF_GROUP": ({}, lambda p: -sum((1 - p @ RIGHT) ** k / k for k in (1, 2))),
    "ENTROPIC": ({"beta": 1.5}, lambda p: log(p @ np.exp(1.5 * REWARDS)) / 1.5),
    "DISTILLED": ({}, lambda p: p @ (REWARDS - np.log(p / TEACHER))),
    "MIXED": ({"beta": 0.3}, jensen_shannon),
}


def test_every_objective_is_here():
    assert {name for name in objectives.__all__ if name.isupper()} == set(VALUES)


@pytest.mark.parametrize("name", VALUES)
def test_worths_are_derivatives(name):
    settings, value = VALUES[name]

    @estimator()
    def nothing(rewards, *, k=0, order=0, beta=0.0):
        return 0.0 * rewards

    tree = TREE._replace(rewards=dict(zip(LEAVES, RIGHT.tolist(), strict=True))) if name.startswith("LIKE") else TREE
    found = updates(nothing, tree, 2, getattr(objectives, name), **settings)
    np.testing.assert_allclose(found.gradient, by_differences(value), atol=1e-8)
    assert not found.mean.any()
    assert found.deviation == 0


def test_closed_forms():
    np.testing.assert_allclose(updates(reward_to_go, TREE, 2).mean, updates(rloo, TREE, 3).mean, atol=1e-12)
    found = updates(pkpo, TREE, 4, objectives.BEST_OF_K, k=3)
    np.testing.assert_allclose(found.mean * 4, found.gradient, atol=1e-12)
    found = updates(minillm, TREE, 2, objectives.DISTILLED)
    np.testing.assert_allclose(found.mean, found.gradient, atol=1e-12)
    exact, blind = updates(gae, TREE, 2, lambda_=0.0), updates(gae, TREE._replace(critic=0.5), 2, lambda_=0.0)
    np.testing.assert_allclose(exact.mean, exact.gradient, atol=1e-12)
    assert not np.allclose(blind.mean, blind.gradient)


def test_a_tree_whose_answers_and_rewards_part_is_refused():
    with pytest.raises(ValueError, match=r"the answer \(1,\) has no reward"):
        updates(rloo, Tree({(): [0.5, 0.5]}, {(0,): 1.0}), 2)
    with pytest.raises(ValueError, match=r"the answer \(2,\) has a reward but no place"):
        updates(rloo, Tree({(): [0.5, 0.5]}, {(0,): 1.0, (1,): 0.0, (2,): 0.0}), 2)


check = next(check for check in CHECKS if check.name == "points_along_the_true_gradient")


@pytest.mark.parametrize(
    ("function", "promised"),
    [
        (pkpo, {"unbiased": lambda n: 1 / n}),  # of the mean, which it does not climb
        (rloo, {"unbiased": lambda n: 1.0, "objective": objectives.LIKELIHOOD}),
        (gae, {"unbiased": lambda n: 0.9}),
        (grpo, {"unbiased": lambda n: 1.0}),
    ],
)
def test_the_kit_sees_an_objective_that_is_not_climbed(function, promised):
    assert verdict_on(Subject(function, promises=Promises(**promised)), check, examples=30).outcome == "fails"


def test_an_objective_is_one():
    with pytest.raises(TypeError, match=r"Promises: objective is 'mean'; pass an Objective"):
        Promises(objective="mean")
    answers = Answers(np.array([0.5, 0.5]), np.array([1.0, 3.0]), np.array([0.5, 0.5]))
    assert str(objectives.MEAN) == "E[r]"
    assert objectives.BEST_OF_K.worth(answers, 4, k=2).tolist() == [-2.0, 0.0]
