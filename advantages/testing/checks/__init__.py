"""The properties, each a plain function whose name is the sentence that it checks.

A check gets the estimator under test and `draw`, which draws from a hypothesis strategy. It raises `AssertionError`
with a sentence and the offending inputs, or `NotApplicable` with the reason.
"""

# Importing a room adds its checks to the list, so the order here is the order of the report.
from . import outputs, groups, rows, tokens, promises, libraries  # noqa: F401, I001
from .base import CHECKS, Check

__all__ = ["CHECKS", "Check"]
