"""ROLL 8eb27cc2 (2026-08-19): from source, not executed.

`roll/utils/functionals.py` and `roll/pipeline/agentic/utils.py`, norm_mean_type and norm_std_type. A lone response is
NaN in rlvr and 0 in agentic there (fault B37); here it is 0. Its gigpo and step_reinforce are for steps in the rows,
with reward_normalization's method "mean" and grouping "traj_group_id"; "mean_std" is `scale=True`, and grouping "batch"
one group for all. identity is no normalization; pairs of norm_mean_type and norm_std_type without a name are settings
of `batch`, such as center="none". The deviation of the batch for steps is not here. Its gigpo merges equal states of
different tasks (fault B5, not reproduced). A deviation of at most 1e-6 counts as 0 there. Both were run once, out of
their package, and agreed to 1e-6.
"""

from .. import estimators
from .convention import Deviations, Framework

__all__ = [
    "agentic_reinforce",
    "batch",
    "dr_grpo",
    "gigpo",
    "grpo",
    "identity",
    "lite_ppo",
    "reinforce",
    "step_reinforce",
]

VERSION = "8eb27cc2 (2026-08-19)"

DEVIATIONS: Deviations = {
    "lite_ppo": {
        "scale": ("batch", "norm_std_type=batch: the deviation of all rewards of the batch"),
    },
    "batch": {
        "center": ("batch", "norm_mean_type=batch"),
        "scale": ("batch", "norm_std_type=batch"),
    },
    "gigpo": {
        "weight": ("steps", "the rollout's part is centred over rows: a rollout counts as often as it has steps"),
    },
    "step_reinforce": {
        "scale": (False, 'method="mean" centres alone'),
    },
    "reinforce": {
        "epsilon": (
            0.0,
            "1e-8 is added to the variance instead: the same to 1e-5 where the deviation is above 0.03",
        ),
    },
}

FRAMEWORK = Framework("roll", VERSION, DEVIATIONS, executed=False, by_position=True)

grpo = FRAMEWORK("grpo", estimators.grpo)
identity = FRAMEWORK("identity", estimators.reinforce)
dr_grpo = FRAMEWORK("dr_grpo", estimators.dr_grpo)
lite_ppo = FRAMEWORK("lite_ppo", estimators.normalized)
batch = FRAMEWORK("batch", estimators.normalized)
reinforce = FRAMEWORK("reinforce", estimators.reinforce_plus_plus)
agentic_reinforce = FRAMEWORK("agentic_reinforce", estimators.turn_returns)
gigpo = FRAMEWORK("gigpo", estimators.gigpo)
step_reinforce = FRAMEWORK("step_reinforce", estimators.step_reinforce)
