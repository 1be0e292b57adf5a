"""Expected updates of LamPO's family on a bandit, by exact enumeration: python benchmarks/lampo/bandit.py

A softmax policy over a few answers, groups of eight. Every group that can be drawn is one group of a single call, and
weighed by its probability; nothing is sampled.
"""

from collections.abc import Iterator
from itertools import combinations_with_replacement
from math import factorial, prod
from typing import Any

import numpy as np

from advantages import Groups, estimators

SIZE = 8
ESTIMATORS: dict[str, dict[str, Any]] = {
    "rloo": {},
    "grpo": {},
    "lampo tau=0.1": {"temperature": 0.1},
    "lampo tau=1": {},
    "lampo tau=3": {"temperature": 3.0},
    "lampo tau=10": {"temperature": 10.0},
    "lampo tau=auto": {"temperature": "auto"},
    "lampo tau=1, centred": {"center": True},
    "lambdapo tau=1": {},
}
STARTS = {
    "undecided, 1 of 4 right": ([0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0]),
    "mostly right": ([0.6, 0.2, 0.15, 0.05], [1.0, 0.0, 0.0, 0.0]),
    "mostly wrong, one right answer is rare": ([0.6, 0.2, 0.15, 0.05], [0.0, 0.0, 0.0, 1.0]),
    "mostly wrong, two right answers are rare": ([0.6, 0.25, 0.1, 0.05], [0.0, 0.0, 1.0, 1.0]),
}


def main() -> None:
    print("| start | measure | " + " | ".join(ESTIMATORS) + " |\n|---|---|" + "---|" * len(ESTIMATORS))
    for name, (policy, rewards) in STARTS.items():
        found = list(updates(np.array(policy), np.array(rewards)))
        print(f"| {name} | cosine | " + " | ".join(f"{cosine:.3f}" for cosine, _, _ in found) + " |")
        print("| | signal to noise | " + " | ".join(f"{ratio:.2f}" for _, ratio, _ in found) + " |")
        print("| | length, to rloo's | " + " | ".join(f"{size / found[0][2]:.2f}" for _, _, size in found) + " |")


def updates(policy: Any, rewards: Any) -> Iterator[tuple[float, float, float]]:
    """For each estimator: the cosine of its expected update with the policy gradient, the expected update's length over
    the deviation of one group's, and that length."""
    drawn = np.array(list(combinations_with_replacement(range(len(policy)), SIZE)))
    weights = np.array([_probability(np.bincount(group, minlength=len(policy)), policy) for group in drawn])
    assert np.isclose(weights.sum(), 1.0)
    logits = np.log(policy)
    scores = np.eye(len(policy)) - policy  # gradient of the log-probability of each answer, by logits
    gradient = policy * (rewards - policy @ rewards)
    for name, options in ESTIMATORS.items():
        function = getattr(estimators, name.split()[0])
        inputs = [rewards[drawn].ravel(), Groups.of_size(SIZE, drawn.size)]
        inputs += [logits[drawn].ravel()] if "tau" in name else []
        advantages = function(*inputs, **options).reshape(drawn.shape)
        each = np.einsum("gi,gik->gk", advantages, scores[drawn]) / SIZE
        mean = weights @ each
        noise = np.sqrt(weights @ ((each - mean) ** 2).sum(1))
        length = np.linalg.norm(mean)
        yield mean @ gradient / length / np.linalg.norm(gradient), length / noise, length


def _probability(counts: Any, policy: Any) -> float:
    ways = factorial(SIZE) // prod(factorial(int(k)) for k in counts)
    return float(ways * np.prod(policy**counts))


if __name__ == "__main__":
    main()
