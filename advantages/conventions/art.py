"""ART 0.5.18: from source, not executed.

OpenPipe ART: two conventions in one package.
"""

from .. import estimators
from .convention import Deviations, Framework

__all__ = ["grpo", "grpo_on_tinker"]

VERSION = "0.5.18"

DEVIATIONS: Deviations = {
    "grpo": {
        "ddof": (0, "the population's deviation, in its preprocessing"),
    },
    "grpo_on_tinker": {
        "epsilon": (0.0, "none is added on the tinker path"),
    },
}

FRAMEWORK = Framework("art", VERSION, DEVIATIONS, executed=False)

grpo = FRAMEWORK("grpo", estimators.grpo)
grpo_on_tinker = FRAMEWORK("grpo_on_tinker", estimators.grpo)
