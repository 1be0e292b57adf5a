"""The `advantages` command."""

import argparse
import importlib.util
from collections.abc import Sequence

from ..version import __version__

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(
        prog="advantages", description="Advantage estimators for reinforcement learning of language models."
    )
    parser.add_argument("--version", action="version", version=f"advantages {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="the estimators: what each needs and promises")
    _add_check(commands)
    commands.add_parser("adapters", help="the frameworks: installed or not, and which estimators work there")

    differ = commands.add_parser(
        "diff",
        help="where two estimators part on your own rollouts: which rows, by how much, at which stage",
        description="Exits with 1 where they differ. Conventions have names such as verl.rloo or trl.grpo.",
    )
    from .diff import add_arguments as add_diff

    add_diff(differ)

    train = commands.add_parser(
        "train",
        help="train a model by reinforcement learning; the default learns before your eyes in about a minute",
        description="The embedded default: a tiny model, from scratch, on a CPU. Writes config, metrics, results, a "
        "plot and a report into the folder of the run.",
    )
    compared = commands.add_parser(
        "compare-runs",
        help="compare recorded runs: means with 95%% intervals, and differences paired by seed",
        description="Runs that differ in the seed alone are one variant. Prints tables, and writes compare.html and "
        "compare.json.",
    )
    from .train import add_arguments, add_compare_arguments

    add_arguments(train)
    add_compare_arguments(compared)

    evaluation = commands.add_parser(
        "eval",
        help="evaluate a model on a benchmark: pass@k and maj@k, with intervals",
        description="Asks each problem several times, grades the answers, and writes every completion and the results "
        "into a folder. May be stopped at any moment, and resumed.",
    )
    from .eval import add_arguments as add_evaluation

    add_evaluation(evaluation)

    options, more = parser.parse_known_args(arguments)
    if more and options.command != "train":
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    match options.command:
        case "list":
            from ..catalogue import markdown

            print(markdown())
            return 0
        case "adapters":
            print(_adapters())
            return 0
        case "diff":
            from .diff import run as run_diff

            return run_diff(options)
        case "train":
            _need("train", "torch", "transformers", "matplotlib", "rich", "scipy")
            from .train import train as run_training

            return run_training(options, more)
        case "compare-runs":
            _need("train", "matplotlib", "rich", "scipy")
            from .train import compare_runs

            return compare_runs(options)
        case "eval":
            _need("train", "torch", "transformers", "math_verify", "rich", "scipy")
            from .eval import run as run_evaluation

            return run_evaluation(options)
        case _:
            _need("testing", "hypothesis", "rich")
            from .check import run

            return run(options)


def _add_check(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    check = commands.add_parser(
        "check",
        help="check an estimator, your own for instance, against everything it should promise",
        description="Draws examples, checks one property after the other, and prints the smallest counterexample of "
        "each that fails. Exits with 1 where one fails.",
    )
    libraries = ("numpy", "torch", "jax")
    check.add_argument("estimator", help="a name in `advantages`, package.module:function, or path/to/file.py:function")
    check.add_argument("--spec", help="an oracle to compare with, package.module:function")
    check.add_argument(
        "--library",
        default="numpy",
        choices=libraries,
        help="array library that the properties are checked on (default: numpy)",
    )
    check.add_argument(
        "--libraries",
        nargs="+",
        choices=libraries,
        help="libraries that must agree (default: all installed ones for an @estimator, else none)",
    )
    check.add_argument(
        "--singleton", default="zero", choices=("zero", "raw"), help="what a lone response gets (default: zero)"
    )
    check.add_argument("--examples", type=int, default=100, help="examples that each check draws (default: 100)")
    check.add_argument("--seed", type=int, default=0, help="seed of the examples (default: 0)")
    check.add_argument(
        "--expect-failure",
        action="append",
        default=[],
        metavar="CHECK=REASON",
        help="a check that is known to fail, and why; may be given several times",
    )


def _adapters() -> str:
    from .. import estimators
    from ..adapters.hosts import HOSTS

    lines = []
    for host in HOSTS.values():
        state = f"{host.version} installed" if host.version else "not installed"
        against = "the real package" if host.real else "a stand-in: not run against the real package"
        lines.append(f"{host.name}: {state}; tested {host.tested}, against {against}")
        lacks = {name: host.lacks(getattr(estimators, name)) for name in estimators.__all__}
        lines.append(f"  work:   {', '.join(name for name, words in lacks.items() if not words)}")
        lines += [f"  lacks {', '.join(words)}: {name}" for name, words in lacks.items() if words]
    return "\n".join(lines)


def _need(extra: str, *modules: str) -> None:
    missing = [module for module in modules if not importlib.util.find_spec(module)]
    if missing:
        raise SystemExit(f"this command needs {', '.join(missing)}; pip install 'rl-advantages[{extra}]'")
