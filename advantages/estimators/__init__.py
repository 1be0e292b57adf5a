"""One file per published estimator: its paper, its formula, its spec in numpy, and the function."""

from .bi_level_gae import bi_level_gae
from .dr_grpo import dr_grpo
from .finite_horizon_gae import finite_horizon_gae
from .gae import gae
from .gdpo import gdpo
from .gigpo import gigpo
from .grpo import grpo
from .lambdapo import lambdapo
from .lampo import lampo
from .mt_grpo import mt_grpo
from .n_step import n_step
from .optimal_token_baseline import optimal_token_baseline
from .prime import prime
from .pure import pure
from .reinforce import reinforce
from .reinforce_plus_plus import reinforce_plus_plus
from .reinforce_plus_plus_baseline import reinforce_plus_plus_baseline
from .retrace import retrace
from .reward_to_go import reward_to_go
from .rloo import rloo
from .step_reinforce import step_reinforce
from .td_lambda import td_lambda
from .turn_gae import turn_gae
from .turn_returns import turn_returns
from .v_trace import v_trace
from .vapo import vapo
from .vineppo import vineppo

__all__ = [
    "bi_level_gae",
    "dr_grpo",
    "finite_horizon_gae",
    "gae",
    "gdpo",
    "gigpo",
    "grpo",
    "lambdapo",
    "lampo",
    "mt_grpo",
    "n_step",
    "optimal_token_baseline",
    "prime",
    "pure",
    "reinforce",
    "reinforce_plus_plus",
    "reinforce_plus_plus_baseline",
    "retrace",
    "reward_to_go",
    "rloo",
    "step_reinforce",
    "td_lambda",
    "turn_gae",
    "turn_returns",
    "v_trace",
    "vapo",
    "vineppo",
]
