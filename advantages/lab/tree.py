"""The exact expected update of an estimator on a short tree of tokens, beside the gradient of an objective."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations_with_replacement
from math import factorial, prod
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ..core.definition import definition_of
from ..core.objectives import MEAN, Answers, Objective

__all__ = ["Tree", "Updates", "updates"]

Prefix = tuple[int, ...]


class Tree(NamedTuple):
    """A prompt's answers, token by token.

    A prefix with a policy goes on; one without is a complete answer, and has a reward.
    """

    policy: Mapping[Prefix, Sequence[float]]
    """By prefix, the probability of each next token, above zero."""
    rewards: Mapping[Prefix, float]
    """By complete answer."""
    teacher: Mapping[Prefix, Sequence[float]] = MappingProxyType({})
    """As `policy`; uniform where nothing is said."""
    critic: float | None = None
    """What a critic that has learnt nothing says of every prefix; None for one that is exact."""


class Updates(NamedTuple):
    """What one group's update A * grad log pi, averaged over the group, is over all groups that can be drawn."""

    mean: Any
    """(prefixes, tokens) its expectation, by logit."""
    deviation: float
    """Root of the expected squared distance from that mean."""
    gradient: Any
    """(prefixes, tokens) gradient of the objective by logit: what an unbiased estimator's mean is a multiple of."""


def updates(estimator: Callable[..., Any], tree: Tree, n: int, objective: Objective = MEAN, **settings: Any) -> Updates:
    """Enumerate the groups of `n` answers that a policy of one softmax per prefix can give to one prompt.

        mean = sum over groups of P(group) * 1/n * sum over i and t of A_it * grad log pi(token t of answer i)

    The reward lies on the last token, a turn is a token, and the first token is the one that plans. Every group is one
    group of a single call, or a call of its own where statistics span the batch. The order of a group's answers is
    left out, since an estimator's advantages follow its rows.

    Args:
        estimator: takes words of the vocabulary, as numpy arrays.
        tree: the world.
        n: answers in a group.
        objective: whose gradient stands beside the mean.
        settings: of the estimator, and of the objective.

    Raises:
        ValueError: an answer has no reward, or one with a reward goes on.

    >>> from advantages import reward_to_go
    >>> tree = Tree({(): [0.5, 0.5], (0,): [0.5, 0.5]}, {(0, 0): 1.0, (0, 1): 0.0, (1,): 0.0})
    >>> found = updates(reward_to_go, tree, n=2)
    >>> found.mean.round(12).tolist(), found.gradient.tolist()
    ([[0.125, -0.125], [0.125, -0.125]], [[0.125, -0.125], [0.125, -0.125]])
    """
    world, d = _World(tree), definition_of(estimator)
    answers = world.answers
    count = len(answers.rewards)
    drawn = np.array(list(combinations_with_replacement(range(count), n)))
    chances = np.array([_probability(np.bincount(one, minlength=count), answers.probabilities) for one in drawn])
    takes = inspect.signature(estimator).parameters

    def advantages(some: Any) -> Any:
        """(groups, n, tokens) of some groups, in one call."""
        words = {name: x for name, x in world.words(some).items() if name in takes}
        if d.by_component:
            words["rewards"] = words["rewards"][:, None]
        found = np.asarray(estimator(**words, **settings), np.float64)
        return np.broadcast_to(found.reshape(*some.shape, -1), (*some.shape, world.mask.shape[1]))

    calls = [one[None] for one in drawn] if d.promises.spans_batch else [drawn]
    found = np.concatenate([advantages(some) for some in calls])
    each = np.einsum("git,gitsv->gsv", found, world.scores[drawn]) / n
    mean = np.einsum("g,gsv->sv", chances, each)
    deviation = np.sqrt(chances @ ((each - mean) ** 2).sum((1, 2)))
    worth = objective.worth(answers, n, **settings)
    worth = worth - answers.probabilities @ worth
    gradient = np.einsum("l,l,ltsv->sv", answers.probabilities, worth, world.scores)
    return Updates(mean, float(deviation), gradient)


