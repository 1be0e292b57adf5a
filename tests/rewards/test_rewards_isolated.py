"""Reward functions in a process of their own: cut off, crashed, refused, restarted."""

import functools
import gc
import importlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import Pipe

import numpy as np
import pytest

from advantages.rewards import Format, Isolated, Rewards, isolated
from advantages.rewards.checks import NotStartedError

JUDGES = """
import asyncio, ctypes, itertools, os, re, subprocess, sys, time

def length(completions):
    return [len(completion) for completion in completions]

def columns_seen(prompts, completions, answer, **columns):
    return [float(len(columns)), 0.0]

def sleeps(completions):
    return [time.sleep(1e6) if completion == "sleep" else 1.0 for completion in completions]

def spins(completions):
    return [sum(itertools.repeat(0)) if completion == "spin" else 1.0 for completion in completions]

def matches(completions):
    return [float(bool(re.fullmatch("(a+)+b", completion))) for completion in completions]

def exits(completions):
    return [os._exit(3) if completion == "exit" else 1.0 for completion in completions]

def crashes(completions):
    return [ctypes.string_at(0) if completion == "crash" else 1.0 for completion in completions]

def leaves(completions):
    sys.exit("bye")

def raises(completions):
    return [1 / (completion != "raise") for completion in completions]

def prints(completions):
    print("printed", flush=True)
    return [1.0]

def process(completions):
    return [os.getpid()] * len(completions)

def spawns(completions):
    subprocess.Popen(["sleep", "1000"]).wait()

def asks(completions):
    return [float(input() or 0)]

def unsendable(completions):
    return lambda: 0

def threads(completions):
    return [1.0, 2.0, 3.0]

async def later(completions):
    await asyncio.sleep(0)
    return [1.0] * len(completions)

class Judge:
    def __init__(self, score):
        self.score = score
    def __call__(self, completions):
        return [self.score] * len(completions)

class Broken:
    def __call__(self, completions):
        return [1.0] * len(completions)
    def prepare(self):
        raise ImportError("no libjudge")
"""


@pytest.fixture(scope="module")
def judges(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judges")
    (folder / "some_judges.py").write_text(JUDGES)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("some_judges")
    sys.path.remove(str(folder))
    del sys.modules["some_judges"]


def alive(pid):
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state) and not state.startswith("Z")


def gone(pid, seconds=20.0):
    end = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(pid)


def test_scores_come_back(judges):
    reward = Isolated(judges.length)
    assert reward(completions=["a", "bb"]) == [1, 2]
    assert Isolated("some_judges:length", per_row=True)(completions=["a", "bb"]) == [1, 2]
    assert reward.failures == {}


def test_it_is_another_process_that_stays(judges):
    reward = Isolated(judges.process, per_row=True)
    pids = {*reward(completions=["a"] * 3), *reward(completions=["a"])}
    assert len(pids) == 1
    assert os.getpid() not in pids


@pytest.mark.parametrize(
    ("name", "culprit"), [("sleeps", "sleep"), ("spins", "spin"), ("matches", "a" * 64)], ids=["sleep", "C", "regex"]
)
def test_what_hangs_is_cut_off_and_the_others_are_scored(judges, name, culprit):
    reward = Isolated(getattr(judges, name), seconds=0.3, per_row=True)
    with pytest.warns(UserWarning, match=f"{name}: gave no score within 0.3 seconds and was cut off") as caught:
        assert reward(completions=["ab", culprit, "ab", culprit, "ab"]) == [1, None, 1, None, 1]
    assert len(caught) == 1
    assert reward.failures == {"too slow": 2}
    assert reward(completions=["ab"]) == [1]


def test_a_whole_batch_is_cut_off_where_the_function_sees_all_of_it(judges):
    with pytest.warns(UserWarning, match="2 responses are unscored"):
        assert Isolated(judges.sleeps, seconds=0.3)(completions=["a", "sleep"]) == [None, None]


@pytest.mark.parametrize(
    ("name", "culprit", "cause", "kind"),
    [
        ("exits", "exit", "its process ended with exit status 3", "ended"),
        ("crashes", "crash", "its process ended with exit status -11", "ended"),
        ("raises", "raise", "raised ZeroDivisionError: division by zero", "ZeroDivisionError"),
    ],
)
def test_a_crash_stays_its_own(judges, name, culprit, cause, kind):
    reward = Isolated(getattr(judges, name), per_row=True)
    with pytest.warns(UserWarning, match=f"{name}: {cause}"):
        assert reward(completions=["a", culprit, "a"]) == [1, None, 1]
    assert reward.failures == {kind: 1}


