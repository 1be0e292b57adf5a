"""`advantages eval`: real sampling and grading, estimators checked by enumeration, and a record that survives."""

import contextlib
import functools
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("math_verify")


from advantages.cli import main
from advantages.evaluation.benchmarks import BENCHMARKS, LETTERS, questions_of
from advantages.evaluation.grading import Letter, Marked, Mathematics, votes_of
from advantages.evaluation.model import Sampler
from advantages.evaluation.record import Record
from advantages.evaluation.settings import Settings
from advantages.evaluation.statistics import interval, maj_at_k, pass_at_k, sampling_error
from advantages.policy.load import byte_tokenizer
from advantages.rewards.worker import _children

# Statistics


def draws(items, k):
    return list(combinations(range(len(items)), k))


@given(
    st.integers(1, 8).flatmap(lambda n: st.tuples(st.lists(st.booleans(), min_size=n, max_size=n), st.integers(1, n)))
)
def test_pass_at_k_is_the_share_of_draws_with_a_right_completion(case):
    right, k = case
    expected = np.mean([any(right[i] for i in draw) for draw in draws(right, k)])
    assert pass_at_k(len(right), sum(right), k) == pytest.approx(expected, abs=1e-12)


@st.composite
def ballots(draw):
    votes = draw(st.lists(st.sampled_from([None, "7", "8", "9"]), min_size=1, max_size=8))
    mixed = draw(st.booleans())  # an answer whose completions were graded differently
    right = [0.0 if v is None else float(draw(st.booleans()) if mixed else v == "7") for v in votes]
    return votes, right, draw(st.integers(1, len(votes)))


@given(ballots())
def test_maj_at_k_is_the_mean_over_draws_and_tie_breaks(case):
    votes, right, k = case
    worth = {v: np.mean([r for w, r in zip(votes, right, strict=True) if w == v]) for v in set(votes)}

    def won(draw):
        counts = Counter(votes[i] for i in draw if votes[i] is not None)
        tied = [v for v, count in counts.items() if count == max(counts.values())]
        return np.mean([worth[v] for v in tied]) if tied else 0.0

    assert maj_at_k(votes, right, k) == pytest.approx(np.mean([won(draw) for draw in draws(votes, k)]), abs=1e-12)


def test_ties_count_in_part_and_silence_abstains():
    assert maj_at_k(["7", "8", "9"], [1, 0, 0], 3) == pytest.approx(1 / 3)
    assert maj_at_k(["7", None, None], [1, 0, 0], 3) == 1.0
    assert maj_at_k([None, None], [0, 0], 2) == 0.0
    assert maj_at_k(["7", "8", "7", "8"], [1, 0, 1, 0], 1) == pytest.approx(0.5)  # k = 1 is pass@1


def test_many_completions_are_counted_without_overflow():
    votes = [str(i % 37) for i in range(1000)]
    right = [float(v == "0") for v in votes]
    assert 0.0 < maj_at_k(votes, right, 500) < 1.0
    assert pass_at_k(10_000, 1, 5000) == 0.5
    with pytest.raises(ValueError, match="there are 1001 completions of a problem; pass at most 1000"):
        maj_at_k([*votes, "0"], [*right, 1.0], 2)
    for wrong in (0, 5):
        with pytest.raises(ValueError, match=f"k is {wrong} but a problem has 4 completions"):
            pass_at_k(4, 1, wrong)


@pytest.mark.parametrize(
    ("mean", "alike", "problems", "samples"),
    [(0.5, 2, 30, 8), (0.2, 0.3, 30, 8), (0.97, 2, 30, 1), (0.97, 20, 198, 4), (0.8, 20, 500, 4)],
)
def test_intervals_hold_the_populations_mean_about_as_often_as_they_say(mean, alike, problems, samples):
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        skill = rng.beta(mean * alike, (1 - mean) * alike, problems)
        low, high = interval(rng.binomial(samples, skill) / samples, trials=problems * samples)
        held += low <= mean <= high
    assert 0.92 < held / 1000 < 0.985


