"""The command on real files: a model's folder and a table of problems."""

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from advantages.cli import main


def write(path, *rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_a_model_and_a_file_train(pretrained, tmp_path, capsys):
    rows = [{"prompt": f"{k}+1?", "answer": str(k + 1), "solution": f"{k}+1={k + 1}"} for k in range(6)]
    data = write(tmp_path / "train.jsonl", *rows)
    arguments = ["--model", str(pretrained), "--data", str(data), "--rouge-weight", "0.1", "--rewards", "exact=1"]
    arguments += ["--estimator", "lampo", "--estimator.temperature", "3", "--max-new-tokens", "5", "--evaluation", "2"]
    arguments += ["--steps", "2", "--prompts", "2", "--group-size", "2", "--lora-rank", "2", "--kl", "0.01"]
    assert main(["train", "--runs", str(tmp_path / "runs"), "--name", "mine", *arguments]) == 0
    folder = tmp_path / "runs" / "mine"
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    assert {"rewards/exact/mean", "rewards/rouge_l/mean", "kl_reference"} <= lines[0].keys()
    assert (folder / "model" / "adapter_model.safetensors").exists()
    assert "lampo(temperature=3)" in capsys.readouterr().out


def test_stages_around_an_estimator_train_by_command(pretrained, tmp_path):
    data = write(tmp_path / "data.jsonl", *({"prompt": f"{k}+2?", "answer": str(k + 2)} for k in range(20)))
    arguments = ["train", "--model", str(pretrained), "--data", str(data), "--runs", str(tmp_path), "--name", "mine"]
    arguments += ["--estimator", "grpo", "--then", "entropy_shaped.alpha=0.4", "--then", "clipped.limit=5"]
    arguments += ["--steps", "1", "--prompts", "1", "--group-size", "2", "--max-new-tokens", "2", "--evaluation", "0"]
    assert main([*arguments, "--rewards", "exact=1"]) == 0
    config = json.loads((tmp_path / "mine" / "config.json").read_text())
    assert config["estimator"] == "grpo+entropy_shaped.alpha=0.4+clipped.limit=5"
    with pytest.raises(SystemExit, match=r"there is no stage 'entropy_shape'.*did you mean 'entropy_shaped'"):
        main([*arguments, "--name", "other", "--then", "entropy_shape.alpha=0.4"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "{data}"], "the tiny model knows procedural tasks alone; pass --model for other data"),
        (["--data", "{data}", "--model", "{model}", "--rouge-weight", "1"], "no problem has one; give them some"),
        (["--data", "{data}", "--model", "{model}", "--rewards", "exact"], "write name=weight, such as exact=1"),
        (
            ["--data", "{data}", "--model", "{model}", "--rewards", "nope=1"],
            "reward 'nope': there is none; pass one of",
        ),
        (
            ["--data", "{data}", "--model", "{model}", "--max-prompt-tokens", "3"],
            "line 1: the prompt has .* but 3 are allowed; raise --max-prompt-tokens",
        ),
        (
            ["--data", "{data}", "--model", "{model}", "--max-new-tokens", "99999"],
            "leave no room for a prompt in a mod",
        ),
        (["--model", "{model}", "--random-init", "Qwen3-4B"], "got both model and random_init; pass one"),
        (["--model", "{model}", "--device", "cuda:7"], "device is 'cuda:7', which is not on this machine"),
        (["--resume", "{data}.none"], "holds no run that could be resumed"),
    ],
)
def test_what_cannot_work_is_said_and_leaves_nothing_behind(arguments, message, pretrained, tmp_path):
    data = write(tmp_path / "data.jsonl", *({"prompt": f"{k}+2?", "answer": str(k + 2)} for k in range(20)))
    filled = [a.format(data=data, model=pretrained) for a in arguments]
    with pytest.raises(SystemExit, match=message):
        main(["train", "--runs", str(tmp_path / "runs"), *filled])
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("steps", "warmup", "share"), [(1, 4, "25%"), (2, 3, "67%"), (1, 1, None), (2, 0, None)])
def test_a_run_that_ends_before_its_learning_rate_has_risen_says_so(steps, warmup, share, pretrained, tmp_path, capsys):
    data = write(tmp_path / "data.jsonl", *({"prompt": f"{k}+2?", "answer": str(k + 2)} for k in range(20)))
    given = {"model": pretrained, "data": data, "runs": tmp_path, "name": "mine", "steps": steps, "warmup": warmup}
    given |= {"prompts": 1, "group-size": 2, "max-new-tokens": 2, "evaluation": 0, "rewards": "exact=1"}
    assert main(["train", *(str(word) for name, x in given.items() for word in (f"--{name}", x))]) == 0
    said = capsys.readouterr().err
    assert ("warning: the learning rate rises over" in said) == (share is not None)
    assert share is None or f"at {share} of --learning-rate" in said
    lines = (tmp_path / "mine" / "metrics.jsonl").read_text().splitlines()
    highest = json.loads(lines[-1])["learning_rate"]
    assert highest == pytest.approx(1e-6 * min(1, steps / max(1, warmup)))
