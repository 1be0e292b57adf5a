"""NeMo-RL 7ea279ab (2026-08-22): from source, not executed.

`nemo_rl/algorithms/advantage_estimator.py`. The deviation of the others is E[x^2] - E[x]^2 there, so that others that
are equal have one of rounding, and a lone winner 172196 (fault B2, not reproduced: it hangs on rounding); here they
have 0, and are not divided by it.
"""

from .. import estimators
from .convention import Deviations, Framework

__all__ = ["dr_grpo", "group_grpo", "grpo", "opd", "raw_reward", "rloo"]

VERSION = "7ea279ab (2026-08-22)"

DEVIATIONS: Deviations = {
    "grpo": {
        "center": ("others", "use_leave_one_out_baseline is the default"),
        "scale": ("others", "the deviation of the others, and undivided where it is 0"),
    },
}

FRAMEWORK = Framework("nemo_rl", VERSION, DEVIATIONS, executed=False)

grpo = FRAMEWORK("grpo", estimators.normalized)
group_grpo = FRAMEWORK("group_grpo", estimators.grpo)
rloo = FRAMEWORK("rloo", estimators.rloo)
dr_grpo = FRAMEWORK("dr_grpo", estimators.dr_grpo)
raw_reward = FRAMEWORK("raw_reward", estimators.reinforce)
opd = FRAMEWORK("opd", estimators.on_policy_distillation)
