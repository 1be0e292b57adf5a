"""One file per published estimator: its paper, its formula, its spec in numpy, and the function."""

from .dr_grpo import dr_grpo
from .gae import gae
from .gdpo import gdpo
from .grpo import grpo
from .lambdapo import lambdapo
from .lampo import lampo
from .normalized import normalized
from .reinforce import reinforce
from .reinforce_plus_plus import reinforce_plus_plus
from .reinforce_plus_plus_baseline import reinforce_plus_plus_baseline
from .rloo import rloo

__all__ = [
    "dr_grpo",
    "gae",
    "gdpo",
    "grpo",
    "lambdapo",
    "lampo",
    "normalized",
    "reinforce",
    "reinforce_plus_plus",
    "reinforce_plus_plus_baseline",
    "rloo",
]
