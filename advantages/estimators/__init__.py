"""One file per published estimator: its paper, its formula, its spec in numpy, and the function."""

from .dr_grpo import dr_grpo
from .entropic import entropic
from .gae import gae
from .gdpo import gdpo
from .grpo import grpo
from .lambdapo import lambdapo
from .lampo import lampo
from .maxrl import maxrl
from .maxrl_of_order import maxrl_of_order
from .opmd import opmd
from .pass_at_k import pass_at_k
from .pkpo import pkpo
from .reinforce import reinforce
from .reinforce_plus_plus import reinforce_plus_plus
from .reinforce_plus_plus_baseline import reinforce_plus_plus_baseline
from .rloo import rloo
from .rs_grpo import rs_grpo

__all__ = [
    "dr_grpo",
    "entropic",
    "gae",
    "gdpo",
    "grpo",
    "lambdapo",
    "lampo",
    "maxrl",
    "maxrl_of_order",
    "opmd",
    "pass_at_k",
    "pkpo",
    "reinforce",
    "reinforce_plus_plus",
    "reinforce_plus_plus_baseline",
    "rloo",
    "rs_grpo",
]
