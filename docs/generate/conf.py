"""Sphinx's settings; the pages lie in the folder that `python docs/generate` wrote."""

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from docutils import nodes  # noqa: E402
from formulas import latex, mathml  # noqa: E402
from prose import ALSO, rst  # noqa: E402
from sphinx.ext.napoleon import Config, GoogleDocstring  # noqa: E402

from advantages import __version__, estimators  # noqa: E402

project = "advantages"
author = "the authors of advantages"
release = version = __version__
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton", "sphinx_design"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
nitpicky = True
nitpick_ignore = [("py:exc", "NotStartedError")]  # of a worker process, and not public
default_role = "literal"
autodoc_typehints = "none"  # shapes and meanings stand in the docstrings
autodoc_member_order = "bysource"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"advantages {release}"
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_favicon = str(HERE / "static" / "icon.svg")
html_math_renderer = "mathml"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_show_search_summary = False  # which are fetched, and no browser fetches from a folder
html_theme_options = {"navigation_with_keys": True}
exclude_patterns = ["extra", "files"]


def _described(app: Any, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are written in plain text and Markdown's backticks; an estimator's page has shown its head."""
    head, _, local = name.rpartition(".")
    of_page = head == "advantages" and local in estimators.__all__
    lines[:] = rst(lines, from_arguments=of_page, formula=latex)
    if what not in ("attribute", "property", "data"):  # whose first words would be read as a type
        config = Config(napoleon_use_rtype=False, napoleon_custom_sections=[(ALSO, "params_style")])
        lines[:] = GoogleDocstring(lines, config, app, what, name, item, options).lines()


def _block(translator: Any, node: Any) -> None:
    translator.body.append(f'<div class="math">{mathml(node.astext(), display=True)}</div>')
    raise nodes.SkipNode


def _inline(translator: Any, node: Any) -> None:
    translator.body.append(mathml(node.astext(), display=False))
    raise nodes.SkipNode


def _titled(app: Any, doctree: Any, name: str) -> None:
    """Cells know their column's title, for screens on which a row becomes a card."""
    for table in doctree.findall(nodes.table):
        heads = [entry.astext() for head in table.findall(nodes.thead) for entry in head.findall(nodes.entry)]
        for row in [row for body in table.findall(nodes.tbody) for row in body.findall(nodes.row)]:
            for title, entry in zip(heads, row.children, strict=False):
                if title and entry.astext():
                    entry.insert(0, nodes.paragraph("", title, classes=["cell-title"]))


def _extra(app: Any, config: Any) -> None:
    config.html_extra_path = [str(app.srcdir / "extra")]


def setup(app: Any) -> None:
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("autodoc-process-docstring", _described)
    app.connect("config-inited", _extra)
    app.connect("doctree-resolved", _titled)
