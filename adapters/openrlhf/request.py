"""What a run of OpenRLHF asks for: how it travels to Ray's workers, and what is refused before training."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...core.definition import Definition, definition_of
from ...core.naming import nearest
from ...host import Estimator, check, check_group_size, resolve, with_flags
from ..hooks import warn_outside_tested_range
from ..hosts import HOSTS

__all__ = ["HOST", "SETUP", "VARIABLE", "Plan", "Request", "plan_for", "runtime_env", "runtime_env_hook"]

HOST = HOSTS["OpenRLHF"]
VARIABLE = "ADVANTAGES_OPENRLHF"
SETUP = "advantages.adapters.openrlhf.setup"
_EXAMPLE = """write it as in '{"advantage": "lampo", "options": {"temperature": 0.5}}'"""


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

    @property
    def marker(self) -> str:
        """What OpenRLHF's own method is told: a name that it refuses, so that it cannot form the advantages itself."""
        return f"advantages:{self.advantage}"

    @classmethod
    def checked(cls, advantage: str, options: Mapping[str, Any] | None = None, *, whiten: bool = False) -> "Request":
        """A request, checked as far as it can be without the arguments of the run.

        Raises:
            TypeError: the estimator is not named, or needs what OpenRLHF never has, or an option is unknown or of the
                wrong type.
            ValueError: there is no such estimator, or an option is out of range.
        """
        if not isinstance(advantage, str):
            raise TypeError(
                f"advantage is {advantage!r}, which Ray's workers cannot import; pass a name of `advantages`, or "
                "'package.module:function' that is importable on every node"
            )
        made = cls(advantage, {} if options is None else options, whiten)
        check(made.estimator, HOST, made.options)
        return made._replace(options=dict(made.options))

    @classmethod
    def from_environment(cls) -> "Request":
        """The request that `runtime_env` wrote.

        Raises:
            ValueError: there is none, or it is something else.
        """
        text = os.environ.get(VARIABLE)
        if text is None:
            raise ValueError(
                f"the environment variable {VARIABLE} is not set; start the run with "
                "`python -m advantages.adapters.openrlhf`, or take env_vars from `runtime_env`"
            )
        try:
            given = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"{VARIABLE} is {text!r}, which is no JSON ({error}); {_EXAMPLE}") from None
        for key in given if isinstance(given, dict) else ():
            if key not in cls._fields:
                guess = nearest(key, cls._fields)
                raise ValueError(
                    f"{VARIABLE} has the key {key!r}; it may have {', '.join(cls._fields)}"
                    + (f"; did you mean {guess!r}?" if guess else "")
                )
        if not isinstance(given, dict) or not isinstance(given.get("advantage"), str):
            raise ValueError(f"{VARIABLE} is {text!r}, which names no estimator under the key 'advantage'; {_EXAMPLE}")
        made = cls(**{"options": {}, **given})
        if not isinstance(made.whiten, bool):
            raise ValueError(f"{VARIABLE} says that whiten is {made.whiten!r}; pass true or false")
        return made


class Plan(NamedTuple):
    """A request that was checked against the arguments of a run."""

    estimator: Estimator
    definition: Definition
    settings: Mapping[str, Any]
    whiten: bool
    components: Sequence[str] | None
    """Names of the reward's components, where the estimator takes them apart."""


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
    d = check(made.estimator, HOST, made.options, words)
    settings = with_flags(d, HOST, made.options, {"discount": advantage.gamma, "lambda_": advantage.lambd})
    check_group_size(d, HOST, settings, args.rollout.n_samples_per_prompt)

    if advantage.estimator not in ("gae", "reinforce", made.marker):
        raise ValueError(
            f"--algo.advantage.estimator is {advantage.estimator}, but {made.advantage} forms the advantages of this "
            f"run; pass {made.carrier}, which makes OpenRLHF load what {d.name} needs"
        )
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
    names = settings.get("components") if d.by_component else None
    if d.by_component:
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
    return Plan(made.estimator, d, settings, made.whiten, names)


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
