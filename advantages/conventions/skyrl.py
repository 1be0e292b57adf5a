"""SkyRL 0.3.0: run beside it in the tests.

`skyrl/backends/skyrl_train/utils/ppo_utils.py`. A NaN reward makes its whole group NaN there; here its row is left
out. Its `reinforce++` starts anew behind a masked token (fault B15, not reproduced: its own trainer never masks an
observation there); the convention is for masks without holes. Its maxrl divides by a mean of either sign (fault B14,
not reproduced: rewards below 0 are refused here).
"""

from .. import estimators
from .convention import Deviations, Framework

__all__ = ["dr_grpo", "gae", "grpo", "maxrl", "reinforce_plus_plus", "rloo"]

VERSION = "0.3.0"

DEVIATIONS: Deviations = {
    "grpo": {
        "singleton": ("raw", "a lone response keeps its reward: its group is taken to have mean 0"),
    },
    "dr_grpo": {
        "singleton": ("raw", "a lone response keeps its reward: its group is taken to have mean 0"),
    },
    "maxrl": {
        "epsilon": (1e-06, "added to the mean"),
        "singleton": ("raw", "a lone response keeps its reward: its group is taken to have mean 0"),
    },
    "reinforce_plus_plus": {
        "epsilon": (
            0.0,
            "1e-8 is added to the variance instead: the same to 1e-5 where the deviation is above 0.03",
        ),
    },
    "gae": {
        "lambda_": (1.0, "the default of trainer.algorithm.lambd"),
        "holes": ("steps", "masked tokens are steps"),
        "whitening": ("sample", "advantages are whitened over all trained tokens"),
    },
}

FRAMEWORK = Framework("skyrl", VERSION, DEVIATIONS, executed=True)

grpo = FRAMEWORK("grpo", estimators.grpo)
dr_grpo = FRAMEWORK("dr_grpo", estimators.dr_grpo)
rloo = FRAMEWORK("rloo", estimators.rloo)
reinforce_plus_plus = FRAMEWORK("reinforce_plus_plus", estimators.reinforce_plus_plus)
gae = FRAMEWORK("gae", estimators.gae)
maxrl = FRAMEWORK("maxrl", estimators.maxrl)
