"""What own reward functions do to the process, and what they return, that must not change or end the training."""

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from advantages.cli import main

REWARDS = """
import os, sys
import numpy as np, torch

def plain(completions, **columns):
    return [float(len(text) % 3) for text in completions]

unchanged = plain

def seeds(completions, **columns):
    torch.manual_seed(0)
    return plain(completions)

def draws(completions, **columns):
    torch.rand(99)
    return plain(completions)

def without_gradients(completions, **columns):
    torch.set_grad_enabled(False)
    return plain(completions)

def leaves(completions, **columns):
    os._exit(0)

def huge(completions, **columns):
    return [1e308 if k % 2 else -1e308 for k, _ in enumerate(completions)]

def close(completions, **columns):
    return [2.0**40 + 2.0**-10 * (k % 2) for k, _ in enumerate(completions)]

def beyond(completions, **columns):
    return [10**400 if k % 2 else float(k // 2 % 2) for k, _ in enumerate(completions)]
"""


@pytest.fixture(scope="module")
def train(tmp_path_factory, save_tiny):
    """Train with one of the rewards; the metrics, timings aside."""
    root = tmp_path_factory.mktemp("root")
    save_tiny(root / "model")
    (root / "train.jsonl").write_text("".join(json.dumps({"prompt": f"{k}?", "answer": "1"}) + "\n" for k in range(9)))
    (root / "own.py").write_text(REWARDS)
    given = {"model": root / "model", "data": root / "train.jsonl", "max-new-tokens": 6, "prompts": 2, "steps": 3}
    given |= {"group-size": 4, "evaluation": 2, "runs": root / "runs", "learning-rate": 1e-2}

    def run(reward):
        options = given | {"rewards": f"{root / 'own.py'}:{reward}=1", "name": reward}
        assert main(["train", *(str(word) for name, x in options.items() for word in (f"--{name}", x))]) == 0
        lines = [json.loads(line) for line in (root / "runs" / reward / "metrics.jsonl").read_text().splitlines()]
        said = ("seconds", "tokens_per", "rewards/")
        return [{name: x for name, x in line.items() if not name.startswith(said)} for line in lines]

    return run


@pytest.fixture(scope="module")
def plain(train):
    return train("plain")


@pytest.mark.parametrize("name", ["seeds", "draws", "without_gradients"])
def test_what_a_function_does_to_torch_changes_no_number(name, train, plain):
    assert train(name) == plain
    assert torch.is_grad_enabled()


def test_gradients_are_there_whatever_an_import_has_turned_off(train, plain):
    torch.set_grad_enabled(False)
    try:
        assert train("unchanged") == plain
    finally:
        torch.set_grad_enabled(True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["huge", "close", "beyond"])
def test_rewards_of_any_size_teach(name, train):
    for step in train(name):
        assert step["informative"] == 1
        assert 0.7 < step["advantage"] < 0.9
        assert step["grad_norm"] > 0
        assert step["unscored"] == (0.5 if name == "beyond" else 0)


@pytest.mark.filterwarnings("ignore")
def test_a_function_that_ends_the_process_ends_no_run_without_a_word(train):
    with pytest.raises(SystemExit, match=r"no response of the last 3 steps got a reward .*SystemExit"):
        train("leaves")
