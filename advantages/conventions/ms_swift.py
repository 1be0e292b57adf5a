"""ms-swift 4.6.0: from source, not executed.

`swift/rl_core/advantage.py`. What is called reinforce_plus_plus there is neither that nor its baseline form. The
package needs some thirty others, so that tests do not run it; that one file was run once, beside the helper that it
imports, and agreed to 1e-14 in all but rlsd.
"""

from .. import estimators
from .convention import Deviations, Framework

__all__ = ["batch_grpo", "gdpo", "grpo", "reinforce_plus_plus", "rloo", "rlsd"]

VERSION = "4.6.0"

DEVIATIONS: Deviations = {
    "grpo": {
        "epsilon": (0.0001, "added to the deviation"),
        "unscored": ("zero", "a reward that is None counts as 0"),
    },
    "batch_grpo": {
        "scale": ("batch", 'scale_rewards="batch"'),
        "epsilon": (0.0001, "added to the deviation"),
        "unscored": ("zero", "a reward that is None counts as 0"),
    },
    "rloo": {
        "unscored": ("zero", "a reward that is None counts as 0"),
    },
    "reinforce_plus_plus": {
        "scale": ("batch_of_centered", "the deviation of the centred rewards of the batch, over responses"),
        "epsilon": (0.0001, "added to the deviation"),
        "unscored": ("zero", "a reward that is None counts as 0"),
    },
    "rlsd": {
        "epsilon": (0.0001, "added to the deviation"),
        "unscored": ("zero", "a reward that is None counts as 0"),
    },
    "gdpo": {
        "epsilon": (1e-08, "added to both deviations"),
    },
}

FRAMEWORK = Framework("ms_swift", VERSION, DEVIATIONS, executed=False)

grpo = FRAMEWORK("grpo", estimators.grpo)
batch_grpo = FRAMEWORK("batch_grpo", estimators.normalized)
rloo = FRAMEWORK("rloo", estimators.rloo)
reinforce_plus_plus = FRAMEWORK("reinforce_plus_plus", estimators.normalized)
gdpo = FRAMEWORK("gdpo", estimators.gdpo)
rlsd = FRAMEWORK("rlsd", estimators.rlsd)
