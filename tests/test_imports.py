"""Who may import whom, and that importing the package loads numpy alone."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "advantages"

MAY_IMPORT = {
    "version": set(),
    "vocabulary": set(),
    "backends": {"backends"},
    "groups": {"backends"},
    "types": {"groups"},
    "border": {"backends", "groups", "types", "vocabulary"},
    "ops": {"backends", "border", "groups", "types"},
    "spec": {"groups"},
    "estimator": {"backends", "border", "groups", "ops", "types", "vocabulary"},
    "estimators": {"estimator", "estimators", "ops", "spec", "types"},
    "catalogue": {"estimator", "estimators"},
    "rewards": {"rewards"},
    "": {"estimator", "estimators", "groups", "ops", "version"},
}
AT_THE_TOP = {"adapters", "cli", "evaluation", "testing", "training", "__main__"}
ALSO = {
    "cli": {"adapters", "evaluation", "testing", "training"},
    "__main__": {"cli"},
    "evaluation": {"training"},
    "training": {"adapters"},
}
LIGHT = {"numpy"} | set(sys.stdlib_module_names)
LIBRARY_OF_A_BACKEND = {"torch.py": {"torch"}, "jax.py": {"jax"}}
WHEN_CALLED = {"rewards": {"math_verify", "rapidfuzz", "rouge_score"}}
"""Libraries that a room may import inside functions only."""


def modules():
    files = (Path(folder) / name for folder, _, names in os.walk(PACKAGE, followlinks=True) for name in names)
    return sorted(file for file in files if file.suffix == ".py")


def test_every_room_is_looked_at():
    assert {room(path) for path in modules()} >= MAY_IMPORT.keys() | {
        "adapters",
        "cli",
        "evaluation",
        "testing",
        "training",
    }


def room(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "" if parts == ("__init__",) else "__main__" if parts[-1] == "__main__" else parts[0]


def imports(path, source=None):
    """(room or None, top-level package) of every import statement, however deeply it is nested."""
    package = path.relative_to(PACKAGE).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text() if source is None else source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield _absolute(alias.name)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield _absolute(node.module)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1]
            for alias in node.names:
                target = (*base, *(node.module or alias.name).split("."))
                yield target[0], "advantages"


def _absolute(name):
    top, *rest = name.split(".")
    return (rest[0] if rest else "") if top == "advantages" else None, top


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_import_what_their_room_may(path):
    here = room(path)
    for there, top in imports(path):
        if top == "advantages":
            if here in AT_THE_TOP:
                allowed = there in {here, *ALSO.get(here, ())} or there not in AT_THE_TOP
            else:
                allowed = there in MAY_IMPORT[here]
            assert allowed, f"{here or 'advantages'} imports {there or 'advantages'}"
        elif here in MAY_IMPORT:
            own = LIBRARY_OF_A_BACKEND.get(path.name if here == "backends" else "", set())
            assert top in LIGHT | own | WHEN_CALLED.get(here, set()), top


def test_the_rule_can_fail():
    path = PACKAGE / "ops.py"
    found = set(imports(path, "from .estimator import estimator\ndef f():\n    import torch"))
    assert found == {("estimator", "advantages"), (None, "torch")}


HEAVY = ("torch", "jax", "scipy", "hypothesis", "pytest", "rich", "transformers", "trl", "verl", "openrlhf", "ray")
HEAVY += ("math_verify", "sympy", "rapidfuzz", "rouge_score", "nltk")


def loaded_by(statement):
    code = f"import sys; {statement}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_importing_the_package_loads_no_array_library_but_numpy():
    assert loaded_by("import advantages") == []


def test_using_the_package_on_numpy_loads_no_other_library():
    use = "import numpy as np; from advantages import grpo; grpo(np.ones(2), ['a', 'a'])"
    assert loaded_by(use) == []


def test_naming_rewards_loads_no_library_but_numpy():
    use = "from advantages.rewards import Rewards; Rewards({'exact': 1.0})(['1+1='], ['2'], {'answer': ['2']})"
    assert loaded_by(use) == []


def test_loading_can_be_seen():
    assert "hypothesis" in loaded_by("import hypothesis, advantages")
