"""One file per published estimator: its paper, its formula, its spec in numpy, and the function."""

from .asymre import asymre
from .baselined import baselined
from .bi_level_gae import bi_level_gae
from .bnpo import bnpo
from .codapo import codapo
from .delightful import delightful
from .dgpo import dgpo
from .dr_grpo import dr_grpo
from .ds_grpo import ds_grpo
from .entropic import entropic
from .entropy_shaped_grpo import entropy_shaped_grpo
from .finite_horizon_gae import finite_horizon_gae
from .flash_reinforce import flash_reinforce
from .gae import gae
from .gdpo import gdpo
from .gigpo import gigpo
from .gopo import gopo
from .gpg import gpg
from .grpo import grpo
from .grpo_lead import grpo_lead
from .grpo_passk import grpo_passk
from .gtpo import gtpo
from .hgpo import hgpo
from .hicra import hicra
from .hierarchical_grpo import hierarchical_grpo
from .importance_corrected_td import importance_corrected_td
from .iw_opd import iw_opd
from .jsd import jsd
from .lambdapo import lambdapo
from .lampo import lampo
from .length_penalized_grpo import length_penalized_grpo
from .luffy import luffy
from .maxrl import maxrl
from .maxrl_of_order import maxrl_of_order
from .mgpo import mgpo
from .minillm import minillm
from .mt_grpo import mt_grpo
from .n_step import n_step
from .ngrpo import ngrpo
from .normalized import normalized
from .nsr import nsr
from .on_policy_distillation import on_policy_distillation
from .one_sided_grpo import one_sided_grpo
from .opmd import opmd
from .opo import opo
from .optimal_token_baseline import optimal_token_baseline
from .pass_at_k import pass_at_k
from .pkpo import pkpo
from .prime import prime
from .psr import psr
from .pure import pure
from .qae import qae
from .raft import raft
from .reinforce import reinforce
from .reinforce_ada import reinforce_ada
from .reinforce_plus_plus import reinforce_plus_plus
from .reinforce_plus_plus_baseline import reinforce_plus_plus_baseline
from .reinforce_rej import reinforce_rej
from .remax import remax
from .repo import repo
from .retrace import retrace
from .reward_to_go import reward_to_go
from .rloo import rloo
from .rlsd import rlsd
from .rs_grpo import rs_grpo
from .step_reinforce import step_reinforce
from .td_lambda import td_lambda
from .treepo import treepo
from .treerl import treerl
from .turn_gae import turn_gae
from .turn_returns import turn_returns
from .unlikeliness import unlikeliness
from .v_trace import v_trace
from .vapo import vapo
from .vineppo import vineppo
from .vr_cond import vr_cond
from .w_reinforce import w_reinforce

__all__ = [
    "asymre",
    "baselined",
    "bi_level_gae",
    "bnpo",
    "codapo",
    "delightful",
    "dgpo",
    "dr_grpo",
    "ds_grpo",
    "entropic",
    "entropy_shaped_grpo",
    "finite_horizon_gae",
    "flash_reinforce",
    "gae",
    "gdpo",
    "gigpo",
    "gopo",
    "gpg",
    "grpo",
    "grpo_lead",
    "grpo_passk",
    "gtpo",
    "hgpo",
    "hicra",
    "hierarchical_grpo",
    "importance_corrected_td",
    "iw_opd",
    "jsd",
    "lambdapo",
    "lampo",
    "length_penalized_grpo",
    "luffy",
    "maxrl",
    "maxrl_of_order",
    "mgpo",
    "minillm",
    "mt_grpo",
    "n_step",
    "ngrpo",
    "normalized",
    "nsr",
    "on_policy_distillation",
    "one_sided_grpo",
    "opmd",
    "opo",
    "optimal_token_baseline",
    "pass_at_k",
    "pkpo",
    "prime",
    "psr",
    "pure",
    "qae",
    "raft",
    "reinforce",
    "reinforce_ada",
    "reinforce_plus_plus",
    "reinforce_plus_plus_baseline",
    "reinforce_rej",
    "remax",
    "repo",
    "retrace",
    "reward_to_go",
    "rloo",
    "rlsd",
    "rs_grpo",
    "step_reinforce",
    "td_lambda",
    "treepo",
    "treerl",
    "turn_gae",
    "turn_returns",
    "unlikeliness",
    "v_trace",
    "vapo",
    "vineppo",
    "vr_cond",
    "w_reinforce",
]
