"""torchrl 0.14.1: run beside it in the tests, but for grpo.

`torchrl/objectives/value/functional.py`, over rows without holes, and `objectives/llm/grpo.py`, from source. Until
August 2026 its V-trace looked across the end of a truncated episode (fault B29, mended since).
"""

from .. import estimators
from .convention import Deviations, Framework

__all__ = ["gae", "grpo", "reward_to_go", "td_lambda", "v_trace"]

VERSION = "0.14.1"

DEVIATIONS: Deviations = {
    "grpo": {
        "epsilon": (0.0, "the deviation has a floor of 1e-6 instead"),
    },
}

FRAMEWORK = Framework("torchrl", VERSION, DEVIATIONS, executed=True)

_READ = Framework("torchrl", VERSION, DEVIATIONS, executed=False)

grpo = _READ("grpo", estimators.grpo)
gae = FRAMEWORK("gae", estimators.gae)
td_lambda = FRAMEWORK("td_lambda", estimators.td_lambda)
v_trace = FRAMEWORK("v_trace", estimators.v_trace)
reward_to_go = FRAMEWORK("reward_to_go", estimators.reward_to_go)
