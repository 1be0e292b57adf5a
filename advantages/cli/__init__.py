"""The `advantages` command: each command is a module here.

Exit codes, one meaning each: 0, done; 1, done, and found what the command looks for (a failed check, a difference,
something that stands out); 2, not done, and a sentence on standard error says why; 128 + the signal's number, stopped
by a signal.
"""

import argparse
import importlib
import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..version import __version__
from .fields import no_such_option, options_in

__all__ = ["command", "main"]


class _Command(NamedTuple):
    """Where a command is, and what must be installed for it."""

    help: str
    module: str
    description: str = ""
    extra: str = ""
    """Of this package, that brings the modules."""
    modules: tuple[str, ...] = ()


_COMMANDS = {
    "list": _Command("the estimators: what each needs and promises, and its paper", "list"),
    "show": _Command("one estimator: its formula, arguments, promises and paper", "show"),
    "check": _Command(
        "check an estimator, your own for instance, against everything it should promise",
        "check",
        "Draws examples, checks one property after the other, and prints the smallest counterexample of each that "
        "fails. Exits with 1 where one fails.",
        extra="testing",
        modules=("hypothesis", "rich"),
    ),
    "adapters": _Command("the frameworks: installed or not, and which estimators work there", "adapters"),
    "diff": _Command(
        "where two estimators part on your own rollouts: which rows, by how much, at which stage",
        "diff",
        "Exits with 1 where they differ. Conventions have names such as verl.rloo or trl.grpo.",
    ),
    "diagnose": _Command(
        "is the run dead, and why: look at your own rollouts and their advantages",
        "diagnose",
        "Exits with 1 where something stands out.",
    ),
    "plan": _Command(
        "what a group size gives at a pass rate: informative groups, effective sample size, exact variance",
        "plan",
    ),
    "compare": _Command("several estimators on your own rollouts, side by side", "compare"),
    "explain": _Command(
        "a dry run of an estimator on your own rollouts: words, settings, formula, and what it would give", "explain"
    ),
    "lab": _Command(
        "the exact expected update of every estimator beside the gradient of its own objective",
        "lab",
        "Everything that can happen in three small worlds is enumerated; nothing is sampled.",
    ),
    "vectors": _Command(
        "write small cases with their advantages as JSON, for implementations in any language",
        "vectors",
        "A file that says the same, but for a twelfth digit, is left as it is; docs/vectors.md shows how to use them.",
    ),
    "bench": _Command(
        "time the estimators beside the lines that one would write, and beside other packages where installed",
        "bench",
        "Everything runs in one process on the same inputs; results are verified on fresh random inputs before they "
        "are timed.",
        extra="train",
        modules=("torch",),
    ),
    "train": _Command(
        "train a model by reinforcement learning; the default learns before your eyes in about a minute",
        "train",
        "The embedded default: a tiny model, from scratch, on a CPU. Writes config, metrics, results, a plot and a "
        "report into the folder of the run.",
        extra="train",
        modules=("torch", "transformers", "matplotlib", "rich", "scipy"),
    ),
    "compare-runs": _Command(
        "compare recorded runs: means with 95%% intervals, and differences paired by seed",
        "compare_runs",
        "Runs that differ in the seed alone are one variant. Prints tables, and writes compare.html and compare.json.",
        extra="train",
        modules=("matplotlib", "rich", "scipy"),
    ),
    "eval": _Command(
        "evaluate a model on a benchmark: pass@k and maj@k, with intervals",
        "eval",
        "Asks each problem several times, grades the answers, and writes every completion and the results into a "
        "folder. May be stopped at any moment, and resumed.",
        extra="train",
        modules=("torch", "transformers", "math_verify", "rich", "scipy"),
    ),
}


_EXIT_CODES = (
    "Exit codes: 0 done; 1 done, and found what is looked for; 2 not done, for the reason that is printed; 128 + n "
    "stopped by signal n."
)


def command() -> int:
    """Run the command line; the exit status, 2 where it was refused with a sentence."""
    try:
        status = main()
        sys.stdout.flush()
    except SystemExit as end:
        if not isinstance(end.code, str):
            raise
        print(end.code, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:  # who reads has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where the rest goes when Python ends
        return 128 + signal.SIGPIPE
    return status


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(
        prog="advantages",
        allow_abbrev=False,
        description="Advantage estimators for reinforcement learning of language models.",
        epilog=_EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"advantages {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    parsers = {}
    for name, command in _COMMANDS.items():
        said = f"{command.help[0].upper()}{command.help[1:]}. {command.description}".replace("%%", "%")
        parsers[name] = commands.add_parser(
            name, help=command.help, description=said, epilog=_EXIT_CODES, allow_abbrev=False
        )
        _of(command, "add_arguments")(parsers[name])

    options, more = parser.parse_known_args(arguments)
    if more and options.command != "train":  # which has settings of estimators, --estimator.temperature
        known = options_in(parsers[options.command])
        raise SystemExit(f"advantages {options.command}: {no_such_option(more[0], known, options.command)}")
    command = _COMMANDS[options.command]
    missing = [module for module in command.modules if not importlib.util.find_spec(module)]
    if missing:
        raise SystemExit(f"this command needs {', '.join(missing)}; pip install 'rl-advantages[{command.extra}]'")
    run = _of(command, "run")
    status: int = run(options, more) if options.command == "train" else run(options)
    return status


def _of(command: _Command, name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(importlib.import_module(f".{command.module}", __name__), name)
    return found