def test_intervals_are_wilsons_where_each_problem_is_asked_once():
    low, high = interval(np.repeat([1.0, 0.0], [700, 300]))
    z, n, p = 1.96, 999, 0.7
    centre, half = (p + z**2 / 2 / n) / (1 + z**2 / n), z / (1 + z**2 / n) * math.sqrt(p * 0.3 / n + (z / 2 / n) ** 2)
    assert (low, high) == pytest.approx((centre - half, centre + half), abs=1e-4)
    assert interval(np.repeat([1.0, 0.0], [300, 700])) == pytest.approx((1 - high, 1 - low))


def test_no_interval_is_empty_or_leaves_the_unit_interval():
    for values in ([1.0], [0.0] * 30, [1.0] * 30, [0.0] * 29 + [0.125], [0.5, 0.5]):
        low, high = interval(values, trials=8 * len(values))
        assert 0.0 <= low <= np.mean(values) <= high <= 1.0
        assert high - low > 0.01
    assert interval([1.0] * 30)[0] == pytest.approx(0.878, abs=0.005)  # 30 / (30 + t^2)


def test_the_sampling_error_is_that_of_new_completions():
    rng = np.random.default_rng(0)
    skill = rng.random(50)
    right = rng.binomial(8, skill, (4000, 50))
    squares = np.mean([sampling_error(8, row) ** 2 for row in right])
    assert math.sqrt(squares) == pytest.approx((right / 8).mean(1).std(), rel=0.03)
    assert sampling_error(1, right[0]) is None


# Benchmarks


AIME = [
    {
        "id": 60 + i,
        "problem": f"What is {i} + {i}?",
        "solution": "...",
        "answer": f"0{2 * i}",
        "url": "",
        "year": "2024",
    }
    for i in range(6)
]
MATH = [
    {"problem": "Halve 1.", "solution": "...", "answer": "\\frac{1}{2}", "subject": "Algebra", "level": 1}
    | {"unique_id": f"test/algebra/{i}.json"}
    for i in range(4)
]
GPQA = [
    {"Record ID": f"rec{i}", "Question": f"Which is {i}?\n", "Correct Answer": f" right {i}\n"}
    | {f"Incorrect Answer {j}": f"wrong {i} {j}" for j in (1, 2, 3)}
    for i in range(42)
]


@pytest.fixture
def written(tmp_path):
    def write(rows, name="data.jsonl"):
        path = tmp_path / name
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
        return path

    return write


def test_hub_schemas_are_read_as_they_are(written):
    first = questions_of("aime24", data=written(AIME))[0]
    assert first == ("60", first.prompt, "00")
    assert first.prompt.startswith("What is 0 + 0?\n\nPlease reason step by step")
    assert questions_of("math-500", data=written(MATH), instruction="")[1] == (
        "test/algebra/1.json",
        "Halve 1.",
        "\\frac{1}{2}",
    )
    assert [q.id for q in questions_of("aime25", data=written([{"problem": "1+1", "answer": 2}] * 2))] == ["1", "2"]
    assert len(questions_of("aime24", data=written(AIME), limit=2)) == 2


