"""slime 624b824a (2026-08-21): from source, not executed.

`slime/ray/rollout.py` and `slime/utils/ppo_utils.py`. Where samples are missing the whole batch becomes one group
there (fault B9, not reproduced: groups have names here).
"""

from .. import estimators
from .convention import Deviations, Framework

__all__ = ["dr_grpo", "grpo", "reinforce_plus_plus", "reinforce_plus_plus_baseline"]

VERSION = "624b824a (2026-08-21)"

DEVIATIONS: Deviations = {
    "reinforce_plus_plus": {
        "epsilon": (
            0.0,
            "1e-8 is added to the variance instead: the same to 1e-5 where the deviation is above 0.03",
        ),
    },
    "reinforce_plus_plus_baseline": {
        "epsilon": (
            0.0,
            "1e-8 is added to the variance instead: the same to 1e-5 where the deviation is above 0.03",
        ),
    },
}

FRAMEWORK = Framework("slime", VERSION, DEVIATIONS, executed=False, by_position=True)

grpo = FRAMEWORK("grpo", estimators.grpo)
dr_grpo = FRAMEWORK("dr_grpo", estimators.dr_grpo)
reinforce_plus_plus = FRAMEWORK("reinforce_plus_plus", estimators.reinforce_plus_plus)
reinforce_plus_plus_baseline = FRAMEWORK("reinforce_plus_plus_baseline", estimators.reinforce_plus_plus_baseline)
