"""The frame of a report: one HTML file that needs no other, in light and dark."""

from collections.abc import Iterable, Sequence
from html import escape

from ..version import __version__
from .charts import COLORS

__all__ = ["Markup", "cell", "figure", "legend", "page", "section", "table"]


class Markup(str):
    """Text that is HTML already; everything else is escaped."""


def cell(content: object) -> Markup:
    """Content as HTML."""
    return content if isinstance(content, Markup) else Markup(escape(str(content)))


def page(title: str, above: str, subtitle: str, parts: Iterable[Markup]) -> str:
    """A whole document.

    Args:
        title: the heading.
        above: a line above it.
        subtitle: a line below it.
        parts: the sections.
    """
    body = "\n".join(parts)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{cell(title)}: {cell(above)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header><p class="above">{cell(above)}</p><h1>{cell(title)}</h1><p class="soft">{cell(subtitle)}</p></header>
<main>
{body}
</main>
<footer>Written by advantages {cell(__version__)}. This file needs no other.</footer>
</body>
</html>
"""


def section(heading: str, *content: Markup, note: str = "") -> Markup:
    """A part of the page, under a heading, with a sentence on how to read it."""
    said = f'<p class="soft">{cell(note)}</p>' if note else ""
    return Markup(f"<section><h2>{cell(heading)}</h2>{said}{''.join(content)}</section>")


def figure(heading: str, last: str, svg: str) -> Markup:
    """A chart under its name; `last` stands at the right."""
    return Markup(f"<figure><figcaption><b>{cell(heading)}</b><span>{cell(last)}</span></figcaption>{svg}</figure>")


def legend(names: Sequence[str]) -> Markup:
    """The names of the curves, in their colours."""
    return Markup(f'<p class="legend">{"".join(map(chip, names, range(len(names))))}</p>')


def chip(name: str, number: int) -> Markup:
    """A curve's name in its colour."""
    color = f"var(--series-{number % len(COLORS)})"
    return Markup(f'<span class="chip"><i style="background:{color}"></i>{cell(name)}</span>')


def table(head: Sequence[object], rows: Iterable[Sequence[object]], *, numbers: bool = True) -> Markup:
    """A table whose first column names the rows; the others are numbers, or text."""
    titles = "".join(f"<th>{cell(title)}</th>" for title in head)
    lines = "".join(
        f"<tr><th>{cell(row[0])}</th>{''.join(f'<td>{cell(x)}</td>' for x in row[1:])}</tr>" for row in rows
    )
    kind = "numbers" if numbers else "words"
    inside = f"<thead><tr>{titles}</tr></thead><tbody>{lines}</tbody>"
    return Markup(f'<div class="scroll"><table class="{kind}">{inside}</table></div>')


def _variables(series: Sequence[str]) -> str:
    return "".join(f"--series-{number}:{color};" for number, color in enumerate(series))


_LIGHT = "--page:#f7f7f5;--card:#fff;--text:#1c2024;--soft:#646b73;--line:#e3e5e8;--good:#1a7f4b;--bad:#c0362c;"
_LIGHT += "--warn:#fff6dd;--warn-line:#e0b64a;"
_DARK = "--page:#131517;--card:#1c1f22;--text:#e6e8ea;--soft:#9aa2ab;--line:#31363b;--good:#5fc991;--bad:#f0857b;"
_DARK += "--warn:#2c2617;--warn-line:#8a6d22;"
_STYLE = (
    f":root{{color-scheme:light dark;{_LIGHT}{_variables(COLORS)}}}"
    f"@media (prefers-color-scheme:dark){{:root{{{_DARK}--series-0:#6d8ee8}}}}"
    """
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:2.5rem 1.25rem;background:var(--page);color:var(--text);
  font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
header{margin-bottom:1.75rem}
h1{margin:.1rem 0 .3rem;font-size:2rem;line-height:1.2;letter-spacing:-.02em;overflow-wrap:anywhere}
h2{margin:0 0 .5rem;font-size:1.15rem;letter-spacing:-.01em}
h3{margin:1.1rem 0 .4rem;font-size:.95rem}
p{margin:.3rem 0}
a{color:inherit;text-decoration-color:var(--soft)}
section{margin:2.25rem 0}
.above{color:var(--soft);font-size:.85rem;letter-spacing:.04em}
.soft,footer{color:var(--soft)}
section>.soft{max-width:52rem;margin:0 0 .8rem;font-size:.9rem}
footer{margin-top:3rem;font-size:.85rem}
.tiles,.charts{display:grid;gap:.8rem}
.tiles{grid-template-columns:repeat(auto-fit,minmax(11.5rem,1fr))}
.charts{grid-template-columns:repeat(auto-fill,minmax(min(100%,20rem),1fr))}
.tile,figure,.card{margin:0;padding:.8rem 1rem;background:var(--card);border:1px solid var(--line);border-radius:10px}
.tile b{display:block;font-size:1.35rem;line-height:1.3;letter-spacing:-.02em;white-space:nowrap}
.tile span{color:var(--soft);font-size:.85rem}
.card{margin:.7rem 0}
figcaption{display:flex;justify-content:space-between;gap:1rem;margin-bottom:.3rem;font-size:.9rem}
figcaption span{color:var(--soft)}
figure{overflow-x:auto}
svg{display:block;width:100%;height:auto;font-family:inherit}
section>figure svg{min-width:34rem}
.notes{margin:0;padding:.8rem 1rem .8rem 2.1rem;border:1px solid var(--warn-line);border-radius:10px;
  background:var(--warn)}
.scroll{overflow-x:auto}
table{width:100%;border-collapse:collapse;font-size:.9rem}
th,td{padding:.42rem .8rem .42rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
th{font-weight:600}
thead th{color:var(--soft);font-weight:500;font-size:.85rem;vertical-align:bottom}
.numbers td,.numbers thead th:not(:first-child){padding:.42rem 0 .42rem 1.1rem;text-align:right;
  font-variant-numeric:tabular-nums;white-space:nowrap}
.numbers thead th:not(:first-child){white-space:normal}
.words td,.words th{overflow-wrap:anywhere}
.words td:nth-child(2){min-width:9rem}
td small{display:block;color:var(--soft);font-size:.85em}
.differs{font-weight:600}
.better{color:var(--good);font-weight:600}
.worse{color:var(--bad);font-weight:600}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;margin-bottom:.7rem;font-size:.9rem}
.chip{white-space:nowrap}
.chip i{display:inline-block;width:.75em;height:.75em;margin-right:.45em;border-radius:3px}
.bar{display:flex;height:.8rem;overflow:hidden;border-radius:5px;gap:2px}
.bar i{display:block;min-width:1px}
.forest{display:grid;grid-template-columns:auto 1fr;gap:.35rem 1.2rem;align-items:center;max-width:52rem}
.track{position:relative;height:1.1rem;background:var(--card);border:1px solid var(--line);border-radius:5px}
.track i{position:absolute;top:0;bottom:0}
.zero{left:50%;border-left:1px dashed var(--soft)}
.range{margin:.4rem 0;background:var(--text);opacity:.55;border-radius:2px}
.dot{width:.5rem;height:.5rem;margin:.22rem -.25rem;background:var(--text);border-radius:50%}
pre{margin:.25rem 0 0;font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre-wrap;
  overflow-wrap:anywhere}
.response{padding:.5rem 0;border-top:1px solid var(--line)}
.response:first-of-type{margin-top:.6rem}
.response:last-child{padding-bottom:0}
.response p{margin:0;color:var(--soft);font-size:.85rem;font-variant-numeric:tabular-nums}
.response pre{max-height:24rem;overflow-y:auto}
.response p b{color:var(--text)}
details{margin:.6rem 0}
summary{cursor:pointer;color:var(--soft)}
@media print{body{max-width:none;background:none}.tile,figure,.card{break-inside:avoid}}
"""
)