@pytest.mark.parametrize("seed", range(5))
def test_options_are_shuffled_by_the_seed_and_each_letter_is_right_equally_often(written, seed):
    questions = questions_of("gpqa-diamond", data=written(GPQA), seed=seed)
    assert questions == questions_of("gpqa-diamond", data=written(GPQA), seed=seed)
    assert sorted(Counter(q.answer for q in questions).values()) == [10, 10, 11, 11]
    for i, question in enumerate(questions):
        options = dict(line[1:].split(") ", 1) for line in question.prompt.splitlines() if line.startswith("("))
        assert list(options) == list(LETTERS)
        assert options[question.answer] == f"right {i}"
        assert set(options.values()) == {f"right {i}", f"wrong {i} 1", f"wrong {i} 2", f"wrong {i} 3"}
    orders = Counter(tuple(q.prompt.partition("\n\n")[2].replace(f" {i}", "")) for i, q in enumerate(questions))
    assert len(orders) > 12  # of 24
    assert [q.answer for q in questions] != [q.answer for q in questions_of("gpqa-diamond", data=written(GPQA), seed=9)]


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("aime26", AIME, "benchmark is 'aime26'; pass one of aime24, aime25, math-500, gpqa-diamond"),
        (
            "aime24",
            [AIME[0], {"problem": "1+1"}],
            r"line 2 has no answer, but problem; .* \(a row needs problem and answer\)",
        ),
        ("gpqa-diamond", AIME, "line 1 has no Question, but id, problem"),
        ("math-500", [MATH[0], "{"], "line 2 is no JSON"),
        ("math-500", ["[1]"], "line 1 is a list; write an object with problem and answer"),
        ("math-500", [{"problem": ["a"], "answer": 1}], "line 1: problem is a list; pass a text"),
        ("math-500", [MATH[0], MATH[0]], "problems 1 and 2 of .* are both called 'test/algebra/0.json'"),
        ("math-500", [], "holds no row"),
    ],
)
def test_data_that_do_not_fit_are_refused_with_a_sentence(name, rows, message, written):
    with pytest.raises(ValueError, match=message):
        questions_of(name, data=written(rows))


def test_made_problems_are_those_that_training_holds_out():
    questions = questions_of("chain", seed=3, limit=5)
    assert questions == questions_of("chain", seed=3)[:5] != questions_of("chain", seed=4)[:5]
    assert all(str(sum(map(int, q.prompt[:-1].split("+"))) % 10) == q.answer for q in questions)


# Grading


@pytest.fixture(scope="module")
def mathematics():
    return Mathematics(seconds=2.0)


@pytest.mark.parametrize(
    ("completion", "expected", "right", "answer"),
    [
        ("so \\boxed{\\frac{2}{4}}", "1/2", True, "\\frac{2}{4}"),
        ("The answer is $070$.", "70", True, "070"),
        ("<think>\\boxed{3}</think>\\boxed{4}", "3", False, "4"),
        ("<think>\\boxed{3}", "3", False, None),
        ("\\boxed{Evelyn}", "\\text{Evelyn}", True, "Evelyn"),
        ("\\boxed{\\text{even}}", "\\text{odd}", False, "\\text{even}"),
        ("\\boxed{[0,1)}", "[0,1)", True, "[0,1)"),
        ("\\boxed{5\\text{ cm}}", "5", True, None),
        ("no idea", "3", False, None),
    ],
)
def test_mathematics_is_equal_however_it_is_written(mathematics, completion, expected, right, answer):
    (grade,) = mathematics.grade([completion], [expected])
    assert grade.right is right
    if answer is not None or not right:
        assert grade.answer == answer


def test_a_completion_that_hangs_the_grader_is_cut_off_and_no_other(mathematics):
    grades = mathematics.grade(["\\boxed{9^{9^{9^9}}}", "\\boxed{4}"], ["4", "4"])
    assert grades == [(None, None), (True, "4")]
    assert mathematics.same("9^{9^{9^9}}", "4") is False


def test_answers_that_are_the_same_vote_together(mathematics):
    answers = ["0.5", "\\frac{1}{2}", None, "2", "0.5", "\\frac{4}{2}"]
    assert votes_of(answers, mathematics) == [0, 0, None, 1, 0, 1]
    assert votes_of(["A", "B", None, "A"], Letter()) == [0, 1, None, 0]


def test_letters_and_marks_are_read():
    assert Letter().grade(["It is \\boxed{B}", "Answer: C", "?"], ["B", "B", "B"]) == [
        (True, "B"),
        (False, "C"),
        (False, None),
    ]
    assert Marked().grade(["3+4=7#7", "7", "#", "#8"], ["7"] * 4) == [
        (True, "7"),
        (False, None),
        (False, None),
        (False, "8"),
    ]


