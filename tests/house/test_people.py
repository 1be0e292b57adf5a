"""What is written for those who come next is true: the map of the house, the commands, the hosted workflow."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import advantages
from advantages.adapters.hosts import HOSTS

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()


def read(path):
    return (ROOT / path).read_text()


def rooms(layer):
    return {name.strip(" ()").removeprefix("advantages.") for name in layer.split("|")}


def test_the_picture_of_the_floors_is_the_contract():
    (contract,) = (c for c in PROJECT["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    (picture,) = re.findall(r"```text\n(\d .*?)```", read("docs/architecture.md"), re.DOTALL)
    floors = [line.partition("  ")[::2] for line in picture.splitlines()]
    assert [rooms(floor) for _, floor in floors] == [rooms(layer) for layer in contract["layers"]]
    assert [int(number) for number, _ in floors] == list(range(len(floors), 0, -1))


def test_every_room_is_on_a_floor_and_has_its_line():
    page = read("docs/architecture.md")
    named = {room for row in re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE) for room in re.findall(r"`(\w+)`", row)}
    inside = [p for p in (ROOT / "advantages").iterdir() if p.name.isidentifier() and (p / "__init__.py").exists()]
    assert {p.name for p in inside} <= named


def test_files_that_architecture_names_exist():
    for name in re.findall(r"`([\w./]+\.py)`", read("docs/architecture.md")):
        assert any((folder / name).is_file() for folder in (ROOT / "advantages", ROOT)), name


def test_the_glossary_has_every_word_that_a_framework_hands_over():
    words = set().union(*(host.words for host in HOSTS.values()))
    assert words <= set(re.findall(r"`(\w+)`", read("docs/glossary.md")))


def test_make_help_says_what_each_target_is_for():
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    for arguments in (["help"], []):
        done = subprocess.run(
            ["make", "--no-print-directory", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
        said = dict(re.findall(r"^(\S+) +(\S.*)$", done.stdout, re.MULTILINE))
        assert set(said) == set(phony.split())


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", ".github/workflows/ci.yml", ".github/pull_request_template.md"])
def test_make_commands_exist(page):
    found = [target for call in re.findall(r"\bmake ((?:[a-z-]+ ?)+)", read(page)) for target in call.split()]
    targets = {name for name in found if re.search(rf"^{name}:", MAKEFILE, re.MULTILINE)}
    assert targets & {"test", "lint", "types", "demo"}
    assert re.search(r"^test-adapter-%:", MAKEFILE, re.MULTILINE)
    for name in re.findall(r"`make ([a-z-]+)`", read(page)):
        assert name in targets, name


def test_the_hosted_workflow_covers_what_is_supported():
    yaml = pytest.importorskip("yaml")
    jobs = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"]
    requirements = (ROOT / "tests" / "adapters").glob("*/requirements.txt")
    assert jobs["adapters"]["strategy"]["matrix"]["adapter"] == sorted(path.parent.name for path in requirements)
    versions = [c.rpartition(" ")[2] for c in PROJECT["project"]["classifiers"] if "Python :: 3." in c]
    assert jobs["test"]["strategy"]["matrix"] == {"python": versions, "target": ["test", "test-numpy"]}
    for target in jobs["test"]["strategy"]["matrix"]["target"]:
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)


def test_other_files_in_yaml_can_be_read():
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(read("CITATION.cff"))["version"] == advantages.__version__
    hooks = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"][0]["hooks"]
    tools = {hook["entry"].split()[0] for hook in hooks}
    assert tools == {".venv/test/bin/ruff", ".venv/test/bin/mypy"}
    for template in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.md"):
        assert set(yaml.safe_load(template.read_text().split("---")[1])) == {"name", "about"}
