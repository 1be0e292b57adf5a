"""Any estimator inside OpenRLHF, by the usual arguments of its `train_ppo_ray`.

    python -m advantages.adapters.openrlhf --advantage lampo --advantage-options '{"temperature": 0.5}' -- ARGUMENTS

OpenRLHF forms advantages for a whole rollout in one Ray worker, in a method of `RemoteExperienceMaker`. Ray pickles
that class by its name, so a patch in the driver would not arrive: Ray's `worker_process_setup_hook` replaces the
method in the worker itself, and an environment variable carries what was asked for.
"""

import argparse
import functools
import importlib
import importlib.abc
import importlib.util
import json
import os
import runpy
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from .. import ops
from ..call import Definition, definition_of
from ..core.groups import Groups
from ..host import Estimator, check, estimate, resolve
from .hooks import MovedHookError, hook, warn_outside_tested_range
from .hosts import HOSTS

__all__ = ["Request", "main", "runtime_env", "runtime_env_hook", "setup"]

HOST = HOSTS["OpenRLHF"]
VARIABLE = "ADVANTAGES_OPENRLHF"
SETUP = "advantages.adapters.openrlhf.setup"
MAKER = "openrlhf.trainer.ppo_utils.experience_maker"
HOOKS = (
    "RemoteExperienceMaker.compute_advantages_and_returns",
    "apply_length_penalties",
    "compute_reward",
    "logger",
)
FLAGS = {"discount": "gamma", "lambda_": "lambd"}
"""Settings of estimators that OpenRLHF has flags for."""


class Request(NamedTuple):
    """What a run asks for, as it travels to the workers."""

    advantage: str
    """A name in `advantages`, or "package.module:function", importable on every node."""
    options: Mapping[str, Any]
    whiten: bool = False
    """Whether to whiten the advantages over the rollout's tokens, as OpenRLHF does for three of its estimators."""

    @property
    def estimator(self) -> Estimator:
        return resolve(self.advantage)

    @property
    def carrier(self) -> str:
        """The estimator that OpenRLHF's argument parser is told: with gae it trains a critic, with others none."""
        return "gae" if "values" in definition_of(self.estimator).inputs else "reinforce"

    @classmethod
    def checked(cls, advantage: str, options: Mapping[str, Any] | None = None, *, whiten: bool = False) -> "Request":
        """A request, checked as far as it can be without the arguments of the run.

        Raises:
            TypeError: the estimator needs what OpenRLHF never has, or an option is unknown or of the wrong type.
            ValueError: there is no such estimator, or an option is out of range.
        """
        made = cls(advantage, dict(options or {}), whiten)
        d = check(made.estimator, HOST, made.options)
        for setting, flag in FLAGS.items():
            if setting in made.options:
                raise TypeError(f"{d.name}: got the option {setting!r}; under OpenRLHF pass --algo.advantage.{flag}")
        return made

    @classmethod
    def from_environment(cls) -> "Request":
        """The request that `runtime_env` wrote.

        Raises:
            ValueError: there is none.
        """
        text = os.environ.get(VARIABLE)
        if text is None:
            raise ValueError(
                f"the environment variable {VARIABLE} is not set; start the run with "
                "`python -m advantages.adapters.openrlhf`, or take env_vars from `runtime_env`"
            )
        return cls(**json.loads(text))


class Plan(NamedTuple):
    """A request that was checked against the arguments of a run."""

    estimator: Estimator
    definition: Definition
    settings: Mapping[str, Any]
    whiten: bool


# Before training


