"""The frame and the parts of a report: one HTML file that needs no other, in light and dark."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from ..version import __version__
from .charts import COLORS, DASHES

__all__ = ["Markup", "chip", "figure", "legend", "page", "part", "section", "table"]

HERE = Path(__file__).parent
_TEMPLATES = Environment(
    loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def part(name: str, *arguments: Any) -> Markup:
    """A part of a page, as `templates/parts.html` defines it."""
    made = getattr(_TEMPLATES.get_template("parts.html").module, name)(*arguments)
    return Markup(made)


def page(title: str, above: str, subtitle: str, parts: Iterable[Markup]) -> str:
    """A whole document.

    Args:
        title: the heading.
        above: a line above it.
        subtitle: a line below it.
        parts: the sections.
    """
    style = Markup((HERE / "style.css").read_text(encoding="utf-8"))
    words = {"title": title, "above": above, "subtitle": subtitle, "parts": list(parts)}
    return _TEMPLATES.get_template("page.html").render(**words, style=style, colors=COLORS, version=__version__)


def section(heading: str, *content: Markup, note: str = "") -> Markup:
    """A part of the page, under a heading, with a sentence on how to read it."""
    return part("section", heading, Markup("").join(content), note)


def figure(heading: str, last: str, svg: str) -> Markup:
    """A chart under its name; `last` stands at the right."""
    return part("figure", heading, last, Markup(svg))


def legend(names: Sequence[str]) -> Markup:
    """The names of the curves, in their colours."""
    return part("legend", [chip(name, number) for number, name in enumerate(names)])


def chip(name: str, number: int) -> Markup:
    """A curve's name in its colour; where it must break, it does behind an underscore."""
    return part(
        "chip", escape(name).replace("_", Markup("_<wbr>")), number % len(COLORS), number // len(COLORS) % len(DASHES)
    )


def table(head: Sequence[object], rows: Iterable[Sequence[object]], *, numbers: bool = True) -> Markup:
    """A table whose first column names the rows; the others are numbers, or text."""
    return part("table", list(head), [list(row) for row in rows], "numbers" if numbers else "words")
