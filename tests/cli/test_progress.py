"""What a run says is heard: every event has a type, is reported by a run, and is shown."""

import dataclasses
import json
import re
import sys
import time
from typing import get_args

import pytest

pytest.importorskip("rich")
torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from advantages.cli.counted import counted
from advantages.cli.progress import Display
from advantages.runs.config import Config
from advantages.training import events, experiment
from advantages.training.events import Done, Evaluating, Note, Outcome, Step, WarmStart

CONFIG = Config(steps=20, options={"temperature": 3}, estimator="lampo")
OUTCOME = Outcome("lampo", 0, "run", 0.25, 0.5, 0.75, 0.4, None, None, 12.3, [0.5], reward_before=-3.0)
METRICS = dict.fromkeys(
    ("reward", "accuracy", "entropy", "clip_fraction", "informative", "length", "tokens_per_second")
)
SHOWN = [
    (WarmStart(CONFIG, "work", 80, 0.5), ["seed 0: warm start", "step  80", "accuracy 0.50"]),
    (WarmStart(CONFIG, "habits", 80, 1.5), ["seed 0: warm start", "loss 1.50"]),
    (Note(CONFIG, "checkpoint [3] is damaged"), ["checkpoint [3] is damaged"]),
    (Evaluating(CONFIG, 0, 256), ["seed 0: lampo(temperature=3)", "step   0", "evaluating on 256 held-out problems"]),
    (
        Step(CONFIG, METRICS | {"step": 20, "reward": 0.5}),
        ["step  20", "reward 0.50  accuracy -", "clipped -", "- tok/s"],
    ),
    (Done(CONFIG, OUTCOME), ["seed 0: lampo(temperature=3)", "step  20", "done: accuracy 25.0% -> 50.0%  12 s"]),
    (
        Done(CONFIG, dataclasses.replace(OUTCOME, before=None, after=None)),
        ["done: reward -3.00 -> -  12 s"],
    ),
    (
        Done(CONFIG, dataclasses.replace(OUTCOME, before=None, after=None, reward_before=None)),
        ["done: 12 s"],
    ),
]


def test_the_union_holds_every_event():
    made = {
        kind for kind in vars(events).values() if dataclasses.is_dataclass(kind) and kind.__module__ == events.__name__
    }
    assert made - {Outcome} == set(get_args(events.Event)) == {type(event) for event, _ in SHOWN}
    for kind in get_args(events.Event):
        assert kind.__dataclass_params__.frozen


@pytest.mark.parametrize(("event", "parts"), SHOWN, ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("terminal", [False, True])
def test_every_event_is_shown(event, parts, terminal, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TTY_INTERACTIVE", "1")
    with Display() as display:
        assert display.console.is_terminal == terminal
        display(event)
    printed = capsys.readouterr().out
    for part in parts:
        assert part in printed or (terminal and part.startswith("step"))  # there, a bar says how far it is


def test_on_a_terminal_a_run_and_a_count_say_how_long_they_still_take(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_INTERACTIVE", "1")
    with Display() as display:
        for step in range(1, 4):
            display(Step(CONFIG, METRICS | {"step": step}))
            time.sleep(0.01)
    assert re.search(r"left.*0:00:0", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().out))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(counted(["a", "b", "c"], "lab", str.upper)) == ["a", "b", "c"]
    said = capsys.readouterr().err
    assert "lab 1/3: A" in said
    assert "lab 3/3, about 0 s left: C" in said


def test_beside_the_main_process_nothing_is_shown(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with Display() as display:
        for event, _ in SHOWN:
            display(event)
    assert capsys.readouterr().out == ""


def test_an_event_that_nobody_shows_is_an_error():
    @dataclasses.dataclass(frozen=True)
    class Unheard:
        config: Config

    with Display() as display, pytest.raises(AssertionError, match="Unheard"):
        display(Unheard(CONFIG))


def test_a_run_reports_what_it_does(tmp_path, pretrained, monkeypatch):
    data = tmp_path / "train.jsonl"
    data.write_text("".join(json.dumps({"prompt": f"{k}+1?", "answer": str(k + 1)}) + "\n" for k in range(6)))
    (tmp_path / "of_events.py").write_text(
        "def digits(*, completions, **_):\n    return [len(c) % 3 for c in completions]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    sizes = {"max_new_tokens": 4, "prompts": 2, "group_size": 2, "evaluation": 2, "steps": 2}
    config = Config(model=str(pretrained), data=str(data), rewards={"of_events:digits": 1.0}, **sizes)
    heard = []

    def run():
        heard.clear()
        return experiment.run([(tmp_path / "run", config)], tmp_path / "run", heard.append)

    (outcome,) = run()
    assert [type(event) for event in heard] == [Evaluating, Step, Step, Evaluating, Done]
    assert all(event.config is config for event in heard)
    assert [(event.step, event.problems) for event in heard if isinstance(event, Evaluating)] == [(0, 2), (2, 2)]
    assert [event.metrics["step"] for event in heard if isinstance(event, Step)] == [1, 2]
    assert heard[-1] == Done(config, outcome)
    run()
    assert [type(event) for event in heard] == [Done]  # it was there
    (tmp_path / "run" / "result.json").write_text("{")
    run()
    assert [type(event) for event in heard] == [Note, Evaluating, Done]
    assert "is damaged, and is written again" in heard[0].text