def plan_for(made: Request, args: Any) -> Plan:
    """Refuse what cannot work with these arguments, and what one of them would be silently ignored for.

    Args:
        args: OpenRLHF's arguments, in its nested form.

    Raises:
        TypeError, ValueError: as `Request.checked`, and where an argument and the estimator do not go together.
    """
    warn_outside_tested_range(HOST)
    advantage, critic = args.algo.advantage, args.critic.model_name_or_path
    words = set(HOST.words)
    if advantage.estimator != "gae" and critic is None:
        words.remove("values")
    if not args.algo.kl.use_loss or args.algo.kl.init_coef <= 0:
        words.remove("ref_token_logprobs")
    d, settings = definition_of(made.estimator), dict(made.options)
    for setting, flag in FLAGS.items():
        value = getattr(advantage, flag)
        if setting in d.settings:
            settings[setting] = value
        elif value != 1:
            raise ValueError(f"--algo.advantage.{flag} is {value}, but {d.name} has no {setting}; drop it")
    check(made.estimator, HOST, settings, words)

    if critic is not None and "values" not in d.inputs:
        raise ValueError(
            f"--critic.model_name_or_path is {critic}, but {d.name} takes no values, and the critic would be trained "
            "for nothing; drop it, and --algo.advantage.estimator gae where it is given"
        )
    if advantage.no_std_norm and not made.whiten:
        raise ValueError(
            "--algo.advantage.no_std_norm is about OpenRLHF's whitening, which this run does not ask for; "
            "add --advantage-whiten or drop it"
        )
    alone = args.rollout.n_samples_per_prompt == 1 and "groups" in d.needed
    if alone and settings.get("singleton", d.settings.get("singleton", "raw")) != "raw":
        raise ValueError(
            f"--rollout.n_samples_per_prompt is 1, and {d.name} compares responses to the same prompt: every "
            'advantage would be 0; pass at least 2, or the option singleton="raw"'
        )
    if _has_components(d):
        names = settings.get("components")
        if not names:
            raise TypeError(
                f"{d.name} takes one reward per component; name them in the option components, as your reward "
                'function returns them in extra_logs ("reward" is the reward itself)'
            )
        penalised = args.reward.overlong_buffer_len is not None or args.reward.stop_properly_penalty_coef is not None
        if penalised and "reward" not in names:
            raise ValueError(
                "OpenRLHF's length penalties change the reward, which is none of the components "
                f'{", ".join(names)}; add "reward" to them, or drop the penalties'
            )
    return Plan(made.estimator, d, settings, made.whiten)


def _has_components(d: Definition) -> bool:
    return ("N",) not in d.shapes.get("rewards", (("N",),))


# In the workers


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
        raise _moved(MAKER)
    sys.meta_path.insert(0, _WhenImported())


def _moved(module: str) -> MovedHookError:
    return MovedHookError(
        f"there is no {module}, which the adapter holds on to; install openrlhf {HOST.tested}, or report this"
    )


def _check_hooks(module: Any) -> None:
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
    _check_hooks(module)
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
        rollout = _Rollout(experiences, [per_token(e, e.rewards, clip) for e in experiences])
        groups = rollout.groups(args.rollout.n_samples_per_prompt)
        components = plan.settings["components"] if _has_components(plan.definition) else None
        result = estimate(plan.estimator, rollout.words(groups, components), plan.settings).float()
        shapes = tuple(rollout.rewards.shape), tuple(rollout.mask.shape)
        if tuple(result.shape) not in shapes:
            raise ValueError(
                f"{plan.definition.name}: returned shape {tuple(result.shape)}; advantages of this rollout must have "
                f"shape {shapes[0]} or {shapes[1]}"
            )
        sees_penalty = "token_rewards" in plan.definition.inputs
        if clip and not sees_penalty:
            result = result.clamp(*clip)

        counted = rollout.mask & rollout.scored(components)[:, None]
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
            advantages = _joined([e.advantages for e in experiences])
            if args.algo.advantage.no_std_norm:
                white = torch.where(counted, advantages - ops.masked_mean(advantages, counted), 0.0)
            else:
                white = ops.whiten(advantages, counted, ddof=0)
            for e, part in zip(experiences, rollout.parts(white), strict=True):
                e.advantages = part

        rollout.log(groups if args.rollout.n_samples_per_prompt > 1 else None)
    return experiences


