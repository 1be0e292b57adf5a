"""The property-test kit: point it at your own estimator, and believe the verdict.

from advantages.testing import conforms

test_mine = conforms(mine)
"""

from . import strategies
from .checks import CHECKS, Check
from .conforms import Verdict, conforms, verdict_on, verdicts
from .subject import NotApplicable, Subject

__all__ = [
    "CHECKS",
    "Check",
    "NotApplicable",
    "Subject",
    "Verdict",
    "conforms",
    "strategies",
    "verdict_on",
    "verdicts",
]
