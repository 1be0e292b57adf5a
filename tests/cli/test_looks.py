"""diagnose, plan, compare and explain, as a person uses them on files of every kind."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from advantages import grpo, lampo
from advantages.cli import diagnose as looks
from advantages.cli import main
from advantages.tasks import files

RNG = np.random.default_rng(0)
N = 32
REWARDS = np.concatenate([np.zeros(16), np.tile([1.0, 0.0], 8)])
IDS = [f"p{i // 8}" for i in range(N)]
LOGPROBS = -RNG.random(N)
GRPO_ON = ["--estimator", "grpo", "--data"]
MAP = ["--map", "score=rewards,uid=groups"]


@pytest.fixture(params=["jsonl", "parquet", "npz"])
def file(request, tmp_path):
    path = tmp_path / f"rollouts.{request.param}"
    texts = ["same"] * 8 + [f"answer {i}" for i in range(24)]
    columns = {"score": REWARDS, "uid": np.array(IDS), "logprobs": LOGPROBS, "response": np.array(texts)}
    if request.param == "npz":
        np.savez(path, **columns)
    elif request.param == "parquet":
        arrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(arrow.table({k: x.tolist() for k, x in columns.items()}), path)
    else:
        rows = zip(*(x.tolist() for x in columns.values()), strict=True)
        path.write_text("".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows))
    return path


def printed(capsys, *arguments):
    status = main([str(a) for a in arguments])
    return status, capsys.readouterr().out


def test_diagnose(file, capsys, tmp_path):
    status, said = printed(capsys, "diagnose", file, *MAP, "--plot", tmp_path / "groups.svg")
    assert status == 1
    assert "2 of 4 groups are all wrong: easier prompts" in said
    assert "1 holds different responses" in said
    assert "1 holds one response every time" in said
    assert (tmp_path / "groups.svg").read_text().startswith("<?xml")
    status, said = printed(capsys, "diagnose", file, *MAP, "--estimator", "lampo", "--json")
    found = json.loads(said)
    assert found["advantages"] == "lampo"
    assert found["metrics"]["advantages/weights_saturated"] == 0.0
    assert found["metrics"]["advantages/groups_all_wrong"] == 0.5


@pytest.mark.parametrize("order", ["neighbours", "interleaved"])
@pytest.mark.parametrize("estimator", ["grpo", "bnpo", "lampo", f"{__file__}:centered"])
def test_a_streamed_diagnosis_is_that_of_the_whole_file(file, capsys, monkeypatch, order, estimator):
    if order == "interleaved" and file.suffix == ".jsonl":
        lines = file.read_text().splitlines()
        file.write_text("\n".join(lines[::2] + lines[1::2]))
    command = ("diagnose", file, *MAP, "--estimator", estimator, "--json")
    whole = json.loads(printed(capsys, *command)[1])
    looked = []
    look = looks.diagnosed
    monkeypatch.setattr(looks, "diagnosed", lambda batch, *a, **k: looked.append(len(a[0])) or look(batch, *a, **k))
    monkeypatch.setattr(files, "ROWS", 5)
    found = json.loads(printed(capsys, *command)[1])
    whole["metrics"] = pytest.approx(whole["metrics"], rel=1e-12, abs=1e-15)
    assert found == whole
    spans = estimator not in ("grpo", "lampo")  # a function that promises nothing may form statistics of the batch
    assert (looked[-1] == N) == (spans or file.suffix == ".npz" or (order, file.suffix) == ("interleaved", ".jsonl"))


def centered(rewards):
    return rewards - rewards.mean()


def test_diagnose_takes_the_advantages_of_the_file(tmp_path, capsys):
    path = tmp_path / "rollouts.jsonl"
    rows = [{"reward": float(i % 2), "group": i // 4, "a": 0.5 - (i + 1) % 2} for i in range(16)]
    path.write_text("\n".join(map(json.dumps, rows)))
    status, said = printed(capsys, "diagnose", path, "--map", "a=advantages")
    assert (status, said.splitlines()[:2]) == (
        0,
        ["16 responses in 4 groups; advantages are those of the file", "- Nothing stands out."],
    )
    rows[3]["a"] = "much"
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(SystemExit, match=r"rollouts.jsonl line 4: a is 'much'; write a number"):
        main(["diagnose", str(path), "--map", "a=advantages"])


def test_components_are_diagnosed_and_what_does_not_fit_is_said(tmp_path, capsys):
    path = tmp_path / "rollouts.jsonl"
    rows = [{"rewards": [i % 2, None if i == 3 else 1 - i % 2], "group": i // 4} for i in range(16)]
    path.write_text("\n".join(map(json.dumps, rows)))
    status, said = printed(capsys, "diagnose", path)
    assert status == 1
    assert "advantages are those of grpo, of the sum of components" in said
    assert "In 4 of 4 groups the components differ but cancel in the total" in said
    for more, message in (
        (["--temperature", "1"], "diagnose: --temperature is of LamPO's weights, but the file has no logprobs"),
        (["--wrong", "1"], "diagnose: wrong is 1.0 and right 1.0; pass wrong below right"),
    ):
        with pytest.raises(SystemExit, match=f"^advantages {message}"):
            main(["diagnose", str(path), *more])
    path.write_text('{"reward": 1, "group": 1}')
    with pytest.raises(SystemExit, match=r"^advantages diff: tolerance is -1\.0; pass a number from 0 on"):
        main(["diff", "verl.grpo", "trl.grpo", str(path), "--tolerance", "-1"])


def test_plan_is_exact(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    plot = tmp_path / "plan.png"
    arguments = ("plan", "--pass-rate", "0.1,0.5", "--group-size", "2,8", "--estimators", "grpo,rloo,lampo")
    status, said = printed(capsys, *arguments, "--json", "--plot", plot)
    rows = json.loads(said)["rows"]
    assert (status, len(rows), plot.read_bytes()[:4]) == (0, 12, b"\x89PNG")
    by = {(row["pass_rate"], row["group_size"], row["estimator"]): row for row in rows}
    assert by[0.1, 8, "grpo"]["informative_share"] == pytest.approx(1 - 0.9**8 - 0.1**8)
    # Of two answers, half of the groups have advantages of +-1 by RLOO: all of the others are 0.
    assert by[0.5, 2, "rloo"]["effective_sample_size"] == pytest.approx(128 * 2 * 0.5)
    # The update is +-1/2 by logit for a mixed group, and its mean half of that.
    assert by[0.5, 2, "rloo"]["variance"] == pytest.approx(2 * (0.5**2 * 0.5 - 0.25**2))
    drawn = RNG.random((20_000, 8)) < 0.1
    a = grpo(drawn.astype(float).ravel(), 8)
    assert by[0.1, 8, "grpo"]["effective_sample_size"] / 1024 == pytest.approx(
        np.abs(a).mean() ** 2 / (a * a).mean(), rel=0.05
    )
    assert "128 prompts a step" in printed(capsys, *arguments)[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pass-rate", "0", "--group-size", "8"], "--pass-rate 0: pass shares between 0 and 1"),
        (["--pass-rate", "0.1", "--group-size", "1"], "--group-size 1: pass sizes from 2"),
        (["--pass-rate", "0.1", "--group-size", "8", "--estimators", "gae"], "gae needs token_rewards"),
        (["--pass-rate", "0.1", "--group-size", "8", "--estimators", "grop"], "grpo"),
    ],
)
def test_a_plan_that_cannot_be(arguments, message):
    with pytest.raises(SystemExit, match=message):
        main(["plan", *arguments])


def test_compare(file, capsys, tmp_path):
    page, plot = tmp_path / "compare.html", tmp_path / "compare.png"
    names = ("--estimators", "grpo,lampo,rloo")
    status, said = printed(capsys, "compare", file, *MAP, *names, "--json", "--html", page, "--plot", plot)
    found = json.loads(said)["estimators"]
    assert (status, list(found)) == (0, ["grpo", "lampo", "rloo"])
    assert found["grpo"]["correlation"] == pytest.approx(1)
    assert found["lampo"]["largest"] == pytest.approx(np.abs(lampo(REWARDS, IDS, LOGPROBS)).max())
    html = page.read_text()
    assert "<svg" in html
    assert not [
        part
        for part in ("http://", "https://", "<script src", "<link")
        if part in html.replace("http://www.w3.org", "")
    ]
    assert plot.stat().st_size > 1000
    said = printed(capsys, "compare", file, *MAP, *names)[1]
    assert "lampo" in said
    assert said.count("2 of 4 groups are all wrong") == html.count("2 of 4 groups are all wrong") == 1


def test_explain(file, capsys):
    arguments = ("explain", "--estimator", "lampo", "--data", file, *MAP, "--set", "temperature=0.5")
    status, said = printed(capsys, *arguments)
    assert status == 0
    assert "sigmoid((s_i - s_j) / 0.5)" in said
    assert "temperature    0.5\n" in said
    assert "reduction      'sum'  (default)" in said
    found = json.loads(printed(capsys, *arguments, "--json")[1])
    assert found["group"] == "p2"
    expected = lampo(REWARDS, IDS, LOGPROBS, temperature=0.5)[16:24]
    assert [row["advantage"] for row in found["rows"]] == pytest.approx(expected)
    with pytest.raises(SystemExit, match="gae needs token_rewards, values, mask, which the file has not"):
        main(["explain", "--estimator", "gae", "--data", str(file), *MAP])
    with pytest.raises(SystemExit, match=r"temperatur.*did you mean 'temperature'"):
        main([*map(str, arguments[:-1]), "temperatur=1"])


@pytest.mark.parametrize(
    ("estimator", "lines"),
    [
        ("trl.grpo", ["A_i = (r_i - mean(r)) / (std(r) + 0.0001)"]),
        ("verl.grpo", ["A_i = (r_i - mean(r)) / (std(r) + 1e-06)", "with singleton = 'raw'"]),
        ("grpo+clipped.limit=1", ["A_i = (r_i - mean(r)) / (std(r) + 1e-06)", "with clipped(limit=1)"]),
    ],
)
def test_a_convention_and_stages_are_explained_by_the_formula_of_their_estimator(file, capsys, estimator, lines):
    said = printed(capsys, "explain", "--estimator", estimator, "--data", file, *MAP, "--json")[1]
    assert json.loads(said)["formula"] == lines


def test_options_of_lists_add_up_and_the_formula_says_what_it_leaves_out(file, capsys):
    columns = ("--map", "score=rewards", "--map", "uid=groups")
    settings = ("--set", "temperature=0.5", "--set", "center=True")
    status, said = printed(capsys, "explain", "--estimator", "lampo", "--data", file, *columns, *settings, "--json")
    assert status == 0
    formula, more = json.loads(said)["formula"]
    assert formula.endswith("sigmoid((s_i - s_j) / 0.5)")
    assert more == "with center = True"
    assert printed(capsys, "diff", "grpo", "grpo", file, *columns)[0] == 0


@pytest.mark.parametrize(
    "command", [["diagnose"], ["compare", "--estimators", "grpo"], ["explain", *GRPO_ON], ["diff", "grpo", "rloo"]]
)
def test_an_empty_file_is_refused(tmp_path, command):
    np.savez(tmp_path / "rollouts.npz", rewards=np.zeros(0), groups=np.zeros(0, int))
    (tmp_path / "rollouts.jsonl").write_text("\n")
    for path in (tmp_path / "rollouts.npz", tmp_path / "rollouts.jsonl"):
        with pytest.raises(SystemExit, match="holds no row"):
            main([*command, str(path)])


def test_an_estimator_of_components_says_that_it_takes_them(file):
    with pytest.raises(SystemExit, match=r"not \(N, K\); pass one reward per response and component"):
        main(["explain", "--estimator", "gdpo", "--data", str(file), *MAP])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 is no JSON"),
        ('{"reward": 1}', "line 2 has no group"),
        ('{"reward": "x", "group": 1}', "line 2: reward is 'x'"),
        ("[1]", "line 2 is a list"),
    ],
)
@pytest.mark.parametrize(
    "command", [["diagnose"], ["compare", "--estimators", "grpo"], ["explain", "--estimator", "grpo", "--data"]]
)
def test_a_bad_record_is_named_by_its_line(tmp_path, line, message, command):
    path = tmp_path / "rollouts.jsonl"
    path.write_text(f'{{"reward": 1, "group": 1}}\n{line}\n')
    with pytest.raises(SystemExit, match=message):
        main([*command, str(path)])


@pytest.mark.parametrize("column", ["completion", "text", "answer_hash"])
def test_any_column_can_be_the_responses(tmp_path, capsys, column):
    path = tmp_path / "rollouts.jsonl"
    path.write_text(f'{{"reward": 0, "group": 1, "{column}": "same"}}\n' * 8)
    for order in (f"{column}=responses", f"responses={column}"):
        status, said = printed(capsys, "diagnose", path, "--map", order, "--json")
        assert (status, json.loads(said)["metrics"]["advantages/groups_collapse"]) == (1, 1.0)


@pytest.mark.parametrize("command", [["diagnose", "FILE"], ["compare", "FILE", "--estimators", "grpo"]])
@pytest.mark.parametrize(("name", "message"), [("none/a.svg", "there is no folder"), ("a.xyz", "ends in .png or .svg")])
def test_a_picture_that_cannot_be_written_is_refused_before_the_work(tmp_path, command, name, message):
    missing = [str(tmp_path / "none.jsonl") if word == "FILE" else word for word in command]
    with pytest.raises(SystemExit, match=message):
        main([*missing, "--plot", str(tmp_path / name)])


def test_a_page_that_cannot_be_written_is_a_sentence(tmp_path):
    arguments = [str(tmp_path / "none.jsonl"), "--estimators", "grpo", "--html", str(tmp_path / "none" / "a.html")]
    with pytest.raises(SystemExit, match="there is no folder"):
        main(["compare", *arguments])


def test_reading_shows_how_long_it_takes(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    path = tmp_path / "rollouts.jsonl"
    path.write_text("".join(f'{{"reward": {i % 2}, "group": {i // 4}}}\n' for i in range(8)))
    main(["compare", str(path), "--estimators", "grpo,rloo"])
    said = capsys.readouterr().err
    assert "reading rollouts.jsonl: 100%, about 0 s left" in said
    assert "compare 2/2, about 0 s left: rloo" in said
    assert said.endswith("\r\x1b[K")


def test_exit_codes_have_one_meaning_each(tmp_path):
    path = tmp_path / "rollouts.jsonl"
    path.write_text("".join(f'{{"reward": {i % 2}, "group": {i // 4}}}\n' for i in range(8)))

    def status(*arguments):
        done = subprocess.run([sys.executable, "-m", "advantages", *arguments], capture_output=True, text=True)
        return done.returncode, done.stderr.strip()

    assert status("diagnose", str(path)) == (0, "")
    path.write_text('{"reward": 0, "group": 1}\n' * 8)
    assert status("diagnose", str(path)) == (1, "")
    code, said = status("diagnose", str(tmp_path / "none.jsonl"))
    assert (code, "no such file" in said) == (2, True)


def test_who_stops_a_command_or_stops_reading_sees_no_traceback(tmp_path):
    path = tmp_path / "rollouts.jsonl"
    path.write_text('{"reward": 1, "group": 1}\n' * 1_000_000)
    code = "import signal, sys, threading; from advantages.cli import command; "
    code += "signal.signal(2, signal.default_int_handler); "
    code += "threading.Timer(0.3, print, ['ready'], {'flush': True}).start(); sys.exit(command())"  # once it is at work
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code, "diagnose", path], **pipes) as running:
        assert running.stdout.readline() == "ready\n"
        running.send_signal(signal.SIGINT)
        assert (running.stderr.read(), running.wait(60)) == ("", 128 + signal.SIGINT)
    with subprocess.Popen([sys.executable, "-m", "advantages", "show", "grpo"], **pipes) as running:
        running.stdout.close()
        assert (running.stderr.read(), running.wait(60)) == ("", 128 + signal.SIGPIPE)
