"""Every estimator keeps every promise, on every library that is installed."""

import advantages
from advantages.testing import conforms

EXPECTED = {
    "normalized": {"gives_equal_rewards_exactly_zero": 'the mean of the "batch", or "none", is not that of the group'},
}

for _name in advantages.estimators.__all__:
    globals()[f"test_{_name}"] = conforms(getattr(advantages, _name), expected_failures=EXPECTED.get(_name))
