"""prime-rl 559b4477 (2026-08-21): from source, not executed.

`prime_rl/orchestrator/algo/grpo.py`. Its grpo is what others call Dr. GRPO.
"""

from .. import estimators
from .convention import Deviations, Framework

__all__ = ["grpo"]

VERSION = "559b4477 (2026-08-21)"

DEVIATIONS: Deviations = {}

FRAMEWORK = Framework("prime_rl", VERSION, DEVIATIONS, executed=False)

grpo = FRAMEWORK("grpo", estimators.dr_grpo)
