"""`advantages check`: the verdicts on an estimator, readable in a terminal."""

import argparse
import json
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..compose import among, stages_of
from ..core.naming import resolve
from ..diff import named

if TYPE_CHECKING:
    from ..testing.conforms import Verdict

__all__ = ["add_arguments", "run"]

_MARKS = {
    "holds": ("green", "holds"),
    "fails": ("bold red", "FAILS"),
    "fails as expected": ("yellow", "fails as expected"),
    "holds unexpectedly": ("bold red", "HOLDS UNEXPECTEDLY"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `advantages check`."""
    libraries = ("numpy", "torch", "jax")
    parser.add_argument(
        "estimator", help="a name in `advantages`, verl.grpo, package.module:function or path/file.py:function"
    )
    parser.add_argument(
        "--then",
        action="append",
        default=[],
        metavar="STAGE.SETTING=VALUE",
        help="a stage around the estimator, such as entropy_shaped.alpha=0.4; may be given several times",
    )
    parser.add_argument("--spec", help="an oracle to compare with, package.module:function")
    parser.add_argument(
        "--library",
        default="numpy",
        choices=libraries,
        help="array library that the properties are checked on (default: numpy)",
    )
    parser.add_argument(
        "--libraries",
        nargs="+",
        choices=libraries,
        help="libraries that must agree (default: all installed ones for an @estimator, else none)",
    )
    parser.add_argument(
        "--singleton", default="zero", choices=("zero", "raw"), help="what a lone response gets (default: zero)"
    )
    parser.add_argument("--examples", type=int, default=100, help="examples that each check draws (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the examples (default: 0)")
    parser.add_argument(
        "--expect-failure",
        action="append",
        default=[],
        metavar="CHECK=REASON",
        help="a check that is known to fail, and why; may be given several times",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Print a verdict per property; 1 where one fails, else 0."""
    from rich.console import Console
    from rich.text import Text

    from ..testing.conforms import verdicts
    from ..testing.subject import Subject, installed_libraries

    console = Console(highlight=False, soft_wrap=True, quiet=options.json)
    expected = dict(_pair(text) for text in options.expect_failure)
    for library in {options.library, *(options.libraries or ())}:
        if library not in installed_libraries():
            raise SystemExit(f"--library {library}: not installed; pip install 'rl-advantages[{library}]'")
    try:
        subject = Subject(
            among(named(options.estimator), stages_of(options.then)),
            spec=resolve(options.spec, what="spec") if options.spec else None,
            library=options.library,
            libraries=options.libraries,
            singleton=options.singleton,
        )
    except (TypeError, ValueError) as error:
        raise SystemExit(f"advantages check: {error}") from None

    console.print(f"\n[bold]{subject.definition.name}[/]{subject.definition.signature}", markup=True, style=None)
    also = f"; must agree, compile and vectorise on {', '.join(subject.libraries)}" if subject.libraries else ""
    console.print(f"properties on {subject.library}{also}\n", style="dim")
    counts = dict.fromkeys(_MARKS, 0)
    silent: dict[str, list[str]] = {}
    told: list[dict[str, str]] = []
    with warnings.catch_warnings(), console.status("") as status:
        warnings.simplefilter("ignore", RuntimeWarning)  # what NaN does to the estimator is the verdict's to say
        found = verdicts(subject, examples=options.examples, random_seed=options.seed, expected_failures=expected)
        try:
            for verdict in found:
                check = verdict.check
                told.append({"check": check.name, "outcome": verdict.outcome, "detail": verdict.detail})
                if verdict.outcome == "does not apply":
                    silent.setdefault(verdict.detail, []).append(verdict.check.sentence)
                else:
                    counts[verdict.outcome] += 1
                    _show(console, Text, verdict)
                status.update(f"{sum(counts.values()) + sum(map(len, silent.values()))} checked")
        except ValueError as error:
            raise SystemExit(f"advantages check: {error}") from None
    if silent:
        reasons = "; ".join(
            f"{reason}: {sentences[0]}" + (f" and {len(sentences) - 1} more" if len(sentences) > 1 else "")
            for reason, sentences in silent.items()
        )
        console.print(Text(f"\n  {sum(map(len, silent.values()))} do not apply ({reasons})", style="dim"))
    failed = counts["fails"] + counts["holds unexpectedly"]
    if options.json:
        print(json.dumps({"estimator": subject.definition.name, "verdicts": told}))
    summary = ", ".join(f"{count} {_plural(outcome, count)}" for outcome, count in counts.items() if count)
    console.print(f"\n{summary}", style="bold red" if failed else "bold green")
    return 1 if failed else 0


def _show(console: Any, text: Callable[..., Any], verdict: "Verdict") -> None:
    style, mark = _MARKS[verdict.outcome]
    console.print(text(f"  {mark:<8}", style=style).append(verdict.check.sentence, style="default"))
    if verdict.outcome in ("fails", "holds unexpectedly"):
        for detail in verdict.detail.splitlines():
            console.print(text(f"          {detail}"))
        console.print(text(f"          {verdict.check.why}\n", style="italic dim"))


def _plural(outcome: str, count: int) -> str:
    verb, _, rest = outcome.partition(" ")
    plural = {"holds": "hold", "fails": "fail"}
    return f"{verb if count == 1 else plural[verb]} {rest}".strip()


def _pair(text: str) -> tuple[str, str]:
    name, _, reason = text.partition("=")
    if not reason:
        raise SystemExit(f"--expect-failure {text}: says no reason; write check_name=reason")
    return name.replace(" ", "_"), reason
