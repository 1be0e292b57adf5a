"""miles 31f1ca96 (2026-08-21): from source, not executed.

A fork of slime with groups by rollout key, and slime's constants.
"""

from .. import estimators
from .convention import Deviations, Framework

__all__ = ["dr_grpo", "grpo"]

VERSION = "31f1ca96 (2026-08-21)"

DEVIATIONS: Deviations = {}

FRAMEWORK = Framework("miles", VERSION, DEVIATIONS, executed=False)

grpo = FRAMEWORK("grpo", estimators.grpo)
dr_grpo = FRAMEWORK("dr_grpo", estimators.dr_grpo)
