"""`advantages show`: one estimator's formula, arguments, promises and paper, and which frameworks ship it."""

import argparse
import inspect
import json

from .. import estimators
from ..catalogue import bibtex, row
from ..conventions.table import shipped
from ..core.definition import definition_of
from ..diff import named

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `advantages show`."""
    parser.add_argument(
        "estimator", help="a name in `advantages`, verl.grpo, package.module:function or path/file.py:function"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Print what is known of one estimator."""
    try:
        function = named(options.estimator)
        d, said = definition_of(function), row(function)
    except (TypeError, ValueError) as error:
        raise SystemExit(f"advantages show: {error}") from None
    plain = d.signature.replace(
        parameters=[p.replace(annotation=p.empty) for p in d.signature.parameters.values()],
        return_annotation=inspect.Signature.empty,
    )
    ships = shipped(d.name) if function is getattr(estimators, d.name, None) else []
    if options.json:
        more = {"signature": f"{d.name}{plain}", "docstring": inspect.getdoc(function), "shipped": ships}
        print(json.dumps(said.record() | more))
        return 0
    parts = [
        f"{d.name}{plain}",
        inspect.getdoc(function) or "It has no docstring.",
        f"Gives one advantage per {said.unit}, and needs {', '.join(said.needs)}.",
        "\n".join(["Promises, beyond what all do:", *(f"    {promise}" for promise in said.promises or ["nothing"])]),
    ]
    if ships:
        parts.append("\n".join(["Shipped, in `advantages.conventions`, as:", *(f"    {line}" for line in ships)]))
    if said.paper is not None:
        parts += [f"Paper: {said.paper.title} ({said.paper})", bibtex(said.name, said.paper)]
    print("\n\n".join(parts))
    return 0
