"""The API reference and the catalogue of properties, from docstrings; an undocumented public name is an error."""

import importlib
import inspect
import sys
from collections.abc import Iterator
from typing import Any

from sphinx.pycode import ModuleAnalyzer

from advantages import estimators
from advantages.testing import CHECKS, Check

__all__ = ["MODULES", "api", "properties"]

MODULES = (
    "advantages",
    "advantages.ops",
    "advantages.stages",
    "advantages.trackers",
    "advantages.spec",
    "advantages.testing",
    "advantages.testing.strategies",
    "advantages.lab.bandit",
    "advantages.diff",
    "advantages.diagnostics",
    "advantages.host",
    "advantages.rewards",
)


def api() -> Iterator[tuple[str, str]]:
    """The name and the text of the page of each module.

    Raises:
        ValueError: a public name has no docstring.
    """
    classes: set[type] = set()
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        names = [n for n in module.__all__ if n not in estimators.__all__ and n != "__version__"]
        parts = [f"# {module_name}", _first(module, module_name)]
        if module_name == "advantages":
            links = ", ".join(f"[`{n}`](../estimators/{n}.md)" for n in estimators.__all__)
            parts += [f"Estimators, a page each: {links}."]
        for name in sorted(names, key=str.lower):
            item = getattr(module, name)
            directive = _directive(module_name, name, item)
            if inspect.isclass(item):  # of two pages, the first is the one that the index leads to
                directive += "\n   :no-index:" * (item in classes)
                classes.add(item)
            parts.append(f"```{{eval-rst}}\n{directive}\n```")
        yield module_name, "\n\n".join(parts) + "\n"


def _first(item: Any, name: str) -> str:
    text = inspect.getdoc(item)
    if not text:
        raise ValueError(f"{name}: is public and has no docstring; write what it is")
    return " ".join(text.split("\n\n")[0].split())


def _directive(module: str, name: str, item: Any) -> str:
    whole = f"{module}.{name}"
    if inspect.ismodule(item):
        return f".. py:module:: {whole}\n   :no-index:\n\n{_first(item, whole).replace('`', '``')}"
    if inspect.isclass(item) or inspect.isroutine(item):
        _first(item, whole)
        return f".. autoclass:: {whole}\n   :members:" if inspect.isclass(item) else f".. autofunction:: {whole}"
    return f".. py:data:: {whole}\n\n   {_said_below(name, item, whole)}"


def _said_below(name: str, item: Any, whole: str) -> str:
    """The text under a constant, in the module that it was written in."""
    for module, held in list(sys.modules.items()):
        if module.startswith("advantages") and getattr(held, name, None) is item:
            text = ModuleAnalyzer.for_module(module).find_attr_docs().get(("", name))
            if text:
                return " ".join(" ".join(text).split()).replace("`", "``")
    raise ValueError(f"{whole}: is public and has no text below it; write what it is")


ROOMS = {
    "outputs": "What comes out",
    "groups": "Rows and groups",
    "rows": "Rows that do not count, and trajectories",
    "tokens": "Tokens and masks",
    "promises": "What an estimator promises beyond",
    "libraries": "On torch and JAX",
}
"""The modules of `advantages.testing.checks`, in the order of its report."""


def properties() -> str:
    """The page of all checks: each, and what goes wrong in training where it fails."""
    parts = [
        "# The properties",
        "What `conforms` and `advantages check` ask of every estimator, and what goes wrong in training where one "
        "fails. A check of a promise is asked of those alone that make it. Those with libraries behind them run there, "
        "the others on whatever library the kit is pointed at.",
    ]
    for room, title in ROOMS.items():
        rows = ["| property | what goes wrong where it fails |", "|---|---|"]
        seen: dict[str, list[str]] = {}
        why: dict[str, str] = {}
        for check in CHECKS:
            if _room(check) != room:
                continue
            sentence = check.run.__name__.replace("_", " ")
            seen.setdefault(sentence, []).append(check.library or "")
            why[sentence] = check.why
        for sentence, libraries in seen.items():
            if not why[sentence]:
                raise ValueError(f"check {sentence!r}: has no docstring; say what goes wrong where it fails")
            on = ", ".join(library for library in libraries if library)
            rows.append(f"| **{sentence}**{f' ({on})' if on else ''} | {why[sentence].replace('|', chr(92) + '|')} |")
        parts += [f"## {title}", "\n".join(rows)]
    return "\n\n".join(parts) + "\n"


def _room(check: Check) -> str:
    """The module that a check was written in."""
    rooms = {room: importlib.import_module(f"advantages.testing.checks.{room}") for room in ROOMS}
    return next(room for room, module in rooms.items() if hasattr(module, check.run.__name__))