def test_a_closed_grading_has_ended_its_process_and_starts_another():
    before = set(_children(os.getpid()))
    with contextlib.closing(Mathematics()) as grading:
        assert grading.same("1/2", "0.5")
        assert set(_children(os.getpid())) > before
    assert set(_children(os.getpid())) == before
    assert grading.same("1/2", "0.5")
    grading.close()
    assert set(_children(os.getpid())) == before


# The model


@pytest.fixture(scope="module")
def tokenizer():
    return byte_tokenizer()


@pytest.fixture(scope="module")
def new_model(save_tiny):
    return functools.partial(save_tiny, max_position_embeddings=512, initializer_range=0.2)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory, new_model):
    return new_model(tmp_path_factory.mktemp("model") / "tiny")


def arguments(model, data, output, **more):
    given = {"model": model, "benchmark": "aime24", "data": data, "output": output, "samples": 3, "batch_size": 4}
    given |= {"max_new_tokens": 12, "temperature": 1.0, "top_p": 1.0, "device": "cpu", **more}
    return ["eval", *(str(part) for name, x in given.items() for part in ("--" + name.replace("_", "-"), x))]


def completions(folder):
    return [json.loads(line) for line in (folder / "completions.jsonl").read_text().splitlines()]


def test_a_benchmark_is_run_and_leaves_a_record(model_folder, written, tmp_path, capsys):
    folder = tmp_path / "out"
    assert main(arguments(model_folder, written(AIME), folder)) == 0
    rows = completions(folder)
    assert [(row["problem"], row["sample"]) for row in rows] == [(str(60 + i), j) for i in range(6) for j in range(3)]
    assert len({row["completion"] for row in rows}) > 12
    assert all(row["tokens"] <= 12 and row["expected"] == f"0{2 * (int(row['problem']) - 60)}" for row in rows)
    results = json.loads((folder / "results.json").read_text())
    assert list(results["pass"]) == list(results["maj"]) == ["1", "2", "3"]
    assert results["pass"]["1"]["value"] == pytest.approx(np.mean([row["right"] is True for row in rows]))
    assert results["pass"]["1"]["low"] <= results["pass"]["1"]["value"] <= results["pass"]["1"]["high"]
    assert results["maj"]["1"]["value"] == pytest.approx(results["pass"]["1"]["value"])
    assert results["settings"]["samples"] == 3
    asked = [json.loads(line) for line in (folder / "questions.jsonl").read_text().splitlines()]
    assert [q["id"] for q in asked] == [str(60 + i) for i in range(6)]
    printed = capsys.readouterr().out
    for word in ("pass@k", "maj@k", "95% interval", "6 problems, 3 completions each", "results.json"):
        assert word in printed


def test_a_checkpoints_own_settings_are_not_asked_and_what_is_used_is_recorded(model_folder, written, tmp_path):
    hostile = tmp_path / "hostile"
    shutil.copytree(model_folder, hostile)
    settings = {"repetition_penalty": 9.0, "min_p": 0.5, "top_k": 1, "temperature": 0.1, "do_sample": False}
    (hostile / "generation_config.json").write_text(json.dumps({**settings, "eos_token_id": 1}))
    data = written(AIME)
    for model in (model_folder, hostile):
        assert main(arguments(model, data, tmp_path / "out" / model.name, samples=1)) == 0
    texts = [
        [row["completion"] for row in completions(tmp_path / "out" / name)] for name in (model_folder.name, "hostile")
    ]
    assert texts[0] == texts[1]
    for record in ("config", "results"):
        used = json.loads((tmp_path / "out" / "hostile" / f"{record}.json").read_text())["generation settings"]
        assert used == {
            "do_sample": True,
            "temperature": 1.0,
            "top_k": 0,
            "top_p": 1.0,
            "max_new_tokens": 12,
            "eos_token_id": [1],
            "pad_token_id": 0,
        }


@pytest.mark.parametrize(("name", "rows"), [("math-500", MATH), ("gpqa-diamond", GPQA[:5])])
def test_other_benchmarks_run_alike(name, rows, model_folder, written, tmp_path):
    more = {"benchmark": name, "samples": 1, "temperature": 0}
    assert main(arguments(model_folder, written(rows), tmp_path / "out", **more)) == 0
    assert len(completions(tmp_path / "out")) == len(rows)


