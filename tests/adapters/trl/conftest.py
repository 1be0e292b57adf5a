"""Fixtures of the tests of the TRL adapter."""

import importlib.util
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests and the script of two processes share trl_runs.py

collect_ignore = ["trl_runs.py", "two_processes.py"]  # no tests, and not importable where TRL is not installed
NEWEST = (Path(__file__).parent / "requirements.txt").read_text().partition("trl==")[2].split()[0]
if importlib.util.find_spec("trl") and version("trl") != NEWEST:
    collect_ignore += ["test_loss.py", "test_rewards.py"]  # of the built-in training beside the newest TRL

from trl_runs import Watched, make_trainer, save_model


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    save_model(path)
    return path


@pytest.fixture
def model(folder):
    """The policy before the first step."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder)


@pytest.fixture
def make(folder, tmp_path):
    def make(trainer, **options):
        made = make_trainer(folder, tmp_path, trainer, **options)
        made.watched = Watched(made)
        return made

    return make
