"""What an evaluation says is heard: every event has a type, and is shown."""

import dataclasses
from typing import get_args

import pytest

pytest.importorskip("rich")

from advantages.evaluation import events
from advantages.evaluation.display import Display
from advantages.evaluation.events import Comparing, Loading, Sampled, Sampling

ROWS = [{"right": True, "tokens": 10}, {"right": False, "tokens": 30}, {"right": None, "tokens": 5}]
SHOWN = [
    (Loading("folder/[tiny]"), "loading folder/[tiny]"),
    (Sampling([], 12), "0 of 12  sampling"),
    (Sampling(ROWS, 12), "3 of 12  3 completions were there"),
    (Sampled(ROWS), "right 33.3%"),
    (Comparing(), "comparing answers"),
]


def test_the_union_holds_every_event():
    made = {kind for kind in vars(events).values() if dataclasses.is_dataclass(kind)}
    assert made == set(get_args(events.Event)) == {type(event) for event, _ in SHOWN}
    assert all(kind.__dataclass_params__.frozen for kind in made)


@pytest.mark.parametrize(("event", "shown"), SHOWN, ids=lambda x: type(x).__name__)
def test_every_event_is_shown_in_a_file(event, shown, capsys, monkeypatch):
    monkeypatch.setattr("advantages.evaluation.display.SECONDS", 0)
    with Display("[tiny] on aime") as display:
        display(event)
    printed = capsys.readouterr().out
    assert "[tiny] on aime" in printed
    assert shown in printed


@pytest.mark.parametrize(("event", "shown"), SHOWN, ids=lambda x: type(x).__name__)
def test_every_event_is_shown_on_a_terminal(event, shown, capsys, monkeypatch):
    for name, value in (("COLUMNS", "200"), ("FORCE_COLOR", "1"), ("TTY_INTERACTIVE", "1")):
        monkeypatch.setenv(name, value)
    with Display("[tiny] on aime") as display:
        display(event)
    printed = capsys.readouterr().out
    assert "[tiny] on aime" in printed
    assert shown.rpartition("  ")[2] in printed


def test_an_event_that_nobody_shows_is_an_error():
    with Display("[tiny] on aime") as display, pytest.raises(AssertionError):
        display("loading")