def test_a_run_of_training_is_evaluated_by_its_folder(model_folder, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "experiment.json").write_text("{}")
    with pytest.raises(SystemExit, match="is not one run that has ended with a model; of these it holds none that has"):
        main(["eval", "--model", str(run), "--benchmark", "chain", "--output", str(tmp_path / "out")])
    (run / "model").symlink_to(model_folder)
    given = ["--limit", "4", "--samples", "2", "--output", str(tmp_path / "out")]
    assert main(["eval", "--model", str(run), "--benchmark", "chain", *given]) == 0
    assert len(completions(tmp_path / "out")) == 8


def test_thinking_that_the_prompt_has_opened_is_no_answer(model_folder, tokenizer):
    sampler = Sampler(Settings(model=str(model_folder), benchmark="aime24", system="Be kind."), longest=4)
    sampler.tokenizer.chat_template = (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
        "{% if enable_thinking %}<think>\n{% else %}<think></think>{% endif %}"
    )
    question = questions_of("chain", limit=1)
    (prompt,) = sampler.prompts(question)
    assert prompt == f"system: Be kind.\nuser: {question[0].prompt}\n<think>\n"
    (found,) = sampler.sample([prompt], seed=0)
    assert found.graded == "<think>" + found.text
    plain = Sampler(Settings(model=str(model_folder), benchmark="aime24", thinking=False), longest=4)
    plain.tokenizer.chat_template = sampler.tokenizer.chat_template
    (found,) = plain.sample(plain.prompts(question), seed=0)
    assert found.graded == found.text


def test_a_model_without_pad_or_end_token_is_refused(new_model, tmp_path, written):
    from transformers import PreTrainedTokenizerFast

    bare = PreTrainedTokenizerFast(tokenizer_object=byte_tokenizer().backend_tokenizer)
    folder = new_model(tmp_path / "bare", bare)
    with pytest.raises(
        SystemExit, match=r"advantages eval: the tokenizer of .* has neither a pad token nor an end token"
    ):
        main(arguments(folder, written(AIME), tmp_path / "out"))


# The record


def test_a_batch_that_was_not_written_whole_is_sampled_again(model_folder, written, tmp_path):
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    data = written(AIME)
    assert main(arguments(model_folder, data, whole)) == 0
    shutil.copytree(whole, torn)
    content = (whole / "completions.jsonl").read_bytes()
    lines = content.splitlines(keepends=True)
    for kept in (lines[:0], lines[:4], lines[:6], [*lines[:5], lines[5][:9]], [*lines[:7], lines[7][:-1]]):
        (torn / "completions.jsonl").write_bytes(b"".join(kept))
        (torn / "results.json").unlink()
        assert main(["eval", "--resume", str(torn)]) == 0
        assert (torn / "completions.jsonl").read_bytes() == content
        assert (torn / "results.json").read_bytes() == (whole / "results.json").read_bytes()
    (torn / "completions.jsonl").write_bytes(b"".join([*lines[:2], b"{\n", *lines[3:]]))
    with pytest.raises(SystemExit, match="line 3 is damaged; remove it and all lines below, and resume"):
        main(["eval", "--resume", str(torn)])


