"""Where problems come from, and models of every kind."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from transformers import Qwen3Config, Qwen3ForCausalLM

from advantages.cli import main
from advantages.policy.chat import render
from advantages.policy.engine import end_tokens, sample, token_logprobs
from advantages.policy.load import byte_tokenizer, load, shape_of
from advantages.policy.rollout import joined, make_rollout
from advantages.runs.config import Config
from advantages.tasks.chain import TASKS, Procedural
from advantages.tasks.files import Files, read_problems
from advantages.training.scoring import columns_of, make_rewards
from advantages.training.start import open_source

TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% if not enable_thinking %}<think></think>{% endif %}{% endif %}"
)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A folder like a hub's: a small model with a tokenizer of bytes and a chat template."""
    folder = tmp_path_factory.mktemp("pretrained")
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    model = Qwen3ForCausalLM(
        Qwen3Config(vocab_size=len(tokenizer), num_key_value_heads=1, head_dim=16, **shape, **ends)
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write(path, *rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


# Files


def test_rows_become_problems_with_all_their_columns(tmp_path):
    rows = [{"prompt": "2+2?", "answer": 4, "solution": "2+2=4", "level": "easy"}, {"prompt": "x", "answer": "y"}]
    one, other = read_problems(write(tmp_path / "data.jsonl", *rows, ""))
    assert (one.prompt, one.answer, one.solution, dict(one.columns)) == ("2+2?", "4", "2+2=4", {"level": "easy"})
    assert (other.solution, dict(other.columns)) == (None, {})


def test_parquet_holds_the_same_problems(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [{"prompt": "2+2?", "answer": "4", "solution": None}, {"prompt": "x", "answer": "y", "solution": "z"}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "data.parquet")
    lines = write(tmp_path / "data.jsonl", *rows)
    found, expected = (
        [p._replace(where="") for p in read_problems(path)] for path in (tmp_path / "data.parquet", lines)
    )
    assert found == expected


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            ['{"prompt": "a", "answer": "b"}', "{nonsense"],
            r"data.jsonl line 2 is no JSON \(.*\); write one object a line",
        ),
        (["[1]"], "data.jsonl line 1 is a list; write an object with prompt and answer"),
        (['{"prompt": "a"}'], "data.jsonl line 1 has no answer, but prompt; give it one"),
        (['{"prompt": "a", "answer": null}'], "data.jsonl line 1 has no answer"),
        (['{"prompt": "a", "answer": ["b"]}'], "data.jsonl line 1: answer is a list; pass a text"),
        (['{"prompt": "a", "answer": true}'], "data.jsonl line 1: answer is a bool; pass a text"),
        ([""], "data.jsonl holds no problem; write one JSON object a line"),
    ],
)
def test_a_row_that_does_not_fit_is_named(rows, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_problems(write(tmp_path / "data.jsonl", *rows))


def test_a_table_that_is_none_is_said(tmp_path):
    pytest.importorskip("pyarrow")
    with pytest.raises(ValueError, match=r"bad.parquet is no Parquet file"):
        read_problems(write(tmp_path / "bad.parquet", "nonsense"))
    with pytest.raises(ValueError, match=r"there is no such file"):
        read_problems(tmp_path / "none.jsonl")


def test_every_pass_over_a_file_is_another_order_of_all_its_rows(tmp_path):
    problems = read_problems(write(tmp_path / "d.jsonl", *({"prompt": str(k), "answer": "a"} for k in range(10))))
    source = Files(problems, seed=0, held_out=3)
    held = {p.prompt for p in source.held_out(3)}
    passes = [[p.prompt for p in source.draw(7)] for _ in range(3)]
    assert all(sorted([*one, *held], key=int) == [str(k) for k in range(10)] for one in passes)
    assert passes[0] != passes[1]
    fresh = Files(problems, seed=0, held_out=3)
    fresh.draw(4)
    later = Files(problems, seed=0, held_out=3)
    later.restore(json.loads(json.dumps(fresh.state())))
    assert [p.prompt for p in later.draw(5)] == [p.prompt for p in fresh.draw(5)]


def test_procedural_problems_go_on_where_they_were():
    first, second = Procedural(TASKS["chain"], 0), Procedural(TASKS["chain"], 0)
    first.draw(5)
    second.restore(json.loads(json.dumps(first.state())))
    assert first.draw(5) == second.draw(5)
    assert first.held_out(4) == second.held_out(4)


def test_reasoning_gym_scores_its_own_problems():
    pytest.importorskip("reasoning_gym")
    config = Config(task="reasoning-gym:chain_sum", model="some")
    source = open_source(config)
    problems = source.draw(3)
    right = [json.loads(p.answer)["answer"] for p in problems]
    texts = [f"<answer>{right[0]}</answer>", "<answer>nonsense</answer>", right[2]]
    columns = {"answer": [p.answer for p in problems]}
    scores = make_rewards(config, source)([p.prompt for p in problems], texts, columns)
    assert scores.total()[0] == scores.total()[2] == 1.0
    assert scores.total()[1] < 0.5
    assert source.held_out(2) == open_source(config).held_out(2)
    with pytest.raises(ValueError, match="reasoning-gym has no generator 'chess'; it has"):
        open_source(Config(task="reasoning-gym:chess", model="some"))


# Models


@pytest.mark.parametrize(("preset", "billions"), [("Qwen3-1.7B", 1.72), ("Qwen3-4B", 4.02), ("Phi-4-mini", 3.84)])
def test_presets_have_the_published_number_of_parameters(preset, billions):
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(shape_of(preset))
    assert sum(p.numel() for p in model.parameters()) / 1e9 == pytest.approx(billions, abs=0.01)


@pytest.mark.parametrize("text", ["3+4=7#7", "Ünïcödé → 你好\n\t\x00", ""])
def test_the_byte_tokenizer_reads_any_text(text):
    tokenizer = byte_tokenizer()
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_a_local_model_is_loaded_with_its_template(pretrained):
    model, tokenizer = load(model=str(pretrained), device="cpu")
    assert end_tokens(model, tokenizer) == [1]
    assert render(tokenizer, "Hi", system="Be brief.") == "<system>Be brief.\n<user>Hi\n<assistant>"
    assert render(tokenizer, "Hi", thinking=False) == "<user>Hi\n<assistant><think></think>"
    tokenizer.chat_template = None
    assert render(tokenizer, "Hi") == "Hi"
    with pytest.raises(ValueError, match="got a system prompt, but the tokenizer has no chat template"):
        render(tokenizer, "Hi", system="Be brief.")


def test_a_tokenizer_without_a_pad_token_pads_with_its_end(pretrained, tmp_path):
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(pretrained, folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["pad_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    model, tokenizer = load(model=str(folder), device="cpu")
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 1
    torch.manual_seed(0)
    rollout = sample(model, tokenizer, ["long prompt", "p"], max_new_tokens=4)
    assert rollout.attention[0, :11].all()
    assert not rollout.attention[1, :10].any()
    del settings["eos_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=r"has neither a pad token nor an end token; set tokenizer.pad_token"):
        load(model=str(folder), device="cpu")


@pytest.mark.parametrize("name", ["/no/such/folder", "./none"])
def test_a_missing_folder_is_said(name):
    with pytest.raises(ValueError, match=r"there is no such folder; pass a folder or a hub id"):
        load(model=name, device="cpu")


def test_weights_that_could_run_code_are_not_loaded(pretrained, tmp_path):
    import shutil

    folder = tmp_path / "pickled"
    shutil.copytree(pretrained, folder)
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"cannot be loaded .*pass a folder with config.json, tokenizer and"):
        load(model=str(folder), device="cpu")


# Rollouts of any engine


def test_an_engines_responses_are_cut_at_the_first_end_and_padded():
    tokenizer = byte_tokenizer()
    a, b, c = (tokenizer(x).input_ids[0] for x in "abc")
    rollout = make_rollout([[a, b], [c]], [[b, 1, c], [c, c, c, c]], tokenizer, [1], 3, "cpu", [[-1.0] * 3, [-2.0] * 4])
    assert rollout.tokens.tolist() == [[a, b, b, 1, 0], [0, c, c, c, c]]
    assert rollout.attention.tolist() == [[True, True, True, True, False], [False, True, True, True, True]]
    assert rollout.mask.tolist() == [[True, True, False], [True, True, True]]
    assert rollout.truncated.tolist() == [False, True]
    assert rollout.sampled_logprobs.tolist() == [[-1.0, -1.0, 0.0], [-2.0, -2.0, -2.0]]
    assert rollout.texts == ["b", "ccc"]


def test_joined_rollouts_keep_every_logprob(pretrained):
    model, tokenizer = load(model=str(pretrained), device="cpu")
    torch.manual_seed(0)
    parts = [sample(model, tokenizer, prompts, max_new_tokens=t) for prompts, t in ((["a", "bcd"], 3), (["efghij"], 7))]
    whole = joined(parts, tokenizer.pad_token_id)
    assert whole.tokens.shape == (3, 6 + 7)
    with torch.no_grad():
        together = token_logprobs(model, whole)[0]
        alone = [token_logprobs(model, part)[0] for part in parts]
    torch.testing.assert_close(together[:2, :3][parts[0].mask], alone[0][parts[0].mask], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together[2:][parts[1].mask], alone[1][parts[1].mask], atol=1e-5, rtol=1e-5)
    columns = columns_of([TASKS["chain"].problem(np.random.default_rng(0))] * 3, whole)
    assert [len(ids) for ids in columns["completion_ids"]] == whole.mask.sum(1).tolist()


def test_continuous_batching_samples_what_generate_would(pretrained):
    model, tokenizer = load(model=str(pretrained), device="cpu")
    prompts = ["a", "bcd"]
    expected = sample(model, tokenizer, prompts, max_new_tokens=3, greedy=True)
    model.generation_config.update(repetition_penalty=50.0, suppress_tokens=expected.tokens[:, -3:].flatten().tolist())
    found = sample(model, tokenizer, prompts, max_new_tokens=3, greedy=True, engine="continuous")
    assert found.tokens.tolist() == expected.tokens.tolist()


# The command on real files


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
