"""What was not scored is null, wherever it is looked at; what is no verdict is no accuracy."""

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")


from advantages.cli import main
from advantages.runs.config import Config
from advantages.runs.measures import curve, first_reaching, has_verdicts
from advantages.runs.record import evaluated
from advantages.runs.remarks import remarks

REWARDS = """
def none(completions, **columns):
    return [None] * len(completions)

def half(completions, **columns):
    return [None if k % 2 else 1.0 for k, _ in enumerate(completions)]

def five(completions, **columns):
    return [5.0] * len(completions)

def fails(completions, **columns):
    raise OSError("the judge is away")
"""


@pytest.fixture(scope="module")
def options(tmp_path_factory, save_tiny):
    """A run that needs no supervised start."""
    folder = tmp_path_factory.mktemp("model")
    save_tiny(folder, attention_dropout=0.5)
    data = folder / "train.jsonl"
    data.write_text("".join(json.dumps({"prompt": f"{k}+1?", "answer": str(k + 1)}) + "\n" for k in range(9)))
    (folder / "judges_of_tests.py").write_text(REWARDS)
    given = {"model": folder, "data": data, "max-new-tokens": 6, "prompts": 2, "samples": 4, "evaluation": 2}
    return folder, [str(word) for name, value in given.items() for word in (f"--{name}", value)]


@pytest.fixture
def train(options, tmp_path, monkeypatch):
    folder, arguments = options
    monkeypatch.syspath_prepend(folder)

    def run(*more):
        return main(["train", "--runs", str(tmp_path), "--name", "mine", *arguments, *map(str, more)])

    return run


def lines(file):
    return [json.loads(line, parse_constant=pytest.fail) for line in file.read_text().splitlines()]


@pytest.mark.filterwarnings("ignore:judges_of_tests")
@pytest.mark.parametrize("steps", [1, 8])
@pytest.mark.parametrize("name", ["none", "fails"])
def test_a_run_that_nobody_scores_has_no_numbers_and_stops(name, steps, train, tmp_path, capsys):
    with pytest.raises(SystemExit, match="got a reward") as stopped:
        train("--rewards", f"judges_of_tests:{name}=1", "--steps", steps)
    assert stopped.value.code not in (0, None)
    folder = tmp_path / "mine"
    metrics = lines(folder / "metrics.jsonl")
    assert len(metrics) == min(3, steps)
    for step in metrics:
        assert step["unscored"] == 1
        for key in ("reward", "accuracy", "informative", "advantage", f"rewards/judges_of_tests:{name}/mean"):
            assert step[key] is None, key
    (evaluation,) = lines(folder / "evaluations.jsonl")
    assert evaluation == {"step": 0} | dict.fromkeys(("accuracy", "reward", "greedy_accuracy", "greedy_reward"))
    assert not (folder / "result.json").exists()
    assert "accuracy 0" not in capsys.readouterr().out
    said = remarks(Config(steps=8), metrics)
    assert any("100.00% of the responses got no reward" in sentence for sentence in said)


@pytest.mark.filterwarnings("ignore:judges_of_tests")
@pytest.mark.parametrize(("name", "mean"), [("half", 1.0), ("five", 5.0)])
def test_what_is_scored_alone_is_averaged_and_no_verdict_is_no_accuracy(name, mean, train, tmp_path, capsys):
    assert train("--rewards", f"judges_of_tests:{name}=1", "--steps", 2) == 0
    folder = tmp_path / "mine"
    verdict = mean if name == "half" else None
    for step in lines(folder / "metrics.jsonl"):
        assert (step["reward"], step["accuracy"]) == (mean, verdict)
        assert step["unscored"] == (0.5 if name == "half" else 0)
    for line in lines(folder / "evaluations.jsonl"):
        assert (line["reward"], line["greedy_reward"]) == (mean, mean)
        assert (line["accuracy"], line["greedy_accuracy"]) == (verdict, verdict)
    result = json.loads((folder / "result.json").read_text())
    assert [result[key] for key in ("before", "after", "greedy", "auc")] == [verdict] * 4
    assert [result[f"reward_{key}"] for key in ("before", "after", "greedy")] == [mean] * 3
    shown = capsys.readouterr().out + (folder / "report.html").read_text()
    assert "500.0%" not in shown
    assert "NaN" not in shown
    assert ("mean accuracy of all steps" in shown) == (name == "half")
    assert main(["compare-runs", str(folder)]) == 0
    compared = json.loads((folder / "compare.json").read_text())
    assert list(compared["variants"][0]["curve"])[1] == ("accuracy" if name == "half" else "reward")
    assert ("verdict" in capsys.readouterr().out) == (name == "five")


def test_curves_have_gaps_where_nothing_was_scored():
    assert curve([1.0, None, 0.5], window=2).tolist() == [1.0, 1.0, 0.5]
    assert str(curve([None, None, 0.5], window=2).tolist()) == "[nan, nan, 0.5]"
    assert curve([0.9] * 7).tolist() == [0.9] * 7
    metrics = [{"step": k, "accuracy": x, "reward": x} for k, x in enumerate([None, 0.5, 1.0])]
    assert has_verdicts(metrics)
    assert first_reaching(metrics, 0.75)["step"] == 2
    assert not has_verdicts([{"accuracy": None, "reward": 5.0}, {"accuracy": 1.0, "reward": 1.0}])
    assert not has_verdicts([{"accuracy": None, "reward": None}])
    assert first_reaching([{"accuracy": None, "reward": 5.0}], 0.5) is None


def test_evaluations_of_older_runs_are_read_as_what_they_were():
    old = evaluated({"step": 0, "pass@1": 0.25, "greedy": 0.5}, {"step": 9, "pass@1": 0.75, "greedy": 1.0})
    assert (old["before"], old["after"], old["greedy"], old["reward_after"]) == (0.25, 0.75, 1.0, None)
    no_verdict = evaluated({"step": 0, "pass@1": 0.0, "greedy": 0.0}, {"step": 9, "pass@1": 5.0, "greedy": -3.0})
    assert (no_verdict["before"], no_verdict["after"], no_verdict["greedy"]) == (None, None, None)
    assert (no_verdict["reward_after"], no_verdict["reward_greedy"]) == (5.0, -3.0)
    assert set(evaluated({}, {}).values()) == {None}
