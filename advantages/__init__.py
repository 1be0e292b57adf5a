"""Advantage estimators for reinforcement learning of language models, on numpy, torch and JAX arrays."""

from . import estimators
from .call import Promises, estimator
from .core.groups import Groups
from .estimators import *  # noqa: F403
from .ops import discounted_returns, masked_mean, outcome, sequence_logprobs, to_tokens, whiten
from .version import __version__

__all__ = [
    "Groups",
    "Promises",
    "__version__",
    "discounted_returns",
    "estimator",
    "masked_mean",
    "outcome",
    "sequence_logprobs",
    "to_tokens",
    "whiten",
]
__all__ += estimators.__all__
