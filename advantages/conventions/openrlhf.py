"""OpenRLHF 0.11.2: run beside it in the tests.

`openrlhf/trainer/ppo_utils/experience_maker.py`. A NaN reward makes its whole group NaN there; here its row is left
out. A group of equals gets up to 0.9 from group_norm there, the quotient of two roundings (fault B1, not reproduced:
it hangs on the order of a sum); here it gets 0. A discount of `reinforce` counts masked tokens there, too (fault B21;
of the two, `gae` reproduces it).
"""

from .. import estimators
from .convention import Deviations, Framework

__all__ = ["dr_grpo", "flash_reinforce", "gae", "group_norm", "reinforce", "reinforce_baseline", "rloo"]

VERSION = "0.11.2"

DEVIATIONS: Deviations = {
    "group_norm": {
        "epsilon": (1e-09, "added to the deviation"),
    },
    "reinforce_baseline": {
        "ddof": (0, "the population's deviation"),
        "epsilon": (0.0, "the variance has a floor of 1e-8 instead"),
    },
    "reinforce": {
        "ddof": (0, "the population's deviation"),
        "epsilon": (0.0, "the variance has a floor of 1e-8 instead"),
    },
    "flash_reinforce": {
        "center": ("batch", "the baseline is the mean of the whole batch"),
        "scale": ("none", "nothing is divided"),
    },
    "gae": {
        "lambda_": (1.0, "the default of --algo.advantage.lambd"),
        "masked_rewards": ("lost", "a reward on a masked token is lost"),
        "holes": ("steps", "masked tokens are steps of value 0: fault B21, reproduced on purpose"),
        "whitening": ("population", "the population's deviation over all trained tokens"),
    },
}

FRAMEWORK = Framework("openrlhf", VERSION, DEVIATIONS, executed=True, by_position=True)

group_norm = FRAMEWORK("group_norm", estimators.grpo)
dr_grpo = FRAMEWORK("dr_grpo", estimators.dr_grpo)
rloo = FRAMEWORK("rloo", estimators.rloo)
reinforce_baseline = FRAMEWORK("reinforce_baseline", estimators.reinforce_plus_plus_baseline)
reinforce = FRAMEWORK("reinforce", estimators.reinforce_plus_plus)
flash_reinforce = FRAMEWORK("flash_reinforce", estimators.normalized)
gae = FRAMEWORK("gae", estimators.gae)
