"""OpenRLHF's `train_ppo_ray` with another estimator: `python -m advantages.adapters.openrlhf --advantage NAME --`."""

import argparse
import importlib
import json
import os
import runpy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ...core.naming import nearest
from ..hooks import hook
from .request import HOST, Request, plan_for, runtime_env, runtime_env_hook
from .worker import MAKER, check_hooks, moved

__all__ = ["main"]

_OPTIONS = ("--advantage", "--advantage-options", "--advantage-whiten", "--runtime-env")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run OpenRLHF's `train_ppo_ray` with a requested estimator."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    ours, theirs = (given[: given.index("--")], given[given.index("--") + 1 :]) if "--" in given else (given, None)
    parser = argparse.ArgumentParser(
        prog="python -m advantages.adapters.openrlhf",
        usage="%(prog)s --advantage NAME [options] -- the usual arguments of openrlhf.cli.train_ppo_ray",
        description="OpenRLHF's training by PPO on Ray, with another advantage estimator.",
        allow_abbrev=False,
    )
    parser.add_argument("--advantage", metavar="NAME", help="an estimator, or package.module:function")
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
    options, unknown = parser.parse_known_args(ours)
    if unknown:
        name = unknown[0].partition("=")[0]
        guess = nearest(name, _OPTIONS)
        parser.error(
            f"takes no {name}; " + (f"did you mean {guess}?" if guess else "arguments of OpenRLHF come after --")
        )
    if options.advantage is None:
        parser.error("names no estimator; pass --advantage lampo, for one")
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
        raise moved(name) from None


def _launch(made: Request, arguments: Sequence[str]) -> None:
    ray, config, utils = map(_module, ("ray", "openrlhf.utils.config", "openrlhf.utils"))
    init, hierarchize, get_strategy = hook(ray, "init"), hook(config, "hierarchize"), hook(utils, "get_strategy")
    check_hooks(_module(MAKER))

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
        args.algo.advantage.estimator = made.marker
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