def test_another_batch_size_goes_on_without_repeating(model_folder, written, tmp_path):
    folder = tmp_path / "out"
    assert main(arguments(model_folder, written(AIME), folder)) == 0
    lines = (folder / "completions.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "completions.jsonl").write_bytes(b"".join(lines[:8]))
    assert main(["eval", "--resume", str(folder), "--batch-size", "3", "--k", "1,3"]) == 0
    rows = completions(folder)
    assert len({(row["problem"], row["sample"]) for row in rows}) == len(rows) == 18
    assert list(json.loads((folder / "results.json").read_text())["pass"]) == ["1", "3"]


def test_a_folder_that_belongs_to_something_else_is_refused(model_folder, new_model, written, tmp_path):
    folder, data = tmp_path / "out", written(AIME)
    assert main(arguments(model_folder, data, folder)) == 0
    before = (folder / "completions.jsonl").read_bytes()
    other = new_model(tmp_path / "other", seed=1)

    def refused(message, *parts, **more):
        with pytest.raises(SystemExit, match=message):
            main([*arguments(*parts, folder, **more)])

    refused(
        "was started with temperature=1.0 but now it is 0.5; resume it as it was", model_folder, data, temperature=0.5
    )
    refused("was started with model=", other, data)
    refused("the questions are not those that", model_folder, written(AIME[:5], "fewer.jsonl"))
    for file in other.iterdir():
        (model_folder.parent / "moved").mkdir(exist_ok=True)
        (model_folder.parent / "moved" / file.name).write_bytes((model_folder / file.name).read_bytes())
        (model_folder / file.name).write_bytes(file.read_bytes())
    try:
        refused("the weights are not those that", model_folder, data)
    finally:
        for file in (model_folder.parent / "moved").iterdir():
            (model_folder / file.name).write_bytes(file.read_bytes())
    assert main(arguments(model_folder, written(AIME, "copy.jsonl"), folder)) == 0  # the same questions, elsewhere
    assert (folder / "completions.jsonl").read_bytes() == before
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    with pytest.raises(SystemExit, match="full holds other files; pass another --output"):
        main(arguments(model_folder, data, tmp_path / "full"))


def test_two_processes_do_not_write_to_one_folder(tmp_path):
    with (
        Record(tmp_path / "out").open({"seed": 1}, {"questions": "a"}, []),
        pytest.raises(ValueError, match="another process is writing to"),
    ):
        Record(tmp_path / "out").open({"seed": 1}, {"questions": "a"}, [])
    with Record(tmp_path / "out").open({"seed": 1}, {"questions": "a"}, []) as record:
        assert record.rows == []


# The command


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--benchmark", "chain"], "advantages eval: no model is named; pass --model, or --resume FOLDER"),
        (
            ["--model", "a/b/c", "--benchmark", "chain"],
            "advantages eval: model is 'a/b/c', but there is no such folder",
        ),
        (["--model", "./b", "--benchmark", "chain"], "advantages eval: model is './b', but there is no such folder"),
        (["--model", "m", "--benchmark", "chess"], "advantages eval: benchmark is 'chess'; pass one of aime24"),
        (["--model", "m", "--benchmark", "aime24", "--data", "nix"], "nix', but there is no such file"),
        (["--model", "m", "--benchmark", "chain", "--temperature", "0"], "temperature is 0, so the 8 samples"),
        (["--model", "m", "--benchmark", "chain", "--top-p", "0"], "top_p is 0.0; pass a number between 1e-06 and 1"),
        (["--model", "m", "--benchmark", "chain", "--temperature", "nan"], "temperature is nan; pass a finite number"),
        (["--model", "m", "--benchmark", "chain", "--k", "9"], "k is 9 but there are 8 samples"),
        (["--model", "m", "--benchmark", "chain", "--precision", "int8"], "precision is 'int8'; pass one of auto"),
        (["--resume", "nix"], "nix holds no evaluation that could be resumed"),
    ],
)
def test_what_cannot_work_ends_with_a_sentence(more, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message):
        main(["eval", *more])
    assert not list(tmp_path.iterdir())


def test_prompts_that_do_not_fit_the_model_are_refused(model_folder, written, tmp_path):
    data = written([{"problem": "1", "answer": 1}, {"problem": "1" * 600, "answer": 1}])
    with pytest.raises(SystemExit, match=r"problem 2 has 600 tokens, but the model takes 512"):
        main([*arguments(model_folder, data, tmp_path / "out"), "--instruction="])
    data = written([{"problem": "1", "answer": 1}])
    with pytest.raises(
        SystemExit, match=r"problem 1 has 1 tokens and completions may have 512, .*--max-new-tokens 511"
    ):
        main([*arguments(model_folder, data, tmp_path / "out", max_new_tokens=512), "--instruction="])
    assert not (tmp_path / "out").exists()


