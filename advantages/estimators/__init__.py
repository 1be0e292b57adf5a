"""One file per published estimator: its paper, its formula, its spec in numpy, and the function."""

from .asymre import asymre
from .baselined import baselined
from .dgpo import dgpo
from .dr_grpo import dr_grpo
from .entropic import entropic
from .gae import gae
from .gdpo import gdpo
from .gopo import gopo
from .grpo import grpo
from .grpo_lead import grpo_lead
from .grpo_passk import grpo_passk
from .lambdapo import lambdapo
from .lampo import lampo
from .luffy import luffy
from .maxrl import maxrl
from .maxrl_of_order import maxrl_of_order
from .ngrpo import ngrpo
from .nsr import nsr
from .opmd import opmd
from .opo import opo
from .pass_at_k import pass_at_k
from .pkpo import pkpo
from .psr import psr
from .qae import qae
from .raft import raft
from .reinforce import reinforce
from .reinforce_plus_plus import reinforce_plus_plus
from .reinforce_plus_plus_baseline import reinforce_plus_plus_baseline
from .reinforce_rej import reinforce_rej
from .remax import remax
from .rloo import rloo
from .rs_grpo import rs_grpo
from .vr_cond import vr_cond
from .w_reinforce import w_reinforce

__all__ = [
    "asymre",
    "baselined",
    "dgpo",
    "dr_grpo",
    "entropic",
    "gae",
    "gdpo",
    "gopo",
    "grpo",
    "grpo_lead",
    "grpo_passk",
    "lambdapo",
    "lampo",
    "luffy",
    "maxrl",
    "maxrl_of_order",
    "ngrpo",
    "nsr",
    "opmd",
    "opo",
    "pass_at_k",
    "pkpo",
    "psr",
    "qae",
    "raft",
    "reinforce",
    "reinforce_plus_plus",
    "reinforce_plus_plus_baseline",
    "reinforce_rej",
    "remax",
    "rloo",
    "rs_grpo",
    "vr_cond",
    "w_reinforce",
]
