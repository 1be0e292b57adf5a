"""tunix 0.1.7: run beside it in the tests.

`tunix/rl/algo_core.py`. Groups are blocks there, and one of one response is refused.
"""

from .. import estimators
from .convention import Deviations, Framework

__all__ = ["drgrpo", "experimental_grpo", "gae", "grpo", "rloo"]

VERSION = "0.1.7"

DEVIATIONS: Deviations = {
    "gae": {
        "masked_rewards": ("lost", "a reward on a masked token is lost: fault B7, reproduced on purpose"),
        "whitening": ("sample", "advantages are whitened over all trained tokens"),
    },
    "experimental_grpo": {
        "ddof": (0, "the population's deviation, in experimental/orchestrator: one repository, two GRPOs"),
    },
}

FRAMEWORK = Framework("tunix", VERSION, DEVIATIONS, executed=True, by_position=True)

grpo = FRAMEWORK("grpo", estimators.grpo)
drgrpo = FRAMEWORK("drgrpo", estimators.dr_grpo)
rloo = FRAMEWORK("rloo", estimators.rloo)
gae = FRAMEWORK("gae", estimators.gae)
experimental_grpo = FRAMEWORK("experimental_grpo", estimators.grpo)
