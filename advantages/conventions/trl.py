"""TRL 1.16.0: run beside it in the tests.

`trl/trainer/grpo_trainer.py` and `rloo_trainer.py`. A reward that is None or NaN is left out, as here. An infinite
one becomes the largest number there (fault B23, not reproduced: nobody wants it); here it is left out.
"""

from .. import estimators
from .convention import Deviations, Framework

__all__ = ["async_grpo", "batch_grpo", "dr_grpo", "gdpo", "grpo", "rloo"]

VERSION = "1.16.0"

DEVIATIONS: Deviations = {
    "grpo": {
        "epsilon": (0.0001, "added to the deviation, so that advantages of small deviations shrink"),
    },
    "batch_grpo": {
        "scale": ("batch", 'scale_rewards="batch": the deviation of all rewards of the batch'),
        "epsilon": (0.0001, "added to the deviation"),
    },
    "gdpo": {
        "epsilon": (0.0001, "added to both deviations"),
    },
    "async_grpo": {
        "ddof": (0, "numpy's deviation, in experimental/async_grpo"),
        "epsilon": (1e-08, "added to the deviation"),
    },
}

FRAMEWORK = Framework("trl", VERSION, DEVIATIONS, executed=True, by_position=True)

grpo = FRAMEWORK("grpo", estimators.grpo)
dr_grpo = FRAMEWORK("dr_grpo", estimators.dr_grpo)
batch_grpo = FRAMEWORK("batch_grpo", estimators.normalized)
gdpo = FRAMEWORK("gdpo", estimators.gdpo)
rloo = FRAMEWORK("rloo", estimators.rloo)
async_grpo = FRAMEWORK("async_grpo", estimators.grpo)
