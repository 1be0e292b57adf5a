"""rlax 0.1.9: run beside it in the tests.

`rlax/_src/multistep.py` and `vtrace.py`: truncated_generalized_advantage_estimation; lambda_returns and
n_step_bootstrapped_returns, less the values; importance_corrected_td_errors, which the package does not export;
vtrace_td_error_and_advantage. Over rows without holes.
"""

from .. import estimators
from .convention import Deviations, Framework

__all__ = ["gae", "importance_corrected_td_errors", "n_step", "td_lambda", "v_trace"]

VERSION = "0.1.9"

DEVIATIONS: Deviations = {}

FRAMEWORK = Framework("rlax", VERSION, DEVIATIONS, executed=True)

gae = FRAMEWORK("gae", estimators.gae)
td_lambda = FRAMEWORK("td_lambda", estimators.td_lambda)
n_step = FRAMEWORK("n_step", estimators.n_step)
v_trace = FRAMEWORK("v_trace", estimators.v_trace)
importance_corrected_td_errors = FRAMEWORK("importance_corrected_td_errors", estimators.importance_corrected_td)
