"""torchrl ae9719f1 (2026-08-22): from source, not executed.

`torchrl/objectives/llm/grpo.py` and `objectives/value/functional.py`.
"""

from .. import estimators
from .convention import Deviations, Framework

__all__ = ["gae", "grpo"]

VERSION = "ae9719f1 (2026-08-22)"

DEVIATIONS: Deviations = {
    "grpo": {
        "epsilon": (0.0, "the deviation has a floor of 1e-6 instead"),
    },
}

FRAMEWORK = Framework("torchrl", VERSION, DEVIATIONS, executed=False)

grpo = FRAMEWORK("grpo", estimators.grpo)
gae = FRAMEWORK("gae", estimators.gae)
