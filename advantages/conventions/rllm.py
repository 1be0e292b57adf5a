"""rllm 9beb6e0f (2026-08-15): from source, not executed.

`rllm/trainer/algorithms/advantage.py`, called once per role.
"""

from .. import estimators
from .convention import Deviations, Framework

__all__ = ["prpo", "reinforce", "rloo"]

VERSION = "9beb6e0f (2026-08-15)"

DEVIATIONS: Deviations = {
    "prpo": {
        "center": ("batch", "population-relative: the mean of the batch"),
        "scale": ("batch", "the deviation of the batch"),
        "ddof": (0, "the population's deviation"),
    },
}

FRAMEWORK = Framework("rllm", VERSION, DEVIATIONS, executed=False)

reinforce = FRAMEWORK("reinforce", estimators.reinforce)
rloo = FRAMEWORK("rloo", estimators.rloo)
prpo = FRAMEWORK("prpo", estimators.normalized)
