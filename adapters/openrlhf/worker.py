"""In Ray's worker: OpenRLHF's experience maker forms its advantages with the requested estimator."""

import functools
import importlib.abc
import importlib.util
import sys
from pathlib import Path
from typing import Any

from ... import ops
from ...host import estimate
from ..hooks import MovedHookError, hook
from ..whitening import whitened
from .request import HOST, Plan, Request, plan_for
from .rollout import Rollout, joined

__all__ = ["HOOKS", "MAKER", "check_hooks", "moved", "setup"]

MAKER = "openrlhf.trainer.ppo_utils.experience_maker"

HOOKS = (
    "RemoteExperienceMaker.compute_advantages_and_returns",
    "apply_length_penalties",
    "compute_reward",
    "logger",
)


def setup() -> None:
    """Replace the method as soon as its module is imported; Ray calls this once in each worker process.

    Raises:
        MovedHookError: OpenRLHF has no such module.
        ValueError: nobody said what to replace it with.
    """
    Request.from_environment()
    if MAKER in sys.modules:
        _install(sys.modules[MAKER])
        return
    package = importlib.util.find_spec("openrlhf")
    folders = [] if package is None else package.submodule_search_locations or []
    if not any(Path(folder, *MAKER.split(".")[1:]).with_suffix(".py").is_file() for folder in folders):
        raise moved(MAKER)
    sys.meta_path.insert(0, _WhenImported())


def moved(module: str) -> MovedHookError:
    return MovedHookError(
        f"there is no {module}, which the adapter holds on to; install openrlhf {HOST.tested}, or report this"
    )


def check_hooks(module: Any) -> None:
    for path in HOOKS:
        hook(module, path)


class _WhenImported(importlib.abc.MetaPathFinder):
    """Waits for OpenRLHF to import the module: it keeps deepspeed out of vLLM's workers, and so must the setup."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname != MAKER:
            return None
        sys.meta_path.remove(self)
        spec: Any = importlib.util.find_spec(fullname)
        execute = spec.loader.exec_module

        def execute_and_install(module: Any) -> None:
            execute(module)
            _install(module)

        spec.loader.exec_module = execute_and_install
        return spec


def _install(module: Any) -> None:
    """Make the experience maker use the requested estimator.

    Raises:
        MovedHookError: OpenRLHF has moved something that this replaces or calls.
    """
    check_hooks(module)
    maker = module.RemoteExperienceMaker
    initialise, compute = maker.__init__, maker.compute_advantages_and_returns

    @functools.wraps(initialise)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        initialise(self, *args, **kwargs)
        made = Request.from_environment()
        self.advantages_plan = plan_for(made, self.args)
        module.logger.info(f"advantages: {made.advantage} {dict(self.advantages_plan.settings)} forms the advantages")

    @functools.wraps(compute)
    def compute_advantages_and_returns(self: Any, experiences: list[Any]) -> list[Any]:
        return _advantages(module, self, self.advantages_plan, experiences)

    maker.__init__, maker.compute_advantages_and_returns = __init__, compute_advantages_and_returns


def _advantages(module: Any, maker: Any, plan: Plan, experiences: list[Any]) -> list[Any]:
    """What OpenRLHF's method does, in its order, with the estimator in the place of its own.

    Rewards in at least float32, then length penalties, then the estimator. One that takes `token_rewards` finds the
    clipped reward and the KL penalty in them; advantages of any other are clipped, and then the penalty's
    reward-to-go is added. Whitening, where asked for, comes last.
    """
    import torch

    args, clip = maker.args, maker.args.reward.clip_range
    for e in experiences:
        e.rewards = e.rewards.to(torch.promote_types(e.rewards.dtype, torch.float32), copy=True)
    module.apply_length_penalties(experiences, args)

    def per_token(e: Any, rewards: Any, clip: Any) -> Any:
        """OpenRLHF's token rewards: `rewards` on the last trained token, and the KL penalty on all trained ones."""
        mask = e.action_mask != 0
        return torch.where(mask, module.compute_reward(rewards, maker.kl_ctl.value, e.kl.float(), mask, clip), 0.0)

    with torch.no_grad():
        rollout = Rollout(experiences, [per_token(e, e.rewards, clip) for e in experiences])
        groups = rollout.groups(args.rollout.n_samples_per_prompt)
        words = rollout.words(groups, plan.components, asks_for_valid="valid" in plan.definition.own)
        result = estimate(plan.estimator, words, plan.settings).float()
        sees_penalty = "token_rewards" in plan.definition.inputs
        if clip and not sees_penalty:
            result = result.clamp(*clip)

        counted = rollout.mask & rollout.scored(plan.components)[:, None]
        for e, mask, advantages in zip(experiences, rollout.parts(counted), rollout.parts(result), strict=True):
            if advantages.ndim == 1:
                e.advantages = ops.to_tokens(advantages, mask)
            else:
                e.advantages = torch.where(mask, advantages, 0.0)
            if not sees_penalty:
                penalty = per_token(e, torch.zeros_like(e.rewards), None)
                e.advantages = e.advantages + torch.where(mask, ops.discounted_returns(penalty, mask), 0.0)
            e.returns = e.advantages if e.values is None else e.advantages + e.values

        if plan.whiten:
            advantages = joined([e.advantages for e in experiences])
            if args.algo.advantage.no_std_norm:
                white = torch.where(counted, advantages - ops.masked_mean(advantages, counted), 0.0)
            else:
                white = whitened(advantages, counted, ddof=0, floor=1e-8)
            for e, part in zip(experiences, rollout.parts(white), strict=True):
                e.advantages = part

        rollout.log(groups if args.rollout.n_samples_per_prompt > 1 else None)
    return experiences
