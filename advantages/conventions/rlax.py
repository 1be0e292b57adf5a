"""rlax 4c5d25b2 (2026-03-30): from source, not executed.

`rlax/_src/multistep.py`: truncated_generalized_advantage_estimation, over rows without holes.
"""

from .. import estimators
from .convention import Deviations, Framework

__all__ = ["gae"]

VERSION = "4c5d25b2 (2026-03-30)"

DEVIATIONS: Deviations = {}

FRAMEWORK = Framework("rlax", VERSION, DEVIATIONS, executed=False)

gae = FRAMEWORK("gae", estimators.gae)
