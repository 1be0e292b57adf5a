"""Expected updates of LamPO's family on a bandit, by exact enumeration: python benchmarks/lampo/bandit.py

A softmax policy over a few answers, groups of eight. Every group that can be drawn is one group of a single call, and
weighed by its probability; nothing is sampled.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from advantages import estimators
from advantages.lab.bandit import updates

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
        found = list(measures(policy, rewards))
        print(f"| {name} | cosine | " + " | ".join(f"{cosine:.3f}" for cosine, _, _ in found) + " |")
        print("| | signal to noise | " + " | ".join(f"{ratio:.2f}" for _, ratio, _ in found) + " |")
        print("| | length, to rloo's | " + " | ".join(f"{size / found[0][2]:.2f}" for _, _, size in found) + " |")


def measures(policy: Any, rewards: Any) -> Iterator[tuple[float, float, float]]:
    """For each estimator: the cosine of its expected update with the policy gradient, the expected update's length over
    the deviation of one group's, and that length."""
    for name, settings in ESTIMATORS.items():
        found = updates(getattr(estimators, name.split()[0]), policy, rewards, SIZE, **settings)
        length = np.linalg.norm(found.mean)
        cosine = found.mean @ found.gradient / length / np.linalg.norm(found.gradient)
        yield cosine, length / found.deviation, length


if __name__ == "__main__":
    main()
