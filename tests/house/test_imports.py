"""Importing the package loads numpy alone; who may import whom is import-linter's contract in pyproject.toml."""

import subprocess
import sys

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