def test_resuming_takes_no_other_settings(model_folder, written, tmp_path):
    assert main(arguments(model_folder, written(AIME[:2]), tmp_path / "out")) == 0
    with pytest.raises(SystemExit, match=r"--resume takes every setting from .*, but seed was given, too"):
        main(["eval", "--resume", str(tmp_path / "out"), "--seed", "3"])


def test_the_hub_without_a_network_says_what_to_pass(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match=r"aime24 .* the hub.* pass --data FILE, JSON Lines with problem, answer"):
        questions_of("aime24")
    assert {name for name, benchmark in BENCHMARKS.items() if benchmark.hub} == {
        "aime24",
        "aime25",
        "math-500",
        "gpqa-diamond",
    }


def test_running_out_of_memory_says_what_to_lower(model_folder, written, tmp_path, monkeypatch):
    real, calls = Sampler.sample, []

    def greedy_for_memory(self, prompts, seed):
        calls.append(seed)
        if len(calls) == 3:
            torch.empty(2**50)  # the allocator's own error
        return real(self, prompts, seed)

    monkeypatch.setattr(Sampler, "sample", greedy_for_memory)
    folder = tmp_path / "out"
    with pytest.raises(
        SystemExit, match=r"advantages eval: out of memory .* advantages eval --resume .*out --batch-size 2, or lower"
    ):
        main(arguments(model_folder, written(AIME), folder))
    assert len(completions(folder)) == 8
    assert main(["eval", "--resume", str(folder), "--batch-size", "2"]) == 0
    assert len(completions(folder)) == 18


PATIENCE = 300
"""Seconds that a process may take, on a machine that may be busy."""


STOPPED = """
import os, signal, sys, threading
from advantages.cli import command
from advantages.evaluation.record import Record

number, batches, *sys.argv[1:] = sys.argv[1:]
append, appended = Record.append, []

def counted(record, rows):
    append(record, rows)
    appended.append(rows)
    if len(appended) == int(batches):
        threading.Timer(0.02, os.kill, (os.getpid(), int(number))).start()

Record.append = counted
signal.signal(signal.SIGINT, signal.default_int_handler)  # where a shell has put the tests behind, it is ignored
sys.exit(command())
"""
"""A process that gets a signal soon after some batches, from itself: so a busy machine delays both alike."""


@pytest.fixture
def start():
    started = []

    def new(*parts, stop):
        command = [sys.executable, "-c", STOPPED, str(int(stop)), "3", *map(str, parts)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield new
    for process in started:
        process.kill()
        process.communicate()


def test_an_evaluation_that_is_killed_goes_on_as_if_nothing_had_happened(
    start, model_folder, written, tmp_path, capsys
):
    data = written([{**AIME[0], "id": i, "problem": f"What is {i} + {i}?"} for i in range(10)])
    more = {"samples": 4, "batch_size": 2, "max_new_tokens": 16}
    folder = tmp_path / "killed"
    file = folder / "completions.jsonl"
    killed = start(*arguments(model_folder, data, folder, **more), stop=signal.SIGKILL)
    _, said = killed.communicate(timeout=PATIENCE)
    assert killed.returncode == -signal.SIGKILL, said
    assert 6 <= file.read_bytes().count(b"\n") < 40
    again = start("eval", "--resume", folder, stop=signal.SIGINT)
    _, said = again.communicate(timeout=PATIENCE)
    assert again.returncode == 130, said
    assert 12 <= file.read_bytes().count(b"\n") < 40
    assert said == f"\nstopped; go on with: advantages eval --resume {folder}\n"
    assert main(["eval", "--resume", str(folder)]) == 0
    assert "completions were there" in capsys.readouterr().out
    assert main(arguments(model_folder, data, tmp_path / "whole", **more)) == 0
    assert file.read_bytes() == (tmp_path / "whole" / "completions.jsonl").read_bytes()
    assert (folder / "results.json").read_bytes() == (tmp_path / "whole" / "results.json").read_bytes()
