"""The closed vocabulary: every input that an estimator may ask for, with its shape and meaning.

N responses, T tokens, K reward components. Adapters, the command line, the test kit and the documentation read
an estimator's signature against this table; there is no other registration.
"""

from math import inf
from typing import Literal, NamedTuple

__all__ = ["INPUTS", "OPTIONS", "Word"]


class Word(NamedTuple):
    """What one input means.

    `each` is what a caller passes one of per row (or per row and token); `of_trajectory` says how the pieces of an
    agent rollout give the rollout's own value; `range` says which numbers it can be.
    """

    shape: tuple[str, ...]
    kind: Literal["real", "count", "flag", "ids"]
    meaning: str
    each: str
    of_trajectory: Literal["last", "sum"] = "last"
    range: tuple[float, float] = (-inf, inf)


INPUTS: dict[str, Word] = {
    "rewards": Word(("N",), "real", "outcome reward of each response", "one reward per response"),
    "groups": Word(
        ("N",),
        "ids",
        "equal where responses answer the same prompt: integers, strings, UUIDs, any hashable; never a position",
        "one group id per response",
    ),
    "logprobs": Word(
        ("N",),
        "real",
        "log-probability of the whole response under the policy that sampled it, in nats",
        "one log-probability per response",
        of_trajectory="sum",
        range=(-inf, 0.0),
    ),
    "mask": Word(
        ("N", "T"),
        "flag",
        "tokens that the policy produced and is trained on; False for padding and for tool or observation tokens",
        "one boolean per response and token",
    ),
    "token_rewards": Word(("N", "T"), "real", "reward attributed to each token", "one reward per response and token"),
    "token_logprobs": Word(
        ("N", "T"),
        "real",
        "log-probability of each token under the policy that sampled it, in nats",
        "one log-probability per response and token",
        range=(-inf, 0.0),
    ),
    "ref_token_logprobs": Word(
        ("N", "T"),
        "real",
        "log-probability of each token under the reference policy, in nats",
        "one log-probability per response and token",
        range=(-inf, 0.0),
    ),
    "teacher_token_logprobs": Word(
        ("N", "T"),
        "real",
        "log-probability of each token under the teacher, in nats",
        "one log-probability per response and token",
        range=(-inf, 0.0),
    ),
    "values": Word(("N", "T"), "real", "the critic's value before each token", "one value per response and token"),
    "lengths": Word(("N",), "count", "trained tokens in each response", "one length per response", of_trajectory="sum"),
    "baselines": Word(
        ("N",),
        "real",
        "externally computed baseline, such as a greedy rollout's reward",
        "one baseline per response",
    ),
    "trajectories": Word(
        ("N",),
        "ids",
        "equal where rows are pieces of one agent rollout, in the order of the rows; the rollout counts once",
        "one trajectory id per row",
    ),
    "valid": Word(
        ("N",),
        "flag",
        "rows that count; a row that does not count enters no statistic and gets advantage 0",
        "one boolean per response",
    ),
}

OPTIONS: dict[str, str] = {
    "group_size": "responses per prompt, instead of `groups`, where they stand in equal blocks of neighbouring rows",
    "singleton": 'advantage of a response that is alone in its group: "zero", "raw" (its reward) or "error"',
    "strict": "raise an error on rows with a non-finite input, instead of leaving them out with advantage 0",
}
