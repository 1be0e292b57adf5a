"""Advantage estimators for reinforcement learning of language models, on numpy, torch and JAX arrays."""

from . import estimators
from .call import estimator
from .compose import compose
from .core.definition import Paper
from .core.groups import Groups
from .core.promises import Bound, Promises
from .diagnostics import Diagnosis, diagnose
from .estimators import *  # noqa: F403
from .ops import discounted_returns, masked_mean, outcome, sequence_logprobs, to_tokens, whiten
from .version import __version__

__all__ = [
    "Bound",
    "Diagnosis",
    "Groups",
    "Paper",
    "Promises",
    "__version__",
    "compose",
    "diagnose",
    "discounted_returns",
    "estimator",
    "masked_mean",
    "outcome",
    "sequence_logprobs",
    "to_tokens",
    "whiten",
]
__all__ += estimators.__all__
