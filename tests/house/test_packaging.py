"""The wheel holds every module, installs one package alone, and needs numpy alone."""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {
    "torch": "torch",
    "jax": "jax",
    "trl": "trl",
    "triton_groups": "triton",
    "triton_pairs": "triton",
    "triton_tokens": "triton",
    "tunix": "tunix",
    "slime": "torch",
    "skyrl": "torch",
    "verl": "torch",
}


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def module_names():
    names = []
    for folder, _, files in os.walk(ROOT / "advantages", followlinks=True):
        for file in files:
            if file.endswith(".py"):
                parts = (Path(folder) / file).relative_to(ROOT).with_suffix("").parts
                names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return sorted(names)


def _runs(folder):
    """The demo's runs lie at the top; advantages/runs is a room."""
    return {"runs"} if Path(folder) == ROOT else set()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # what an earlier build left in the checkout must not reach this wheel
    beside = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, symlinks=True, ignore=lambda at, names: {*beside(at, names), *_runs(at)})
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, source)
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_holds_every_module_and_nothing_beside_the_package(wheel):
    inside = {Path(name) for name in zipfile.ZipFile(wheel).namelist()}
    assert {path.parts[0] for path in inside} - {next(p.parts[0] for p in inside if ".dist-info" in p.parts[0])} == {
        "advantages"
    }
    for name in module_names():
        path = Path(*name.split("."))
        assert path.with_suffix(".py") in inside or path / "__init__.py" in inside, name
    assert Path("advantages/py.typed") in inside
    for name in ("style.css", "templates/page.html", "templates/parts.html"):
        assert Path("advantages/reports", name) in inside


def test_a_clean_environment_with_numpy_alone_runs_it(wheel, tmp_path):
    venv.create(tmp_path / "clean", with_pip=False)
    python = tmp_path / "clean" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python]
    run(*pip, "install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel)
    installed = run(*pip, "list", "--format=freeze").split()
    assert {line.split("==")[0] for line in installed} == {"numpy", "rl-advantages"}
    code = """
import numpy as np
from advantages import dr_grpo, gae, gdpo, grpo, lambdapo, lampo, reinforce, reinforce_plus_plus, rloo
print(rloo(np.array([1.0, 0.0]), ["a", "a"]), grpo.__module__)
import advantages.adapters.hosts, advantages.backends, advantages.catalogue, advantages.cli
"""
    assert run(python, "-c", code, cwd="/") == "[ 1. -1.] advantages.estimators.grpo\n"
    command = tmp_path / "clean" / "bin" / "advantages"
    assert "rloo" in run(command, "list", cwd="/")
    refused = subprocess.run([command, "check", "numpy:sum"], capture_output=True, text=True, cwd="/", timeout=60)
    assert refused.returncode == 2
    assert "pip install 'rl-advantages[testing]'" in refused.stderr


def test_every_module_of_the_wheel_can_be_imported(wheel, tmp_path):
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", tmp_path, wheel)
    names = [name for name in module_names() if name != "advantages.__main__"]
    names = [name for name in names if find_spec(HEAVY.get(name.rpartition(".")[2], "numpy"))]
    code = f"import importlib; print(*(importlib.import_module(name).__file__ for name in {names!r}), sep='\\n')"
    files = run(sys.executable, "-c", code, cwd="/", env={**os.environ, "PYTHONPATH": str(tmp_path)}).split()
    assert len(files) == len(names) > 30
    assert all(file.startswith(str(tmp_path)) for file in files)
