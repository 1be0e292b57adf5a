"""NeMo-RL 7ea279ab (2026-08-22): from source, not executed.

`nemo_rl/algorithms/advantage_estimator.py`. The deviation of the others is E[x^2] - E[x]^2 there, so that others that
are equal have one of rounding, and a lone winner 172196 (fault B2, not reproduced: it hangs on rounding); here they
have 0, and are not divided by it. Its gdpo wants at least two components. Its reinforce_plus_plus whitens outcomes;
reinforce_plus_plus_with_kl is that with use_kl_in_reward, where each token pays for its own divergence alone (log-
ratios are cut at 20 there, and penalties at 10: not here). normalized_raw_reward is raw_reward with
normalize_advantages, and reinforce_plus_plus without minus_baseline. Its gae and vapo put the outcome on the last
trained token; vapo is gae with length_adaptive_alpha, whose critic has gae_lambda_value=1.0. Its estimators of
components and tokens were run once, out of their package, and agreed to 1e-6.
"""

from typing import Any

from .. import estimators
from ..core.promises import Promises
from .convention import Deviations, Framework, over_tokens
from .with_kl import reinforce_plus_plus_baseline as with_kl

__all__ = [
    "dr_grpo",
    "gae",
    "gdpo",
    "group_grpo",
    "grpo",
    "normalized_raw_reward",
    "opd",
    "raw_reward",
    "reinforce_plus_plus",
    "reinforce_plus_plus_with_kl",
    "rloo",
    "vapo",
]

VERSION = "7ea279ab (2026-08-22)"

_TOKENS: dict[str, tuple[Any, str]] = {
    "masked_rewards": ("lost", "token rewards are multiplied by the mask"),
    "whitening": ("sample", "normalize_advantages: whitened over all trained tokens"),
}

_POPULATION: dict[str, tuple[Any, str]] = {
    "whitening": ("population", "over all trained tokens; the variance is at least 1e-8"),
}

DEVIATIONS: Deviations = {
    "grpo": {
        "center": ("others", "use_leave_one_out_baseline is the default"),
        "scale": ("others", "the deviation of the others, and undivided where it is 0"),
    },
    "gdpo": {
        "statistics": ("others", "use_leave_one_out_baseline is the default, component by component"),
        "batch_epsilon": (0.0, "nothing is added to the batch's deviation"),
    },
    "reinforce_plus_plus": {
        "ddof": (0, "the population's deviation over all trained tokens"),
        "epsilon": (0.0, "the variance is at least 1e-8 instead"),
    },
    "reinforce_plus_plus_with_kl": {
        **_POPULATION,
        "beta": (0.01, "reference_policy_kl_penalty"),
        "kind": ("k3", "reference_policy_kl_type"),
    },
    "normalized_raw_reward": _POPULATION,
    "gae": _TOKENS,
    "vapo": _TOKENS,
}

FRAMEWORK = Framework("nemo_rl", VERSION, DEVIATIONS, executed=False)

grpo = FRAMEWORK("grpo", estimators.normalized)
group_grpo = FRAMEWORK("group_grpo", estimators.grpo)
rloo = FRAMEWORK("rloo", estimators.rloo)
dr_grpo = FRAMEWORK("dr_grpo", estimators.dr_grpo)
raw_reward = FRAMEWORK("raw_reward", estimators.reinforce)
opd = FRAMEWORK("opd", estimators.on_policy_distillation)
gdpo = FRAMEWORK("gdpo", estimators.gdpo, promises=Promises(spans_batch=True, shift_invariant=True))
reinforce_plus_plus = FRAMEWORK("reinforce_plus_plus", estimators.reinforce_plus_plus_baseline)
reinforce_plus_plus_with_kl = FRAMEWORK(
    "reinforce_plus_plus_with_kl",
    with_kl,
    promises=Promises(spans_batch=True, equals_get_zero=False),
)
normalized_raw_reward = FRAMEWORK("normalized_raw_reward", over_tokens(estimators.reinforce))
gae = FRAMEWORK("gae", estimators.gae)
vapo = FRAMEWORK("vapo", estimators.vapo)
