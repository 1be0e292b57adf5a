"""The closed vocabulary: every input that an estimator may ask for, with its shape and meaning.

N responses, T tokens, K reward components. Adapters, the command line, the test kit and the documentation read
an estimator's signature against this table; there is no other registration, and every list of words elsewhere is
derived from it.
"""

from math import inf
from typing import Literal, NamedTuple

from .settings import Range

__all__ = ["INPUTS", "OPTIONS", "Input"]


_ANY = Range(-inf, inf)
_OF_KIND = {"flag": Range(0, 1, whole=True), "count": Range(0, inf, whole=True, finite=True)}
_LOGS = Range(-inf, 0.0, rounding=inf)  # scores that are shifted, or not normalised, compare as well
_ENTROPIES = Range(0.0, inf, rounding=0.25)  # as of logits of some 30 nats in bfloat16
_PROBS = Range(0.0, 1.0, rounding=0.25)


class Input(NamedTuple):
    """What one input means, and all that is needed to clean it, to draw it in a test and to sum it over a rollout."""

    shape: tuple[str, ...]
    """("N",) one per response, or ("N", "T") one per response and token."""
    kind: Literal["real", "count", "flag", "ids"]
    """Numbers, counts, booleans, or names; names become `Groups`, those of tokens apart in every row."""
    meaning: str
    each: str
    """What a caller passes one of per row, or per row and token."""
    of_trajectory: Literal["last", "sum"] = "last"
    """How the pieces of an agent rollout give the rollout's own value."""
    reward_unit: bool = False
    """Whether it is measured in rewards, so that it scales with them."""
    range: Range = _ANY
    """The numbers that it can be."""

    @property
    def allowed(self) -> Range:
        """What its kind and its range allow; the rest is refused, where values can be read without waiting for them."""
        return _OF_KIND.get(self.kind, self.range)

    @property
    def per_token(self) -> bool:
        """Whether there is one per token, not per response."""
        return self.shape == ("N", "T")


_TOKEN = "one {} per response and token"
_LOGPROB = _TOKEN.format("log-probability")

INPUTS: dict[str, Input] = {
    "rewards": Input(("N",), "real", "outcome reward of each response", "one reward per response", reward_unit=True),
    "groups": Input(
        ("N",),
        "ids",
        "equal where responses answer the same prompt: integers, strings, UUIDs, any hashable; never a position",
        "one group id per response",
    ),
    "logprobs": Input(
        ("N",),
        "real",
        "log-probability of the whole response under the policy that sampled it, in nats",
        "one log-probability per response",
        of_trajectory="sum",
        range=_LOGS,
    ),
    "mask": Input(
        ("N", "T"),
        "flag",
        "tokens that the policy produced and is trained on; False for padding and for tool or observation tokens",
        _TOKEN.format("boolean"),
    ),
    "token_rewards": Input(
        ("N", "T"), "real", "reward attributed to each token", _TOKEN.format("reward"), reward_unit=True
    ),
    "token_logprobs": Input(
        ("N", "T"),
        "real",
        "log-probability of each token under the policy that sampled it, in nats",
        _LOGPROB,
        range=_LOGS,
    ),
    "policy_token_logprobs": Input(
        ("N", "T"),
        "real",
        "log-probability of each token under the policy that is trained, where another one sampled, in nats",
        _LOGPROB,
        range=_LOGS,
    ),
    "ref_token_logprobs": Input(
        ("N", "T"),
        "real",
        "log-probability of each token under the reference policy, in nats",
        _LOGPROB,
        range=_LOGS,
    ),
    "teacher_token_logprobs": Input(
        ("N", "T"),
        "real",
        "log-probability of each token under the teacher, in nats",
        _LOGPROB,
        range=_LOGS,
    ),
    "token_entropies": Input(
        ("N", "T"), "real", "entropy of the policy at each token, in nats", _TOKEN.format("entropy"), range=_ENTROPIES
    ),
    "sum_squared_probs": Input(
        ("N", "T"),
        "real",
        "sum over the vocabulary of the policy's squared probabilities at each token",
        _TOKEN.format("number"),
        range=_PROBS,
    ),
    "planning": Input(
        ("N", "T"), "flag", "tokens that plan what follows, rather than carry it out", _TOKEN.format("boolean")
    ),
    "values": Input(
        ("N", "T"), "real", "the critic's value before each token", _TOKEN.format("value"), reward_unit=True
    ),
    "action_values": Input(
        ("N", "T"), "real", "the critic's value of each token that was chosen", _TOKEN.format("value"), reward_unit=True
    ),
    "bootstrap_values": Input(
        ("N",),
        "real",
        "the critic's value beyond the last token of a truncated response; 0 where it ended",
        "one value per response",
        reward_unit=True,
    ),
    "turns": Input(("N", "T"), "ids", "the turn of its response that a token belongs to", _TOKEN.format("turn id")),
    "states": Input(
        ("N",), "ids", "equal where steps were taken from the same state of the same task", "one state id per step"
    ),
    "labels": Input(("N",), "ids", "equal where responses give the same answer", "one answer id per response"),
    "roles": Input(("N",), "ids", "the role of the agent that gave the response", "one role id per response"),
    "lengths": Input(
        ("N",), "count", "trained tokens in each response", "one length per response", of_trajectory="sum"
    ),
    "baselines": Input(
        ("N",),
        "real",
        "externally computed baseline, such as a greedy rollout's reward",
        "one baseline per response",
        reward_unit=True,
    ),
    "successes": Input(
        ("N",),
        "count",
        "responses to the same prompt that were right, those that are not in the batch included",
        "one count per response",
    ),
    "failures": Input(
        ("N",),
        "count",
        "responses to the same prompt that were wrong, those that are not in the batch included",
        "one count per response",
    ),
    "on_policy": Input(("N",), "flag", "responses that the trained policy sampled itself", "one boolean per response"),
    "trajectories": Input(
        ("N",),
        "ids",
        "equal where rows are pieces of one agent rollout, in the order of the rows; the rollout counts once",
        "one trajectory id per row",
    ),
    "valid": Input(
        ("N",),
        "flag",
        "rows that count; a row that does not count enters no statistic and gets advantage 0",
        "one boolean per response",
    ),
    "trained": Input(
        ("N",),
        "flag",
        "rows that get an advantage; a row that is not trained still enters every statistic, and gets advantage 0",
        "one boolean per response",
    ),
}

OPTIONS: dict[str, str] = {
    "singleton": 'advantage of a response that is alone in its group: "zero", "raw" (its reward) or "error"',
    "min_scored": "scored responses below which a group counts as small, and gets what `singleton` says",
    "strict": "raise an error on rows with a non-finite input, instead of leaving them out with advantage 0",
    "across": (
        "how to reach the other ranks, where a group may have members on several: a torch process group, the name of "
        "a JAX axis, or a function that stacks a (k,) array of every rank to (R, k); without it, no group may span "
        "ranks"
    ),
}
