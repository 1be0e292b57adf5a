"""Where problems come from: files, generators, and how each goes on."""

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from advantages.runs.config import Config
from advantages.tasks.chain import TASKS, Procedural
from advantages.tasks.files import Files, read_problems
from advantages.training.scoring import make_rewards
from advantages.training.start import open_source


def write(path, *rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


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
        (['{"prompt": "a", "answer": "1", "answer": "2"}'], r"line 1 is no JSON \(it gives 'answer' twice\)"),
        (['{"prompt": "a", "answer": "1", "more": {"x": 1, "x": 1}}'], r"line 1 is no JSON \(it gives 'x' twice\)"),
        ([""], "data.jsonl holds no row; write one JSON object a line"),
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
