"""verl 0.9.1: run beside it in the tests.

`verl/trainer/ppo/core_algos.py`. A NaN reward makes its whole group NaN there; here its row is left out. Its grpo_passk
refuses a lone response, padding rows too (fault B11, not reproduced: here it gets 0). `grpo_vectorized` takes ids for
positions there (ids "7" and "07" are one group); here ids are names. tir_optimal_token_baseline is for outcomes on a
trained token, and gives a group of equals 0 here; optimal_token_baseline, which counts columns, is the same where masks
have no holes.
"""

from .. import estimators
from .convention import Deviations, Framework, over_tokens

__all__ = [
    "dr_grpo",
    "gae",
    "gdpo",
    "gpg",
    "grpo",
    "grpo_passk",
    "grpo_vectorized",
    "opo",
    "reinforce_plus_plus",
    "reinforce_plus_plus_baseline",
    "remax",
    "rloo",
    "rloo_vectorized",
    "tir_optimal_token_baseline",
]

VERSION = "0.9.1"

DEVIATIONS: Deviations = {
    "grpo": {
        "singleton": ("raw", "a lone response keeps its reward: its group is taken to have mean 0"),
    },
    "grpo_vectorized": {
        "singleton": ("raw", "a lone response keeps its reward: its group is taken to have mean 0"),
    },
    "dr_grpo": {
        "singleton": ("raw", "a lone response keeps its reward: its group is taken to have mean 0"),
    },
    "gpg": {
        "singleton": ("raw", "a lone response keeps its reward: its group is taken to have mean 0"),
    },
    "opo": {
        "singleton": ("raw", "a lone response keeps its reward: its group is taken to have mean 0"),
    },
    "grpo_passk": {
        "scale": (True, "norm_adv_by_std_in_grpo: divided by the group's deviation by default"),
    },
    "gdpo": {
        "singleton": ("raw", "a lone response keeps its components: its group is taken to have mean 0"),
        "whitening": ("sample", "the weighted sum is whitened over all trained tokens, not over responses"),
    },
    "tir_optimal_token_baseline": {
        "tail": ("raw", "handle_zero_tail: where one response alone goes on it has no baseline"),
        "singleton": ("raw", "a lone response keeps its reward"),
    },
    "remax": {
        "masked_rewards": ("lost", "a reward on a masked token is lost: fault B7, reproduced on purpose"),
    },
    "rloo": {
        "singleton": ("raw", "a lone response keeps its reward, where rloo_vectorized gives it 0"),
    },
    "reinforce_plus_plus": {
        "epsilon": (
            0.0,
            "1e-8 is added to the variance instead: the same to 1e-5 where the deviation is above 0.03",
        ),
        "masked_rewards": ("lost", "a reward on a masked token is lost: fault B7, reproduced on purpose"),
    },
    "reinforce_plus_plus_baseline": {
        "epsilon": (
            0.0,
            "1e-8 is added to the variance instead: the same to 1e-5 where the deviation is above 0.03",
        ),
        "singleton": ("raw", "a lone response keeps its reward: its group is taken to have mean 0, before whitening"),
    },
    "gae": {
        "lambda_": (1.0, "the default of algorithm.lam"),
        "masked_rewards": ("lost", "a reward on a masked token is lost: fault B7, reproduced on purpose"),
        "whitening": ("sample", "advantages are whitened over all trained tokens"),
    },
}

FRAMEWORK = Framework("verl", VERSION, DEVIATIONS, executed=True)

grpo = FRAMEWORK("grpo", estimators.grpo)
grpo_vectorized = FRAMEWORK("grpo_vectorized", estimators.grpo)
dr_grpo = FRAMEWORK("dr_grpo", estimators.dr_grpo)
rloo = FRAMEWORK("rloo", estimators.rloo)
rloo_vectorized = FRAMEWORK("rloo_vectorized", estimators.rloo)
reinforce_plus_plus = FRAMEWORK("reinforce_plus_plus", estimators.reinforce_plus_plus)
reinforce_plus_plus_baseline = FRAMEWORK("reinforce_plus_plus_baseline", estimators.reinforce_plus_plus_baseline)
gae = FRAMEWORK("gae", estimators.gae)
gdpo = FRAMEWORK("gdpo", over_tokens(estimators.gdpo))
gpg = FRAMEWORK("gpg", estimators.gpg)
opo = FRAMEWORK("opo", estimators.opo)
grpo_passk = FRAMEWORK("grpo_passk", estimators.grpo_passk)
remax = FRAMEWORK("remax", estimators.remax)
tir_optimal_token_baseline = FRAMEWORK("tir_optimal_token_baseline", estimators.optimal_token_baseline)
