"""`llms.txt`, a list of the pages, and the whole site as one page of text, for those who read no HTML."""

import re
from pathlib import Path

__all__ = ["write"]

ABOUT = "Advantage estimators for reinforcement learning of language models, on numpy, torch and JAX arrays."


def write(folder: Path) -> None:
    """Both, made of the sources in `folder`, into its `extra/`, which Sphinx copies to the root of the site."""
    (folder / "extra").mkdir()
    pages = sorted(folder.rglob("*.md"), key=lambda p: (len(p.relative_to(folder).parts), p.stem != "index", str(p)))
    lines = ["# advantages", "", f"> {ABOUT}", "", "[The whole as one page of text](llms-full.txt)", "", "## Pages", ""]
    texts = []
    for page in pages:
        text = _plain(page.read_text())
        title = text.lstrip().partition("\n")[0].lstrip("# ")
        place = page.relative_to(folder).with_suffix(".html").as_posix()
        lines.append(f"- [{title}]({place})")
        texts.append(f"<!-- {place} -->\n\n{text.strip()}\n")
    (folder / "extra" / "llms.txt").write_text("\n".join(lines) + "\n")
    (folder / "extra" / "llms-full.txt").write_text("\n\n".join(texts))


def _plain(text: str) -> str:
    """Without pictures and tables of contents."""
    text = re.sub(r"```\{(?:toctree|raw)\}.*?\n```\n?", "", text, flags=re.DOTALL)
    return re.sub(r"```\{math\}\n(.*?)\n```", r"    \1", text, flags=re.DOTALL)
