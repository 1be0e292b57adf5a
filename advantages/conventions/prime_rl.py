"""prime-rl 559b4477 (2026-08-21): from source, not executed.

`prime_rl/orchestrator/algo/grpo.py`. Its grpo is what others call Dr. GRPO; the length penalty of
that file is not here (fault B35: it is a bonus where the group's mean is negative).
"""

from .. import estimators
from .convention import Deviations, Framework

__all__ = ["grpo", "hierarchical_grpo", "max_rl"]

VERSION = "559b4477 (2026-08-21)"

DEVIATIONS: Deviations = {}

FRAMEWORK = Framework("prime_rl", VERSION, DEVIATIONS, executed=False)

grpo = FRAMEWORK("grpo", estimators.dr_grpo)
max_rl = FRAMEWORK("max_rl", estimators.maxrl)
hierarchical_grpo = FRAMEWORK("hierarchical_grpo", estimators.hierarchical_grpo)
