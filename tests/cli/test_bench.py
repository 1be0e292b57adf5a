"""`advantages bench`: what it says, and that a wrong result is never timed."""

import json

import numpy as np
import pytest

from advantages import bench
from advantages.bench import page, peers, targets
from advantages.bench.measure import Found
from advantages.bench.targets import outcomes
from advantages.bench.works import works
from advantages.cli import main

pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch):
    """What one test asked for is no matter of the next."""
    monkeypatch.setattr(peers, "_tried", {})


def test_json_has_the_machine_and_every_entry(capsys):
    assert main(["bench", "--only", "ids", "--seconds", "0.01", "--json"]) == 0
    printed = capsys.readouterr()
    content = json.loads(printed.out)
    assert {one["name"] for one in content["found"]} == {"Groups", "np.unique"}
    assert content["found"][0]["times_ours"] == 1.0
    assert content["found"][1]["error"] == 0.0
    assert content["missing"] == {}
    assert content["machine"]["versions"]["numpy"] == np.__version__
    assert printed.err == ""  # a file gets no progress


def test_a_misspelt_name_is_an_error_with_the_nearest(capsys):
    with pytest.raises(SystemExit):
        main(["bench", "--only", "lamp"])
    assert "lampo" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_seconds_are_a_positive_number(seconds, capsys):
    with pytest.raises(SystemExit):
        main(["bench", "--seconds", seconds])
    assert "positive" in capsys.readouterr().err


def test_every_result_of_ours_is_the_formula_on_fresh_inputs():
    rng = np.random.default_rng()
    for work in bench.works(("whiten", "reinforce_plus_plus", "groups", "ids")):
        inputs = work.draw(rng, True)
        right = np.asarray(work.right(*inputs), float)
        for entry in work.entries:
            if entry.right is None:
                found = np.asarray(entry.prepare(*inputs)(), float).reshape(right.shape)
                assert np.abs(found - right).max() <= 1e-5 * np.abs(right).max(), (work.title, entry.name)


def test_a_wrong_result_of_ours_is_not_timed():
    work = bench.works(("ids",))[0]
    wrong = work.entries[0]._replace(prepare=lambda ids: lambda: ids + 1)
    with pytest.raises(ArithmeticError, match="off its formula"):
        bench.measured(work._replace(entries=(wrong,)), seconds=0.01)


def test_another_package_that_is_wrong_or_fails_is_not_timed_and_said():
    work = bench.works(("ids",))[0]
    wrong, failing = (
        bench.Entry(name, "peer", prepare)
        for name, prepare in {"wrong": lambda ids: lambda: ids + 1, "failing": lambda ids: ids.no_such_thing}.items()
    )
    found, refused = bench.measured(work._replace(entries=(*work.entries, wrong, failing)), seconds=0.01)
    assert {one.name for one in found} == {"Groups", "np.unique"}
    assert "off its formula; it was not timed" in refused["wrong"]
    assert refused["failing"].startswith("AttributeError")
    assert "- wrong: ArithmeticError" in page.markdown(bench.machine(), found, [], refused)


def test_a_result_is_held_against_its_own_formula_where_it_is_compared():
    work = bench.works(("ids",))[0]
    other = bench.Entry("other", "peer", lambda ids: lambda: ids + 1, lambda ids: np.where(ids % 2, ids + 1.0, np.nan))
    found, refused = bench.measured(work._replace(entries=(*work.entries, other)), seconds=0.01)
    assert not refused
    assert found[-1].error == 0.0


def test_a_package_that_does_not_load_says_why(tmp_path, monkeypatch):
    (tmp_path / "broken_peer.py").write_text("import cuda_of_nobody")
    monkeypatch.syspath_prepend(tmp_path)
    assert peers.loaded("broken_peer") is peers.loaded("absent_peer.part") is None
    assert peers.loaded("json") is json
    assert bench.missing() == {
        "broken_peer": "does not load: ModuleNotFoundError: No module named 'cuda_of_nobody'",
        "absent_peer": "not installed",
    }


def test_lost_cells_are_shown_as_lost():
    won = bench.Cell("grpo", 4096, 8, 90.0, 100.0, True, 1.0)
    lost = bench.Cell("grpo", 4096, 16, 110.0, 100.0, True, 1.0)
    plain = bench.Cell("grpo", 4096, 16, 110.0, 100.0, False, 1.0)
    assert not won.lost
    assert lost.lost
    assert "**1.10**" in page.cell(lost)
    facts = bench.machine()
    made = page.markdown(facts, [], [won, lost, plain], {})
    assert made.index("1 of 2 cells are lost") < made.index("Without compiled") < made.index("1 of 1 cells are lost")
    assert "Without compiled" not in page.markdown(facts, [], [won, lost], {})


def test_a_target_that_is_missed_is_shown_as_missed_with_the_reason():
    one = measured("whitening, holes and padding, (256, 32768)", "advantages, torch", floor=8.5)
    peer = measured(one.work, "verl (also outside the mask)", ours=6.5)
    first, second = outcomes([one, peer])
    assert (first.met, second.met) == (False, True)
    text = page.markdown(bench.machine(), [one, peer], [], {})
    assert "**1 of 2 are missed.**" in text
    assert "at most 8 F | **8.5 F** | sums are in double precision" in text
    assert "at least 6 times ours | 6.5 |  |" in text
    scans = [measured("GAE, holes and padding, (1024, 8192)", name, ms=ms) for name, ms in JITTED.items()]
    assert [(o.found, o.met) for o in outcomes(scans)][1:] == [("1.40", True)]
    assert not list(outcomes([]))


JITTED = {"advantages, torch": 1.0, "advantages, jax.jit": 1.4, "rlax, jit (without a mask)": 1.0}


def measured(work, name, *, ms=1.0, ours=1.0, floor=1.0):
    return Found("", work, name, "ours", ms, ms, 1, ours, floor, None, 0.0)


def test_every_target_is_of_a_work_that_is_measured():
    titles = {work.title for work in works()}
    assert {target.work for target in targets._TARGETS} <= titles


def test_the_page_has_a_picture_with_a_text_alternative(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert main(["bench", "--only", "ids", "--seconds", "0.01", "--page", str(tmp_path / "speed.md")]) == 0
    text = (tmp_path / "speed.md").read_text()
    assert "![" in text
    assert "images/speed.svg" in text
    assert "The picture in words" in text
    assert "Not measured on a GPU" in text
    assert "<svg" in (tmp_path / "images" / "speed.svg").read_text()
