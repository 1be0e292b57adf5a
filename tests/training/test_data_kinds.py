"""What is read of a file, what is held out of it, and what is refused before anything is loaded."""

import gzip
import json
import re
import subprocess
import sys
import textwrap
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")
pytest.importorskip("transformers")

from advantages.evaluation.benchmarks import questions_of
from advantages.runs.config import Config
from advantages.tasks.files import Files, cell, read_problems
from advantages.tasks.gym import ReasoningGym
from advantages.tasks.problem import Problem
from advantages.training.checks import check_estimator, try_estimator

ROW = b'{"prompt": "a", "answer": "b"}\n'
TEXTS = ("2+2?", "Ünïcödé → 你好", "\u2028 and \x85")


def problems(count):
    return [Problem(str(k), "a") for k in range(count)]


def lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


# Kinds of files


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_file_is_read_in_any_of_its_kinds(encoding, packed, ends, tmp_path):
    rows = [{"prompt": text, "answer": "4"} for text in TEXTS]
    content = lines(rows).replace("\n", ends).encode(encoding)
    path = tmp_path / "data.jsonl"
    path.write_bytes(gzip.compress(content) if packed else content)
    assert [problem.prompt for problem in read_problems(path)] == list(TEXTS)


def test_parquet_is_told_by_its_content_in_training_and_in_evaluation(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [{"Problem": text, "Answer": "4", "ID": k} for k, text in enumerate(TEXTS)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "data")
    assert [problem.prompt for problem in read_problems(tmp_path / "data")] == list(TEXTS)
    asked = questions_of("aime24", data=tmp_path / "data", instruction="")
    assert [question.prompt for question in asked] == [text.strip() for text in TEXTS]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            lines([{"prompt": "a", "answer": "b"}, {"prompt": "é", "answer": "b"}]).encode("latin-1"),
            "line 2 is not in UTF",
        ),
        (
            lines([{"prompt": "a", "answer": "b"}]).encode("utf-16-le"),
            "line 1 is no JSON .NUL bytes, as of UTF-16 with",
        ),
        (b"\xff\xfe{\x00\x00", "is no utf-16 as it begins to be"),
        (gzip.compress(ROW * 99, mtime=0)[:-12], "cannot be read .*; restore it"),
        (gzip.compress(b"x", mtime=0)[:9] + b"nonsense", "cannot be read .*; restore it"),
        (b'{"prompt": "a", "answer": ' + b"[" * 100_000, "line 1 is no JSON .nested too deeply"),
        (b'{"prompt": "a", "answer": ' + b"1" * 5000 + b"}", "line 1 is no JSON .*4300 digits"),
        (b"PAR1nonsense", "is no Parquet file"),
        (b'\n\n{"prompt": "a", "answer": ""}', "line 3 has no answer: it is ''; give it one, or remove the row"),
        (b'{"prompt": "a", "answer": " \\n"}', "line 1 has no answer: it is"),
        (b'{"prompt": "a", "answer": NaN}', "line 1 has no answer: it is nan"),
        (b'{"prompt": "a", "answer": -Infinity}', "line 1 has no answer: it is -inf"),
        (b'{"prompt": null, "answer": "b"}', "line 1 has no prompt: it is None"),
        (b'{"prompt": "", "answer": "b"}', "line 1 has no prompt: it is ''"),
        (b'{"prompt": "a \\ud83d", "answer": "b"}', "line 1: prompt holds half of a surrogate pair"),
        (b'{"frage": "a", "answer": "b"}', "line 1 has no prompt, but frage, answer; .* --map OWN=prompt"),
        (b'{"problem": "a", "question": "a", "answer": "b"}', "line 1 has no prompt, but problem, question, answer"),
    ],
)
def test_what_is_no_problem_is_refused_with_its_line(content, message, tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"data.jsonl.*{message}"):
        read_problems(path)
    if b'"prompt"' in content and b"surrogate" not in message.encode():
        path.write_bytes(content.replace(b'"prompt"', b'"problem"'))
        with pytest.raises(ValueError, match=f"data.jsonl.*{message.replace('prompt', 'problem')}"):
            questions_of("math-500", data=path)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_in_a_sentence(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("bytes") / "data.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"data\.jsonl"):
        read_problems(path)


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ({"question": "2+2?", "gold": "4"}, {"gold": "answer"}),
        ({"frage": "2+2?", "answer": "4"}, {"frage": "prompt"}),
        ({"frage": "2+2?", "answer": "4"}, {"frage": "problem"}),
        ({"Problem": "2+2?", "Answer": 4}, {}),
        ({"QUESTION": "2+2?", "answer": 4.0, "prompt": "p"}, {"QUESTION": "prompt", "prompt": "was"}),
        ({"prompt": "2+2?", "answer": "4"}, {"question": "prompt"}),  # of two files, one has its names already
    ],
)
def test_columns_with_other_names_are_read(row, names, tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text(lines([row]))
    (problem,) = read_problems(path, names)
    assert (problem.prompt, float(problem.answer)) == ("2+2?", 4.0)
    assert not {"2+2?", "4"}.intersection(problem.columns.values())


@pytest.mark.parametrize(
    ("row", "names", "message"),
    [
        (
            {"frage": "a", "answer": "b"},
            {"frag": "prompt"},
            "line 1 has no column 'frag' that could be read as 'prompt'",
        ),
        (
            {"a": "a", "prompt": "p", "answer": "b"},
            {"a": "prompt"},
            "line 1 has both 'a' and 'prompt'; rename 'prompt'",
        ),
        ({"a": "a", "b": "b"}, {"a": "prompt", "b": "prompt"}, "--map gives two columns one name"),
    ],
)
def test_a_map_that_fits_no_column_is_refused(row, names, message, tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text(lines([row]))
    with pytest.raises(ValueError, match=message):
        read_problems(path, names)


def test_aime_as_it_was_published_elsewhere_is_evaluated(tmp_path):
    path = tmp_path / "aime.jsonl"
    path.write_text(lines([{"ID": "2024-I-1", "Problem": "2+2?", "Solution": "It is 4.", "Answer": 4}]))
    (question,) = questions_of("aime24", data=path, instruction="")
    assert (question.prompt, question.answer) == ("2+2?", "4")
    path.write_text(lines([{"frage": "2+2?", "gold": 4}]))
    assert questions_of("aime24", data=path, names={"frage": "problem", "gold": "answer"})[0].answer == "4"


def test_a_cell_that_is_no_text_is_said():
    with pytest.raises(ValueError, match="here: answer is a list; pass a text"):
        cell("here", {"answer": [1]}, "answer")


# What is held out


@given(st.integers(1, 600), st.one_of(st.none(), st.integers(0, 600)), st.integers(1, 20), st.integers(0, 3))
def test_training_and_evaluation_share_the_file_or_the_file_is_refused(count, held_out, least, seed):
    aside = min(256, max(1, count // 10)) if held_out is None else held_out
    if aside and count - aside < least:
        with pytest.raises(ValueError, match=f"of {count} problems {aside} would be held out, which leaves"):
            Files(problems(count), seed, held_out, least=least)
        return
    source = Files(problems(count), seed, held_out, least=least)
    trained = {p.prompt for p in source.draw(count - aside)}
    held = {p.prompt for p in source.held_out()}
    assert (len(trained), len(held)) == (count - aside, aside)
    assert trained.isdisjoint(held)
    assert source.remarks[0].startswith(
        f"{count - aside} problems to train on; {aside} of the {count} problems are held"
    )
    few = count - aside < least
    assert len(source.remarks) == 1 + few
    assert not few or source.remarks[1].startswith(f"warning: a step asks {least} problems, so that it asks some")


@pytest.mark.parametrize("count", [2, 16, 100, 257, 300, 5000])
def test_by_default_a_tenth_is_held_out_and_never_all_but_one(count):
    source = Files(problems(count), seed=0)
    held = len(source.held_out())
    assert held == min(256, max(1, count // 10))
    assert len({p.prompt for p in source.draw(count)}) == count - held


def test_all_rows_are_trained_on_where_the_evaluation_is_another_file():
    source = Files(problems(20), seed=0, evaluation=[Problem("7 ", "a"), Problem("x", "a")])
    assert len({p.prompt for p in source.draw(20)}) == 20
    assert [p.prompt for p in source.held_out()] == ["7 ", "x"]
    assert source.remarks[1].startswith("warning: 1 of the 2 held-out problems are asked in the training, too")
    with pytest.raises(ValueError, match="evaluation is 3, but --eval-data holds 2 problems"):
        Files(problems(20), seed=0, held_out=3, evaluation=problems(2))


def test_rows_that_stand_on_both_sides_are_counted():
    source = Files([Problem(f" {k % 50}  times", "a") for k in range(200)], seed=0)
    both = {" ".join(p.prompt.split()) for p in source.draw(180)}
    count = sum(" ".join(p.prompt.split()) in both for p in source.held_out())
    assert count > 10
    assert source.remarks[1].startswith(f"warning: {count} of the 20 held-out problems")


# Problems that are made


@pytest.fixture(scope="module")
def gym():
    pytest.importorskip("reasoning_gym")
    return lambda seed=0, name="chain_sum": ReasoningGym(name, seed)


def test_sixty_steps_see_960_problems_and_none_of_the_evaluation(gym):
    whole = gym()
    seen = [p.prompt for _ in range(60) for p in whole.draw(16)]
    assert len(set(seen)) == 960
    assert not {p.prompt for p in whole.held_out()}.intersection(seen)
    assert len({p.prompt for p in whole.held_out()}) > 250
    first = gym()
    for _ in range(23):
        first.draw(16)
    later = gym()
    later.restore(json.loads(json.dumps(first.state())))
    assert [p.prompt for _ in range(37) for p in later.draw(16)] == seen[23 * 16 :]


def test_other_seeds_see_other_problems(gym):
    assert not {p.prompt for p in gym(0).draw(16)}.intersection(p.prompt for p in gym(1).draw(16))


def test_a_generator_of_few_problems_starts_over(gym):
    source = gym(name="coin_flip")
    seen = [p.prompt for p in source.draw(160)]
    held = {p.prompt for p in source.held_out()}
    assert not held.intersection(seen)
    assert max(Counter(seen[: len(set(seen))]).values()) == 1  # all of them once before any of them twice


# Before anything is loaded


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        textwrap.dedent(
            """
            import torch

            def one_number(rewards, groups): return rewards.mean()
            def other_length(rewards): return rewards[1:]
            def integers(rewards): return rewards.long()
            def a_list(rewards): return rewards.tolist()
            def not_finite(rewards): return rewards / 0
            def raises(rewards): raise KeyError("a")
            def zeros(rewards, groups): return rewards - rewards
            def fine(rewards, groups): return rewards - rewards.mean()
            def by_token(token_rewards, mask): return token_rewards * mask
            def needs_values(rewards, values): return rewards
            """
        )
    )
    return path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("one_number", r"returned shape \(\); its advantages must have shape \(24,\)"),
        ("other_length", r"returned shape \(23,\)"),
        ("integers", "returned a torch tensor of torch.int64"),
        ("a_list", "returned a value of type list"),
        ("not_finite", "returned advantages that are not finite"),
        ("raises", "KeyError: 'a'; mend it, see `advantages check`"),
        ("fine", None),
        ("by_token", None),
    ],
)
def test_an_own_estimator_is_tried_before_the_model_is_loaded(name, message, mine):
    config = Config(estimator=f"{mine}:{name}")
    if message is None:
        return try_estimator(config)
    with pytest.raises(ValueError, match=rf"estimator mine.py:{name}, tried on 3 prompts of 8 made-up .*{message}"):
        try_estimator(config)
    return None


@pytest.mark.parametrize("name", ["grpo", "rloo", "gdpo", "lampo", "reinforce_plus_plus", "reinforce"])
@pytest.mark.parametrize("samples", [2, 3])
def test_the_built_in_ones_pass_the_trial(name, samples):
    try_estimator(Config(estimator=name, group_size=samples, minibatches=1, prompts=2, kl=0.1), components=2)


@pytest.mark.parametrize("name", ["grpo", "rloo", "lampo", "gdpo", "dr_grpo", "lambdapo"])
def test_one_response_to_a_prompt_is_refused_where_responses_are_compared(name):
    with pytest.raises(ValueError, match=f"--group-size is 1, but {name} compares the responses to a prompt"):
        check_estimator(Config(estimator=name, group_size=1))


def test_one_response_is_fine_where_it_can_learn(mine):
    check_estimator(Config(estimator="grpo", group_size=1, options={"singleton": "raw"}))
    try_estimator(Config(estimator="reinforce", group_size=1))
    with pytest.raises(ValueError, match="every advantage is 0, so that nothing could be learned; pass --group-size 2"):
        try_estimator(Config(estimator=f"{mine}:zeros", group_size=1))


@pytest.mark.parametrize(
    ("arguments", "message", "torch"),
    [
        (["--estimator", "gpro"], "estimator 'gpro': there is none; .* did you mean 'grpo'", False),
        (["--estimator.epsilo", "1"], "grpo: takes no option 'epsilo'", False),
        (["--group-size", "1"], "--group-size is 1, but grpo compares", False),
        (["--save-evry", "1"], "--save-evry: there is no such option; .* did you mean --save-every", False),
        (["--rate", "1"], "--rate: there is no such option; .* did you mean --learning-rate", False),
        (["--passes=2"], "--passes: there is no such option; .* did you mean --epochs", False),
        (["--samples", "2"], "--samples: there is no such option; .* did you mean --group-size", False),
        (["--data", "none.jsonl", "--model", "x"], "none.jsonl', but there is no such file", False),
        (["--data", "{data}", "--task", "chain", "--model", "x"], "got both --data .* and --task chain", False),
        (["--data", "{data}", "--model", "x"], "of 3 problems 1 would be held out, which leaves 2 to train on", False),
        (["--data", "{data}", "--model", "x", "--map", "a"], "--map a: write own=name, such as question=prompt", False),
        (["--data", "{data}"], "the tiny model knows procedural tasks alone", False),
        (["--eval-data", "{data}"], "got eval_data, but no data; pass --data, too", False),
        (["--task", "chian"], "task is 'chian'; pass one of chain", False),
        (["--rewards", "exakt=1"], "reward 'exakt': there is none; .* did you mean 'exact'", False),
        (["--estimator", "{mine}:one_number"], r"mine.py:one_number, tried on .*returned shape \(\)", True),
        (["--estimator", "{mine}:needs_values"], "needs_values needs values", True),  # the file imports it
    ],
)
def test_a_sentence_comes_before_anything_heavy(arguments, message, torch, mine, tmp_path):
    data = tmp_path / "data.jsonl"
    data.write_text(lines([{"prompt": str(k), "answer": "a"} for k in range(3)]))
    code = """
    import sys
    from advantages.cli import main
    try:
        main(["train", *sys.argv[1:]])
    except SystemExit as error:
        print(error)
    print({name for name in ("torch", "transformers", "accelerate") if name in sys.modules})
    """
    filled = [argument.format(data=data, mine=mine) for argument in arguments]
    run = [sys.executable, "-c", textwrap.dedent(code), *filled, "--runs", str(tmp_path / "runs")]
    found = subprocess.run(run, capture_output=True, text=True, timeout=300)
    sentence, loaded = found.stdout.strip().splitlines()
    assert re.search(f"^advantages train: .*{message}", sentence), found.stdout + found.stderr
    assert loaded == ("{'torch'}" if torch else "set()")
    assert not (tmp_path / "runs").exists()
