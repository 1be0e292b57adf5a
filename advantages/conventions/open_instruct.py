"""open-instruct wheels and snapshots of November 2026: from source, not executed.

Centring alone is the default; `standard` is its other normalisation.
"""

from .. import estimators
from .convention import Deviations, Framework

__all__ = ["centered", "standard"]

VERSION = "wheels and snapshots of November 2026"

DEVIATIONS: Deviations = {
    "standard": {
        "ddof": (0, "numpy's deviation"),
        "epsilon": (1e-08, "added to the deviation"),
    },
}

FRAMEWORK = Framework("open_instruct", VERSION, DEVIATIONS, executed=False)

centered = FRAMEWORK("centered", estimators.dr_grpo)
standard = FRAMEWORK("standard", estimators.grpo)
