"""AReaL 1.0.4: from source, not executed.

`areal/utils/data.py`, NormConfig. Groups are blocks there, and rows beyond the last whole block are divided by 1e-5
(fault B20, not reproduced: groups have names here).
"""

from .. import estimators
from .convention import Deviations, Framework

__all__ = ["batch", "dr_grpo", "grpo", "leave_one_out_grpo", "lite_ppo", "rloo"]

VERSION = "1.0.4"

DEVIATIONS: Deviations = {
    "grpo": {
        "epsilon": (1e-05, "added to the deviation"),
    },
    "leave_one_out_grpo": {
        "center": ("others", "mean_leave1out"),
        "scale": (
            "about_others",
            "about the mean of the others, so that the factor n/(n - 1) cancels",
        ),
        "epsilon": (1e-05, "added to the deviation"),
        "singleton": ("raw", "a lone response has no others, whose mean is taken to be 0"),
    },
    "rloo": {
        "singleton": ("raw", "a lone response has no others, whose mean is taken to be 0"),
    },
    "lite_ppo": {
        "scale": ("batch", "std_level=batch"),
        "epsilon": (1e-05, "added to the deviation"),
    },
    "batch": {
        "center": ("batch", "mean_level=batch"),
        "scale": ("batch", "std_level=batch"),
        "epsilon": (1e-05, "added to the deviation"),
    },
}

FRAMEWORK = Framework("areal", VERSION, DEVIATIONS, executed=False, by_position=True)

grpo = FRAMEWORK("grpo", estimators.grpo)
dr_grpo = FRAMEWORK("dr_grpo", estimators.dr_grpo)
rloo = FRAMEWORK("rloo", estimators.rloo)
leave_one_out_grpo = FRAMEWORK("leave_one_out_grpo", estimators.normalized)
lite_ppo = FRAMEWORK("lite_ppo", estimators.normalized)
batch = FRAMEWORK("batch", estimators.normalized)
