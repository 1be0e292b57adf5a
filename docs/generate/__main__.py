"""`python docs/generate FOLDER`: writes the sources of the site: pages of docs/, and those made from the code.

Links between pages of the repository become links between pages of the site; a file that is no page is copied and
becomes a download.
"""

import argparse
import os
import re
import shutil
from pathlib import Path

import estimators
import formulas
import reference
import whole

import advantages

ROOT = Path(__file__).resolve().parents[2]

RENAMED = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "docs/adapters/README.md": "adapters/index.md",
    "benchmarks/lampo/results.md": "study.md",
}
"""Pages that have another place on the site than in docs/."""

MADE = {
    "advantages/testing/checks/__init__.py": "properties.md",
    **{f"{name.replace('.', '/')}.py": f"reference/{name}.md" for name in reference.MODULES},
    **{f"{name.replace('.', '/')}/__init__.py": f"reference/{name}.md" for name in reference.MODULES},
}
"""Pages that are made from a file of the code: a link to the file is a link to the page, and works on both sides."""

SECTIONS = {
    "Start": ["choosing", "estimators", "lampo", "own", "composition"],
    "Trust": ["properties", "conventions", "migration", "laboratory", "vectors", "diagnostics", "benchmarks"],
    "Use": ["adapters/index", "training", "rewards", "reports", "evaluation", "study"],
    "About": ["architecture", "glossary", "scope", "contributing", "security", "changelog"],
    "Reference": ["reference/index"],
}
"""The order of the pages; those of docs/ that are not named here come behind `Use`."""

_LINK = re.compile(r"(\]\()(?!https?:|#|mailto:)([^)#\s]+)((?:#[^)]*)?\))")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the sources go; it is made anew")
    folder: Path = parser.parse_args().folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)

    for page in sorted(
        [*(ROOT / "docs").rglob("*.md"), *(ROOT / name for name in RENAMED if not name.startswith("docs/"))]
    ):
        place = folder / _place(page)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(_relinked(page, place, folder))
    shutil.copytree(ROOT / "docs" / "images", folder / "images", dirs_exist_ok=True)

    _write(folder / "properties.md", reference.properties())
    for name, text in reference.api():
        _write(folder / "reference" / f"{name}.md", text)
    for name, text in estimators.pages():
        _write(folder / "estimators" / f"{name}.md", text)
    for page in ("estimators", "choosing", "conventions", "migration"):
        _link_names(folder / f"{page}.md")
    _toctrees(folder)
    whole.write(folder)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _place(page: Path) -> str:
    """Where a page of the repository lies on the site."""
    name = page.relative_to(ROOT).as_posix()
    return RENAMED.get(name, name.removeprefix("docs/"))


def _estimator(name: str) -> str | None:
    """The page of an estimator's file."""
    found = re.fullmatch(r"advantages/(estimators/\w+)\.py", name)
    return f"{found[1]}.md" if found and "__" not in name else None


def _relinked(page: Path, place: Path, folder: Path) -> str:
    def link(found: re.Match[str]) -> str:
        target = (page.parent / found[2]).resolve()
        if not target.exists():
            raise SystemExit(f"docs: {page.relative_to(ROOT)} links to {found[2]}, which does not exist; mend the link")
        name = target.relative_to(ROOT).as_posix()
        if name in RENAMED or (name.startswith("docs/") and target.suffix in (".md", ".svg", ".png")):
            new = folder / _place(target)
        elif made := MADE.get(name, _estimator(name)):
            new = folder / made
        else:  # a file of the repository
            new = folder / "files" / name.replace("/", "-")
            new.parent.mkdir(exist_ok=True)
            if not target.is_file():
                raise SystemExit(f"docs: {page.relative_to(ROOT)} links to the folder {found[2]}; link to a file in it")
            shutil.copyfile(target, new)
        return found[1] + Path(os.path.relpath(new, place.parent)).as_posix() + found[3]

    text = _INLINE.sub(_inlined, _LINK.sub(link, page.read_text()))
    return _FORMULA.sub(lambda found: f"```{{math}}\n{formulas.latex(found[1])}\n```", text)


_FORMULA = re.compile(r"^    (A_\w+ = .+)$", re.MULTILINE)
_INLINE = re.compile(r"!\[([^\]]*)\]\(images/([\w-]+\.svg)\)")


def _inlined(found: re.Match[str]) -> str:
    """A drawing of ours as part of the page, so that it has the page's colours, whatever those of the system are."""
    svg = (ROOT / "docs" / "images" / found[2]).read_text()
    if "aria-label=" not in svg:  # one with colours of its own stays a picture
        return found[0]
    svg = re.sub(r"<style>.*?</style>", "", svg, count=1, flags=re.DOTALL)
    return f'```{{raw}} html\n<figure class="picture">{svg}</figure>\n```'


def _link_names(page: Path) -> None:
    """Estimators that a table names lead to their pages."""
    names = "|".join(advantages.estimators.__all__)

    def linked(row: re.Match[str]) -> str:
        return re.sub(rf"(?<!\[)`({names})`", r"[`\1`](estimators/\1.md)", row[0])

    page.write_text(re.sub(r"^\|.*$", linked, page.read_text(), flags=re.MULTILINE))


def _toctrees(folder: Path) -> None:
    """Every page is in one table of contents; a page that nobody has placed is not lost."""
    children = {
        "estimators": sorted(p.stem for p in (folder / "estimators").glob("*.md")),
        "adapters": sorted(p.stem for p in (folder / "adapters").glob("*.md") if p.stem != "index"),
        "reference": list(reference.MODULES),
    }
    known = {name for names in SECTIONS.values() for name in names}
    rest = sorted(p.stem for p in folder.glob("*.md") if p.stem not in known | {"index"})
    parts = []
    for title, names in SECTIONS.items():
        present = [name for name in names if (folder / f"{name}.md").exists() or name == "reference/index"]
        parts.append(_toctree([*present, *(rest if title == "Use" else [])], title))
    with (folder / "index.md").open("a") as file:
        file.write("\n" + "\n".join(parts))
    for page, names in (("estimators.md", "estimators"), ("adapters/index.md", "adapters")):
        with (folder / page).open("a") as file:
            prefix = "estimators/" if names == "estimators" else ""
            file.write("\n" + _toctree([prefix + name for name in children[names]], ""))
    _write(
        folder / "reference" / "index.md",
        "# Reference\n\nEvery public name.\n\n" + _toctree(children["reference"], "", 1),
    )


def _toctree(names: list[str], caption: str, depth: int = 0) -> str:
    head = f":caption: {caption}\n" if caption else ""
    head += f":maxdepth: {depth}\n" if depth else ":hidden:\n"
    return "```{toctree}\n" + head + "\n" + "\n".join(names) + "\n```\n"


if __name__ == "__main__":
    main()
