"""slime 624b824a (2026-08-21): from source, not executed.

`slime/ray/rollout.py` and `slime/utils/ppo_utils.py`. Where samples are missing the whole batch becomes one group
there (fault B9, not reproduced: groups have names here). reinforce_plus_plus_baseline_with_kl is the one with a
kl_coef, where each token pays for its own divergence alone; for reinforce_plus_plus, put the stage `kl_penalty` before.
"""

from .. import estimators
from ..core.promises import Promises
from .convention import Deviations, Framework
from .with_kl import reinforce_plus_plus_baseline as with_kl

__all__ = [
    "dr_grpo",
    "grpo",
    "reinforce_plus_plus",
    "reinforce_plus_plus_baseline",
    "reinforce_plus_plus_baseline_with_kl",
]

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
    "reinforce_plus_plus_baseline_with_kl": {
        "whitening": ("sample", "normalize_advantages, which it requires: over all trained tokens"),
    },
}

FRAMEWORK = Framework("slime", VERSION, DEVIATIONS, executed=False, by_position=True)

grpo = FRAMEWORK("grpo", estimators.grpo)
dr_grpo = FRAMEWORK("dr_grpo", estimators.dr_grpo)
reinforce_plus_plus = FRAMEWORK("reinforce_plus_plus", estimators.reinforce_plus_plus)
reinforce_plus_plus_baseline = FRAMEWORK("reinforce_plus_plus_baseline", estimators.reinforce_plus_plus_baseline)
reinforce_plus_plus_baseline_with_kl = FRAMEWORK(
    "reinforce_plus_plus_baseline_with_kl",
    with_kl,
    promises=Promises(spans_batch=True, equals_get_zero=False),
)