def test_leaving_is_a_failure_and_the_process_goes_on(judges):
    with pytest.warns(UserWarning, match="leaves: raised SystemExit: bye"):
        assert Isolated(judges.leaves)(completions=["a"]) == [None]


def test_what_the_function_started_dies_with_it(judges):
    before = _sleepers()
    with pytest.warns(UserWarning, match="cut off"):
        Isolated(judges.spawns, seconds=1.0)(completions=["a"])
    assert all(gone(pid) for pid in _sleepers() - before)


def _sleepers():
    found = subprocess.run(["pgrep", "-f", "^sleep 1000$"], capture_output=True, text=True, check=False).stdout
    return {int(pid) for pid in found.split()}


def test_it_cannot_read_the_input_of_the_run(judges):
    end = "print(Isolated('some_judges:asks')(completions=['a']), input())"
    code = PARENT.format(folder=os.path.dirname(judges.__file__), end=end)
    done = subprocess.run([sys.executable, "-c", code], input="7\n", capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[None] 7"
    assert "asks: raised EOFError" in done.stderr


def test_coroutines_and_objects_and_partials(judges):
    assert Isolated(judges.later)(completions=["a"]) == [1]
    assert Isolated(judges.Judge(0.5))(completions=["a"]) == [0.5]
    partial = Isolated(functools.partial(judges.length))
    assert (partial(completions=["aa"]), partial.__name__) == ([2], "length")


def test_live_objects_of_the_trainer_are_not_sent(judges):
    reward = Isolated(judges.columns_seen)
    assert reward.needs == ("answer",)
    live = {"trainer_state": threading.Lock(), "log_metric": print, "log_extra": print, "environments": [object()]}
    assert reward(prompts=["p"] * 2, completions=["a"] * 2, answer=["7"] * 2, more=[1, 2], **live) == [1, 0]
    with pytest.raises(ValueError, match="there are 2 completions but column 'more' has 1 entries"):
        reward(prompts=["p"] * 2, completions=["a"] * 2, answer=["7"] * 2, more=[1])
    with pytest.raises(TypeError, match=r"the columns prompts, .*, more cannot be sent .*; pass plain data"):
        reward(prompts=["p"] * 2, completions=["a"] * 2, answer=["7"] * 2, more=[threading.Lock()] * 2)


def test_the_contract_holds_across_processes(judges):
    with pytest.raises(ValueError, match="threads: returned 3 scores for 1 responses"):
        Rewards({"f": 1.0}, {"f": Isolated(judges.threads, per_row=True)})(["p"], ["a"])
    with pytest.warns(UserWarning, match="unsendable: raised .*lambda"):
        assert Isolated(judges.unsendable)(completions=["a"]) == [None]


def test_rewards_count_its_failures_once(judges):
    rewards = Rewards({"sleeps": 1.0}, {"sleeps": Isolated(judges.sleeps, seconds=0.3, per_row=True)})
    with pytest.warns(UserWarning, match="cut off") as caught:
        scores = rewards(["p"] * 2, ["sleep", "a"])
    np.testing.assert_array_equal(scores.total(), [np.nan, 1])
    assert len(caught) == 1
    assert rewards.failures == {"sleeps": {"too slow": 1}}


def test_workers_share_the_rows(judges):
    reward = Isolated(judges.sleeps, seconds=0.5, per_row=True, workers=3)
    with pytest.warns(UserWarning, match="cut off"):
        assert reward(completions=["sleep", "a", "sleep", "a", "sleep"]) == [None, 1, None, 1, None]
    assert reward.failures == {"too slow": 3}


def test_stopping_the_run_cannot_shift_answers(judges):
    """A reply to an interrupted request must never be taken for the reply to the next."""
    reward = Isolated(judges.sleeps, seconds=30.0)
    assert reward(completions=["a"]) == [1]

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            reward(completions=["sleep"])
    finally:
        signal.signal(signal.SIGALRM, before)
    assert reward(completions=["a", "b"]) == [1, 1]


def test_the_process_ends_with_the_object(judges):
    reward = Isolated(judges.process)
    (pid,) = reward(completions=["a"])
    reward.close()
    assert gone(int(pid))
    (pid,) = reward(completions=["a"])
    assert alive(int(pid))
    del reward
    gc.collect()
    assert gone(int(pid))


PARENT = """
import os, signal, sys
sys.path.insert(0, {folder!r})
from advantages.rewards import Isolated
reward = Isolated("some_judges:process")
print(int(reward(completions=["a"])[0]), flush=True)
{end}
"""


@pytest.mark.parametrize("end", ["", "os.kill(os.getpid(), signal.SIGKILL)", "os._exit(0)"])
def test_an_idle_process_ends_with_its_parent_however_that_ends(judges, end):
    code = PARENT.format(folder=os.path.dirname(judges.__file__), end=end)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert gone(int(done.stdout)), done.stderr
    assert done.stderr == ""


def test_a_busy_orphan_is_ended_by_the_kernel(judges):
    ours, theirs = Pipe()
    process = subprocess.Popen(
        [sys.executable, "-P", isolated.SCRIPT, str(theirs.fileno())], pass_fds=[theirs.fileno()]
    )
    theirs.close()
    ours.send_bytes(pickle.dumps((sys.path, pickle.dumps(judges.spins), 0.5)))
    assert pickle.loads(ours.recv_bytes()) is None
    ours.send_bytes(pickle.dumps({"completions": ["spin"]}))
    ours.close()
    assert process.wait(timeout=30) == -signal.SIGALRM


def test_the_main_module_is_not_run_again(tmp_path, judges):
    """A spawned multiprocessing process would, and a training script without a guard would start itself."""
    script = tmp_path / "train.py"
    code = PARENT.format(folder=os.path.dirname(judges.__file__), end="print('trained')")
    script.write_text(code)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert done.stdout.count("trained") == 1


FORK = """
child = os.fork()
if child == 0:
    print(int(reward(completions=["a"])[0]), flush=True)
    del reward
    os._exit(0)
os.waitpid(child, 0)
print(int(reward(completions=["a"])[0]))
"""


def test_a_fork_of_the_parent_gets_a_process_of_its_own_and_leaves_ours_alone(judges):
    code = PARENT.format(folder=os.path.dirname(judges.__file__), end=FORK)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, forked, after = map(int, done.stdout.split())
    assert before == after != forked
    assert gone(forked)


def test_a_process_that_never_started_is_an_error_not_a_score(judges):
    with pytest.raises(NotStartedError, match=r"Broken: its worker process did not start \(ImportError: no libjudge\)"):
        Rewards({"f": 1.0}, {"f": Isolated(judges.Broken())})(["p"], ["a"])


def test_a_process_that_does_not_start_again_leaves_rows_unscored(judges, monkeypatch):
    reward = Isolated(judges.exits, per_row=True)
    reward(completions=["a"])
    monkeypatch.setattr(isolated, "SCRIPT", "no such script")
    with pytest.warns(UserWarning, match=r"exits: its process ended|exits: .*did not start") as caught:
        assert reward(completions=["exit", "a"]) == [None, None]
    assert len(caught) == 2
    assert reward.failures == {"ended": 1, "not started": 1}
    monkeypatch.setattr(sys, "executable", "no such program")
    assert reward(completions=["a"]) == [None]
    assert reward.failures == {"ended": 1, "not started": 2}
    monkeypatch.undo()
    assert reward(completions=["a"]) == [1]


def test_what_the_function_prints_is_seen_and_does_no_harm(judges, capfd):
    assert Isolated(judges.prints)(completions=["a"]) == [1]
    assert capfd.readouterr().out == "printed\n"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda j: Isolated(3), TypeError, "Isolated: function is a int; pass a reward function"),
        (lambda j: Isolated("nobody"), ValueError, "reward 'nobody': there is none"),
        (lambda j: Isolated(lambda completions: 0), TypeError, "<lambda>: cannot be sent to another process"),
        (lambda j: Isolated(j.length, seconds=-1), ValueError, "length: seconds is -1; pass a finite number above 0"),
        (lambda j: Isolated(j.length, seconds=None), TypeError, "length: seconds is a NoneType; pass a number"),
        (lambda j: Isolated(j.length, per_row=1), TypeError, "length: per_row is 1; pass True or False"),
        (lambda j: Isolated(j.length, workers=2), ValueError, "workers is 2 but per_row is False"),
    ],
)
def test_what_cannot_be_isolated_is_refused(judges, make, error, message):
    with pytest.raises(error, match=message):
        make(judges)


def test_what_is_defined_in_main_is_refused():
    code = "import functools\nfrom advantages.rewards import Isolated\ndef f(completions): ...\n"
    for function in ("f", "functools.partial(f)"):
        done = subprocess.run(
            [sys.executable, "-c", f"{code}Isolated({function})"], capture_output=True, text=True, check=False
        )
        assert "f: is defined in __main__, which another process cannot import; move it to a module" in done.stderr


def test_it_can_be_sent_elsewhere():
    reward = Isolated(Format(), per_row=True)
    reward(completions=["a"])
    assert pickle.loads(pickle.dumps(reward))(completions=["<think>a</think>b"]) == [1]
