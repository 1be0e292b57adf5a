"""Trinity-RFT 0.6.0: run beside it in the tests.

`trinity/algorithm/advantage_fn`. Its default `opmd_baseline` is the mean, so that its opmd is Dr. GRPO. Its
`rank_penalty` reaches the group's statistics and not the score (fault N33, not reproduced: `unlikeliness` is what it
means), its gigpo merges equal states of different tasks (fault N47, not reproduced), and its rec fails on a lone
response. Its reinforceplusplus and ppo never look at the mask before they whiten: the conventions are for masks without
holes. Its on_policy_distill and jsd know no rewards: pass zeros. A NaN reward makes its whole group NaN there; here its
row is left out.
"""

from .. import estimators
from .convention import Deviations, Framework

__all__ = [
    "asymre",
    "batch_grpo",
    "grpo",
    "jsd",
    "on_policy_distill",
    "opmd",
    "opmd_logavgexp",
    "ppo",
    "reinforce",
    "reinforceplusplus",
    "remax",
    "rloo",
]

VERSION = "0.6.0"

_LONE = ("raw", "a lone response keeps its reward: its group is taken to have mean 0")

DEVIATIONS: Deviations = {
    "grpo": {"singleton": _LONE},
    "batch_grpo": {
        "scale": ("batch", 'std_cal_level="batch": the deviation of all rewards of the batch'),
        "singleton": ("raw", "a lone response keeps its reward, which is divided there by the batch's deviation"),
    },
    "opmd": {"singleton": _LONE},
    "opmd_logavgexp": {"singleton": _LONE},
    "asymre": {
        "equals": ("push", "groups of equals are pushed, too"),
        "singleton": ("raw", "a lone response keeps its reward: its baseline is 0, without the shift"),
    },
    "rloo": {"singleton": _LONE},
    "reinforceplusplus": {
        "epsilon": (
            0.0,
            "1e-8 is added to the variance instead: the same to 1e-5 where the deviation is above 0.03",
        ),
    },
    "ppo": {
        "lambda_": (1.0, "the default of lam"),
        "holes": ("steps", "masked tokens are steps"),
        "whitening": ("sample", "advantages are whitened over all trained tokens"),
    },
    "remax": {
        "masked_rewards": ("lost", "a reward on a masked token is lost: fault B7, reproduced on purpose"),
    },
}

FRAMEWORK = Framework("trinity", VERSION, DEVIATIONS, executed=True)

grpo = FRAMEWORK("grpo", estimators.grpo)
batch_grpo = FRAMEWORK("batch_grpo", estimators.normalized)
opmd = FRAMEWORK("opmd", estimators.dr_grpo)
opmd_logavgexp = FRAMEWORK("opmd_logavgexp", estimators.opmd)
asymre = FRAMEWORK("asymre", estimators.asymre)
rloo = FRAMEWORK("rloo", estimators.rloo)
reinforce = FRAMEWORK("reinforce", estimators.reinforce)
reinforceplusplus = FRAMEWORK("reinforceplusplus", estimators.reinforce_plus_plus)
ppo = FRAMEWORK("ppo", estimators.gae)
remax = FRAMEWORK("remax", estimators.remax)
on_policy_distill = FRAMEWORK("on_policy_distill", estimators.on_policy_distillation)
jsd = FRAMEWORK("jsd", estimators.jsd)