class _World:
    """All that a vocabulary's words say of each answer of a tree."""

    def __init__(self, tree: Tree) -> None:
        prefixes, tokens = list(tree.policy), max(map(len, tree.policy.values()))
        leaves = [
            (*prefix, token)
            for prefix, policy in tree.policy.items()
            for token in range(len(policy))
            if (*prefix, token) not in tree.policy
        ]
        if set(leaves) != set(tree.rewards):
            wrong = sorted(set(leaves) ^ set(tree.rewards))[0]
            goes_on = "has a reward but no place" if wrong in tree.rewards else "has no reward"
            raise ValueError(f"Tree: the answer {wrong} {goes_on}; give every complete answer one, and no other")
        policy = {prefix: np.asarray(p, np.float64) for prefix, p in tree.policy.items()}
        teacher = {
            prefix: np.asarray(tree.teacher.get(prefix, np.full(len(p), 1 / len(p)))) for prefix, p in policy.items()
        }
        size = (len(leaves), max(map(len, leaves)))
        value = self._values(policy, tree.rewards)

        self.mask = np.zeros(size, bool)
        self.scores = np.zeros((*size, len(prefixes), tokens))
        self.per_token = {name: np.zeros(size) for name in _PER_TOKEN}
        for row, leaf in enumerate(leaves):
            for t, token in enumerate(leaf):
                prefix = leaf[:t]
                p = policy[prefix]
                self.mask[row, t] = True
                place = prefixes.index(prefix)
                self.scores[row, t, place, : len(p)] = -p  # grad log pi of the token
                self.scores[row, t, place, token] += 1.0
                cells = (
                    tree.rewards[leaf] * (t == len(leaf) - 1),
                    np.log(p[token]),
                    np.log(p[token]),
                    np.log(1 / len(p)),
                    np.log(teacher[prefix][token]),
                    -(p @ np.log(p)),
                    p @ p,
                    value[prefix] if tree.critic is None else tree.critic,
                    value[leaf[: t + 1]] if tree.critic is None else tree.critic,
                )
                for name, x in zip(_PER_TOKEN, cells, strict=True):
                    self.per_token[name][row, t] = x
        self.answers = Answers(
            np.exp(self.per_token["token_logprobs"].sum(1)),
            np.array([tree.rewards[leaf] for leaf in leaves]),
            np.exp(self.per_token["teacher_token_logprobs"].sum(1)),
        )

    @staticmethod
    def _values(policy: Mapping[Prefix, Any], rewards: Mapping[Prefix, float]) -> dict[Prefix, float]:
        """The expected reward from each prefix, complete answers included."""
        value = dict(rewards)
        for prefix in sorted(policy, key=len, reverse=True):
            value[prefix] = sum(p * value[*prefix, token] for token, p in enumerate(policy[prefix]))
        return value

    def words(self, drawn: Any) -> dict[str, Any]:
        """Every word of some groups' answers, as an estimator takes them."""
        rows = drawn.ravel()
        rewards, mask = self.answers.rewards[rows], self.mask[rows]
        right = (self.answers.rewards[drawn] > 0).sum(1).repeat(drawn.shape[1])
        steps = np.broadcast_to(np.arange(mask.shape[1]), mask.shape)
        same = np.zeros(len(rows), np.int64)
        return {
            "rewards": rewards,
            "groups": np.arange(len(drawn)).repeat(drawn.shape[1]),
            "logprobs": np.log(self.answers.probabilities)[rows],
            "mask": mask,
            **{name: x[rows] for name, x in self.per_token.items()},
            "planning": mask & (steps == 0),
            "bootstrap_values": 0.0 * rewards,
            "turns": steps,
            "states": np.arange(len(drawn)).repeat(drawn.shape[1]),
            "labels": rows,
            "roles": same,
            "lengths": mask.sum(1),
            "baselines": 0.0 * rewards + self.answers.probabilities @ self.answers.rewards,
            "successes": right,
            "failures": drawn.shape[1] - right,
            "on_policy": same == 0,
        }


_PER_TOKEN = (
    "token_rewards",
    "token_logprobs",
    "policy_token_logprobs",
    "ref_token_logprobs",
    "teacher_token_logprobs",
    "token_entropies",
    "sum_squared_probs",
    "values",
    "action_values",
)


def _probability(counts: Any, policy: Any) -> float:
    ways = factorial(int(counts.sum())) // prod(factorial(int(k)) for k in counts)
    return float(ways * np.prod(policy**counts))
