"""Every estimator keeps every promise, on every library that is installed."""

import advantages
from advantages.testing import conforms

for _name in advantages.estimators.__all__:
    globals()[f"test_{_name}"] = conforms(getattr(advantages, _name))
