"""Any estimator inside OpenRLHF, by the usual arguments of its `train_ppo_ray`.

    python -m advantages.adapters.openrlhf --advantage lampo --advantage-options '{"temperature": 0.5}' -- ARGUMENTS

OpenRLHF forms advantages for a whole rollout in one Ray worker, in a method of `RemoteExperienceMaker`. Ray pickles
that class by its name, so a patch in the driver would not arrive: Ray's `worker_process_setup_hook` replaces the
method in the worker itself, and an environment variable carries what was asked for.
"""

from .request import Request, runtime_env, runtime_env_hook
from .worker import setup

__all__ = ["Request", "runtime_env", "runtime_env_hook", "setup"]