class _Rollout:
    """The experiences of one rollout as one batch: row after row, in the order in which OpenRLHF holds them.

    Each experience is a micro-batch with a width of its own; the batch is padded on the right to the widest.
    """

    def __init__(self, experiences: list[Any], token_rewards: list[Any]) -> None:
        import torch

        self.experiences, self.token_rewards = experiences, token_rewards
        self.rewards = torch.cat([e.rewards for e in experiences])
        self.mask = _joined([e.action_mask != 0 for e in experiences])
        self.trained = self.mask.any(1)
        """(N,) rows with at least one trained token: a prompt that fills the context leaves none."""

    def parts(self, x: Any) -> list[Any]:
        """(N,) or (N, T) numbers, per experience."""
        parts = x.split([len(e.rewards) for e in self.experiences])
        return [
            part if part.ndim == 1 else part[:, : e.action_mask.shape[1]]
            for e, part in zip(self.experiences, parts, strict=True)
        ]

    def groups(self, per_prompt: int) -> Any:
        """(N,) the number of the prompt that a row answers, from the place that OpenRLHF noted when it sampled.

        Raises:
            ValueError: rows that should answer one prompt have several, as where a response was lost.
        """
        import torch

        ids, prompt_of = [], dict[int, str]()
        for e in self.experiences:
            for place, prompt in zip(e.index, e.prompts, strict=True):
                number = place // per_prompt
                ids.append(number)
                if prompt_of.setdefault(number, prompt) != prompt:
                    raise ValueError(
                        f"responses {number * per_prompt} to {(number + 1) * per_prompt - 1} of the rollout should "
                        f"answer one prompt (--rollout.n_samples_per_prompt is {per_prompt}), but they answer "
                        f"{prompt_of[number]!r} and {prompt!r}; let every prompt return all its responses"
                    )
        return torch.tensor(ids)

    def components(self, names: Sequence[str]) -> Any:
        """(N, K) what the reward function returned under these names, in `extra_logs`."""
        import torch

        columns = []
        for name in names:
            found = [e.info[name] for e in self.experiences if name in e.info]
            if sum(map(len, found)) != len(self.rewards):
                raise ValueError(
                    f"{name} is in extra_logs of {sum(map(len, found))} of {len(self.rewards)} responses; "
                    "return every component for every response, NaN where it was not scored"
                )
            columns.append(torch.cat(found).to(self.rewards.dtype))
        return torch.stack(columns, 1)

    def scored(self, components: Sequence[str] | None) -> Any:
        """(N,) rows with a trained token and a finite reward, or one finite component."""
        import torch

        finite = torch.isfinite(self.rewards if components is None else self.components(components))
        return self.trained & (finite if finite.ndim == 1 else finite.any(1))

    def words(self, groups: Any, components: Sequence[str] | None) -> dict[str, Callable[[], Any]]:
        """The vocabulary, as far as OpenRLHF has it."""

        def joined(name: str) -> Callable[[], Any]:
            return lambda: _joined([getattr(e, name) for e in self.experiences])

        return {
            "rewards": lambda: self.rewards if components is None else self.components(components),
            "groups": lambda: groups,
            "valid": lambda: None if self.trained.all() else self.trained,
            "lengths": lambda: self.mask.sum(1),
            "mask": lambda: self.mask,
            "logprobs": lambda: ops.sequence_logprobs(joined("action_log_probs")(), self.mask),
            "token_logprobs": joined("action_log_probs"),
            "ref_token_logprobs": joined("base_action_log_probs"),
            "token_rewards": lambda: _joined(self.token_rewards),
            "values": joined("values"),
        }

    def log(self, groups: Any) -> None:
        """Write the numbers that OpenRLHF logs, and drop the KL divergences, as it does."""
        import torch

        for e, token_rewards in zip(self.experiences, self.token_rewards, strict=True):
            e.info["return"] = token_rewards.sum(1)
            e.kl = None
        if groups is not None:
            deviations = ops.group_std(self.rewards, Groups(groups).where(torch.isfinite(self.rewards)))
            for e, part in zip(self.experiences, self.parts(deviations), strict=True):
                e.info["group_reward_std"] = part


def _joined(parts: Sequence[Any]) -> Any:
    """(N, T) tensors of several widths as one, with zeros on the right."""
    import torch

    width = max(part.shape[1] for part in parts)
    return torch.cat([torch.nn.functional.pad(part, (0, width - part.shape[1])) for part in parts])


# In the driver


def runtime_env(advantage: str, options: Mapping[str, Any] | None = None, *, whiten: bool = False) -> dict[str, Any]:
    """What `ray.init(runtime_env=...)`, or `ray job submit --runtime-env-json`, needs to know.

    Args:
        advantage: a name in `advantages`, or "package.module:function", importable on every node.
        options: settings of the estimator.
        whiten: whether to whiten the advantages over the rollout's tokens, after the KL penalty.

    Raises:
        TypeError, ValueError: OpenRLHF cannot serve the estimator, or it takes no such options.

    >>> runtime_env("lampo", {"temperature": 0.5})["worker_process_setup_hook"]
    'advantages.adapters.openrlhf.setup'
    """
    text = json.dumps(Request.checked(advantage, options, whiten=whiten)._asdict())
    return {"worker_process_setup_hook": SETUP, "env_vars": {VARIABLE: text}}


