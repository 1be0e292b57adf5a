"""The words that estimators are written in: groups, pairs, tokens, and statistics of the whole batch.

Every word runs on numpy, torch and JAX arrays, eagerly and compiled, and selects with `where`: what does not count
may hold NaN or infinity. Statistics are formed in at least float32, measured from a member of the set so that equal
numbers deviate by exactly zero. What is exported here checks its arguments; the modules inside do not.
"""

from ..core.validation import checked
from . import statistics, tokens
from .elementwise import at_least, log_sigmoid, namespace, sigmoid, where
from .groupwise import (
    Grouped,
    Ordered,
    above_log_mean_exp,
    group_centered,
    group_count,
    group_lead,
    group_max,
    group_mean,
    group_min,
    group_ranks,
    group_std,
    group_std_of_others,
    group_sum,
    group_zscore,
)
from .pairs import pair_reduce, sigmoid_sums
from .statistics import Moments, Weight
from .tokens import reverse_scan, shifted
from .trees import node_values

__all__ = [
    "Grouped",
    "Moments",
    "Ordered",
    "Weight",
    "above_log_mean_exp",
    "at_least",
    "carried_rewards",
    "discounted_returns",
    "group_centered",
    "group_count",
    "group_lead",
    "group_max",
    "group_mean",
    "group_min",
    "group_ranks",
    "group_std",
    "group_std_of_others",
    "group_sum",
    "group_zscore",
    "lambda_advantages",
    "log_sigmoid",
    "masked_mean",
    "masked_rewards",
    "moments",
    "namespace",
    "node_values",
    "outcome",
    "pair_reduce",
    "reverse_scan",
    "sequence_logprobs",
    "shifted",
    "sigmoid",
    "sigmoid_sums",
    "to_tokens",
    "where",
    "whiten",
    "whitened_advantages",
]

_ROWS = (("N",),)
_TOKENS = (("N", "T"),)
_EITHER = (("N",), ("N", "T"))

carried_rewards = checked(token_rewards=_TOKENS, mask=_TOKENS)(tokens.carried_rewards)
discounted_returns = checked(token_rewards=_TOKENS, mask=_TOKENS)(tokens.discounted_returns)
lambda_advantages = checked(token_rewards=_TOKENS, values=_TOKENS, mask=_TOKENS)(tokens.lambda_advantages)
masked_rewards = checked(token_rewards=_TOKENS, mask=_TOKENS)(tokens.masked_rewards)
outcome = checked(token_rewards=_TOKENS, mask=_TOKENS)(tokens.outcome)
sequence_logprobs = checked(token_logprobs=_TOKENS, mask=_TOKENS)(tokens.sequence_logprobs)
to_tokens = checked(advantages=_ROWS, mask=_TOKENS)(tokens.to_tokens)
masked_mean = checked(x=_EITHER, mask=_EITHER)(statistics.masked_mean)
moments = checked(x=_EITHER, mask=_EITHER)(statistics.moments)
whiten = checked(x=_EITHER, mask=_EITHER)(statistics.whiten)
whitened_advantages = checked(token_rewards=_TOKENS, values=_TOKENS, mask=_TOKENS)(statistics.whitened_advantages)
