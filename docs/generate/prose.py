"""Docstrings, read apart: what they say in a line, their formulas, their prose, their arguments and their examples."""

import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["ALSO", "Described", "described", "rst"]

ALSO = "Also takes"
"""The section of what every estimator takes; napoleon knows no comma in a section's name."""
_BY_NAME = f"{ALSO}, by name:"
_SECTION = re.compile(rf"(Args|Returns|Raises|Yields|{ALSO}, by name):$")


class Described(NamedTuple):
    """The parts of an estimator's docstring."""

    summary: str
    formulas: tuple[str, ...]
    """A line each, without the indent."""
    prose: str
    """Paragraphs behind the formula: what to know, and what to beware of."""
    example: str
    """The doctest."""


def described(function: Any) -> Described:
    """The docstring of an estimator.

    Raises:
        ValueError: it has none, or no formula or example.
    """
    name = function.__name__
    text = inspect.getdoc(function)
    if not text:
        raise ValueError(f"{name}: has no docstring; write what it computes")
    lines = text.splitlines()
    end = next((k for k, line in enumerate(lines) if _SECTION.match(line) or line.startswith(">>>")), len(lines))
    paragraphs = "\n".join(lines[:end]).strip().split("\n\n")
    formulas = tuple(
        line.strip() for part in paragraphs if part.startswith("    ") for line in part.splitlines() if line.strip()
    )
    prose = "\n\n".join(part for part in paragraphs[1:] if not part.startswith("    "))
    start = text.find(">>>")
    if not formulas or start < 0:
        raise ValueError(f"{name}: its docstring has no {'example' if formulas else 'formula'}; add one")
    return Described(" ".join(paragraphs[0].split()), formulas, prose, _example(text[start:]))


def _example(text: str) -> str:
    """What a doctest says and prints, without what is said behind it."""
    parts = text.split("\n\n")
    count = next((k for k, part in enumerate(parts) if not part.startswith(">>>")), len(parts))
    return "\n\n".join(parts[:count]).rstrip()


def rst(lines: list[str], *, from_arguments: bool, formula: Callable[[str], str]) -> list[str]:
    """A docstring as reStructuredText for napoleon: formulas are set, and signs that mean something there are escaped.

    Args:
        lines: of the docstring.
        from_arguments: whether to leave out what stands before the arguments.
        formula: makes LaTeX of a line.
    """
    if from_arguments:
        start = next((k for k, line in enumerate(lines) if _SECTION.match(line)), 0)
        lines = lines[start:]
    made: list[str] = []
    section = False
    for k, line in enumerate(lines):
        section = section or bool(_SECTION.match(line))
        alone = not section and line.startswith("    ")
        if alone and not any(other.startswith(">>>") for other in lines[max(0, k - 6) : k]):
            made += ["", *_set(line, formula), ""]
        elif (
            line.lstrip().startswith((">>>", "..."))
            or not line.strip()
            or (any(other.startswith(">>>") for other in lines[:k]) and _in_example(lines, k))
        ):
            made.append(line)
        else:
            made.append(f"{ALSO}:" if line == _BY_NAME else _escaped(line))
    return made


def _set(line: str, formula: Callable[[str], str]) -> list[str]:
    try:
        return [".. math::", "", f"   {formula(line)}"]
    except ValueError:  # code, not a formula
        return [".. code-block:: text", "", f"   {line.strip()}"]


def _in_example(lines: list[str], k: int) -> bool:
    """Whether a line is what a doctest prints."""
    while k >= 0 and lines[k].strip():
        if lines[k].startswith(">>>"):
            return True
        k -= 1
    return False


def _escaped(line: str) -> str:
    """Outside of backticks, signs of reStructuredText are signs."""
    parts = re.split(r"(`+[^`]+`+)", line)
    return "".join(
        part if k % 2 else re.sub(r"([*|])", r"\\\1", re.sub(r"(\w)_(?=\W|$)", r"\1\\_", part))
        for k, part in enumerate(parts)
    )
