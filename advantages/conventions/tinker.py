"""tinker 0.6.1: from source, not executed.

tinker-cookbook: centring alone.
"""

from .. import estimators
from .convention import Deviations, Framework

__all__ = ["grpo"]

VERSION = "0.6.1"

DEVIATIONS: Deviations = {}

FRAMEWORK = Framework("tinker", VERSION, DEVIATIONS, executed=False)

grpo = FRAMEWORK("grpo", estimators.dr_grpo)
