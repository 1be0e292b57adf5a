"""What own reward functions do to the process, and what they return, that must not change or end the training."""

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from advantages.cli import main
from advantages.policy.load import byte_tokenizer
from advantages.policy.rollout import make_rollout
from advantages.runs.config import Config
from advantages.training.scoring import column_names, columns_of, make_rewards
from advantages.training.start import open_source

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

    def run(reward, **more):
        options = given | {"rewards": f"{root / 'own.py'}:{reward}=1", "name": reward} | more
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


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, r"rewards need foo, but the columns are answer, solution, .*--map OWN=foo"),
        ({"foo": 1, "prompts": "a"}, r"the data has a column 'prompts', which means something else .*--map prompts="),
        ({"foo": 1, "trainer_state": 1}, "the data has a column 'trainer_state'"),
        ({"foo": 1, "completion_ids": [1]}, "the data has a column 'completion_ids'"),
        ({"foo": 1}, None),
        ({"foo": None}, None),
    ],
)
def test_columns_that_do_not_fit_are_refused_before_a_row_of_them_is_drawn(row, message, tmp_path):
    (tmp_path / "own.py").write_text("def f(completions, foo, **columns):\n    return [1.0 for _ in foo]\n")
    rows = [{"prompt": str(k), "answer": "1"} for k in range(40)]
    rows[7] |= row
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = Config(model="m", data=str(tmp_path / "train.jsonl"), rewards={f"{tmp_path / 'own.py'}:f": 1.0})
    source = open_source(config)
    if message is not None:
        with pytest.raises(ValueError, match=message):
            make_rewards(config, source)
        return
    problems = [problem for problem in source.problems if problem.where.endswith("line 1")]
    rollout = make_rollout([[2]], [[3]], byte_tokenizer(), [1], 2, "cpu")
    columns = columns_of(problems, rollout, names=column_names(source))
    assert columns["foo"] == [None]
    assert make_rewards(config, source)(["0"], ["a"], columns).total() == [1.0]


def test_a_step_whose_rows_all_lack_a_column_goes_on(tmp_path, train):
    """`train` is given a file of which one row alone has the column."""
    (tmp_path / "own.py").write_text("def f(completions, foo, **columns):\n    return [float(x or 0) for x in foo]\n")
    rows = [{"prompt": str(k), "answer": "1"} for k in range(40)]
    rows[7]["foo"] = 1
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    metrics = train("f", rewards=f"{tmp_path / 'own.py'}:f=1", data=tmp_path / "train.jsonl")
    assert [step["unscored"] for step in metrics] == [0, 0, 0]