def runtime_env_hook(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """A runtime environment with the request of this process added: for Ray's variable `RAY_RUNTIME_ENV_HOOK`.

    Raises:
        ValueError: there is another `worker_process_setup_hook`, of which Ray runs one, or no request.
    """
    made = Request.from_environment()
    merged = dict(given or {})
    other = merged.get("worker_process_setup_hook", SETUP)
    if other != SETUP:
        raise ValueError(
            f"the runtime environment has the worker_process_setup_hook {other!r}, and Ray runs only one; "
            f"call {SETUP}() in it, and pass that alone"
        )
    ours = runtime_env(*made[:2], whiten=made.whiten)
    return {**merged, **ours, "env_vars": {**(merged.get("env_vars") or {}), **ours["env_vars"]}}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run OpenRLHF's `train_ppo_ray` with a requested estimator."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    ours, theirs = (given[: given.index("--")], given[given.index("--") + 1 :]) if "--" in given else (given, None)
    parser = argparse.ArgumentParser(
        prog="python -m advantages.adapters.openrlhf",
        usage="%(prog)s --advantage NAME [options] -- the usual arguments of openrlhf.cli.train_ppo_ray",
        description="OpenRLHF's training by PPO on Ray, with another advantage estimator.",
    )
    parser.add_argument("--advantage", required=True, metavar="NAME", help="an estimator, or package.module:function")
    parser.add_argument(
        "--advantage-options", type=_settings, default={}, metavar="JSON", help="such as '{\"temperature\": 0.5}'"
    )
    parser.add_argument(
        "--advantage-whiten",
        action="store_true",
        help="whiten the advantages over the rollout's tokens at the end, as OpenRLHF does for gae, reinforce and "
        "reinforce_baseline",
    )
    parser.add_argument(
        "--runtime-env", action="store_true", help="print the JSON for `ray job submit --runtime-env-json`, and exit"
    )
    options = parser.parse_args(ours)
    try:
        environment = runtime_env(options.advantage, options.advantage_options, whiten=options.advantage_whiten)
    except (TypeError, ValueError) as error:
        parser.error(str(error))
    if options.runtime_env:
        print(json.dumps(environment))
        return
    if theirs is None:
        parser.error("got no arguments for OpenRLHF; pass them after --")
    named = [name for name in theirs if name.startswith("--algo.advantage.e")]
    if named:
        parser.error(f"{named[0]} names a second estimator; drop it")
    if HOST.version is None:
        parser.error("OpenRLHF is not installed; pip install openrlhf")
    os.environ.update(environment["env_vars"])
    _launch(Request.from_environment(), theirs)


def _settings(text: str) -> dict[str, Any]:
    try:
        settings = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON ({error})") from None
    if not isinstance(settings, dict):
        raise argparse.ArgumentTypeError(f'{text!r} is no JSON object; pass settings by name, {{"temperature": 0.5}}')
    return settings


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise
        raise _moved(name) from None


def _launch(made: Request, arguments: Sequence[str]) -> None:
    ray, config, utils = map(_module, ("ray", "openrlhf.utils.config", "openrlhf.utils"))
    init, hierarchize, get_strategy = hook(ray, "init"), hook(config, "hierarchize"), hook(utils, "get_strategy")
    _check_hooks(_module(MAKER))

    def init_with_setup(*args: Any, runtime_env: Any = None, **kwargs: Any) -> Any:
        return init(*args, runtime_env=runtime_env_hook(runtime_env), **kwargs)

    def checked(flat: Any) -> Any:
        args = hierarchize(flat)
        try:
            plan_for(made, args)
        except (TypeError, ValueError) as error:
            raise SystemExit(f"error: {error}") from None
        return args

    def named(args: Any) -> Any:
        # OpenRLHF's own method refuses this name: without the setup, training stops instead of using the carrier.
        args.algo.advantage.estimator = f"advantages:{made.advantage}"
        return get_strategy(args)

    with (
        _replaced(ray, "init", init_with_setup),
        _replaced(config, "hierarchize", checked),
        _replaced(utils, "get_strategy", named),
        _replaced(sys, "argv", ["train_ppo_ray", *arguments, "--algo.advantage.estimator", made.carrier]),
    ):
        runpy.run_module("openrlhf.cli.train_ppo_ray", run_name="__main__", alter_sys=True)


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


if __name__ == "__main__":
    main()
