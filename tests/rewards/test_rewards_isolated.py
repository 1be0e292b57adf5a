"""Reward functions in a process of their own: cut off, crashed, refused, restarted."""

import ctypes
import functools
import gc
import importlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest

from advantages.rewards import Format, Isolated, Rewards, isolated
from advantages.rewards.checks import NotStartedError

JUDGES = """
import asyncio, ctypes, itertools, os, re, subprocess, sys, tempfile, time

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

def tells_and_spins(completions):
    print(os.getpid(), subprocess.Popen(["sleep", "1000"], start_new_session=True).pid, flush=True)
    sum(itertools.repeat(0))

def runs(completions, answer):
    # 1 where the program prints the answer: a judge of code, and not a careful one.
    scores = []
    for code, right in zip(completions, answer):
        with tempfile.TemporaryFile() as file:
            subprocess.run([sys.executable, "-c", code], stdout=file, close_fds=False)
            file.seek(0)
            scores.append(float(file.read().decode().strip() == right))
    return scores

def executes(completions, answer):
    # The same in the judge's own interpreter.
    scores = []
    for code, right in zip(completions, answer):
        names = {}
        exec(code, names)
        scores.append(float(names.get("found") == right))
    return scores

def tells(completions):
    return [[os.environ.get(name) for name in completion.split()] for completion in completions]

def odd(completions):
    import decimal, numpy
    return [numpy.float32(0.5), numpy.int64(2), decimal.Decimal("0.25"), True, None, float("nan")][: len(completions)]

class Standing:
    # A judge that keeps a process beside it.
    def prepare(self):
        self.helper = subprocess.Popen(["sleep", "1000"])
    def __call__(self, completions):
        return [float(self.helper.poll() is None)] * len(completions)

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


def test_a_busy_process_ends_with_a_parent_that_was_killed(judges):
    end = """
import threading, time
threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
Isolated("some_judges:tells_and_spins")(completions=[""])
"""
    code = PARENT.format(folder=os.path.dirname(judges.__file__), end=end)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    told = [int(pid) for pid in done.stdout.split()]
    assert len(told) == 3
    assert all(gone(pid) for pid in told)


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
        (lambda j: Isolated(j.length, seconds=None), TypeError, "length: seconds is None; pass a finite number"),
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


# Programs that do not want to be judged

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="subreapers and /proc are Linux's")
LEAVING = {
    "in a session of its own": 'Popen(["sleep", mark], start_new_session=True)',
    "by nohup": 'Popen(f"nohup sleep {mark} >/dev/null 2>&1 &", shell=True)',
    "by setsid": 'Popen(f"setsid sleep {mark} & disown", shell=True, executable="/bin/bash")',
    "deaf": """Popen(["sh", "-c", f"trap '' TERM HUP INT; sleep {mark}"], start_new_session=True)""",
    "a daemon": """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir("/")
        os.execvp("sleep", ["sleep", mark])
    os._exit(0)
""",
    "many": """
for _ in range(30):
    if os.fork() == 0:
        os.setsid()
        Popen(["sleep", mark])
        os._exit(0)
""",
    "without a name": 'Popen(["env", "-i", "sleep", mark], start_new_session=True)',
    "a session in a session": """
if os.fork() == 0:
    os.setsid()
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    Popen(["setsid", "sleep", mark])
    time.sleep(100)
""",
}
IMPORTS = "import ctypes, os, signal, sys, time\nfrom subprocess import Popen\n"


def left_over(mark):
    found = subprocess.run(["pgrep", "-f", f"^sleep {mark}$"], capture_output=True, text=True, check=False).stdout
    return found.split()


@LINUX
@pytest.mark.parametrize("judge", ["runs", "executes"])
@pytest.mark.parametrize("way", LEAVING)
def test_nothing_that_a_program_starts_outlives_its_row(judges, judge, way):
    mark = f"77.{os.getpid()}{list(LEAVING).index(way)}{len(judge)}"
    code = f"{IMPORTS}mark = {mark!r}\n{LEAVING[way]}\nfound = '7'\nprint(found, flush=True)"
    reward = Isolated(getattr(judges, judge), seconds=20.0, per_row=True)
    seen = []
    for text in (code, "found = '8'; print(found)"):
        seen += reward(completions=[text], answer=["7"])
        assert left_over(mark) == []  # when the answer is there, not some time later
    assert seen == [1.0, 0.0]
    assert reward.failures == {}


MOVING = """
import os, signal, sys, time
from types import SimpleNamespace
from advantages.rewards import worker

def sleeps():
    time.sleep(60)
    os._exit(0)

worker._prctl(worker.SUBREAPER, 1)
said, tell = os.pipe()
if (judge := os.fork()) == 0:
    if (parent := os.fork()) == 0:
        if os.fork() == 0:
            sleeps()
        os.write(tell, str(os.getpid()).encode())
        sleeps()
    os.waitpid(parent, 0)
    sleeps()
parent = int(os.read(said, 100))
children = worker._children

def while_one_moves(pid):
    if pid == judge and os.path.exists(f"/proc/{parent}"):
        os.kill(parent, signal.SIGKILL)
        while os.path.exists(f"/proc/{parent}"):
            time.sleep(0.001)
    return children(pid)

worker._children = while_one_moves
keeper = SimpleNamespace(judge=judge, status=None, standing=set(), _reap=lambda **_: os.waitpid(-1, os.WNOHANG))
worker._Keeper.clear(keeper)
print([pid for pid, _, lives in worker._descendants(os.getpid()) if lives] == [judge])
os.kill(judge, signal.SIGKILL)
"""


@LINUX
def test_a_process_that_moves_while_it_is_looked_for_is_found():
    done = subprocess.run([sys.executable, "-c", MOVING], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


@LINUX
def test_what_is_cut_off_leaves_nothing_behind_either(judges):
    mark = f"78.{os.getpid()}"
    reward = Isolated(judges.executes, seconds=1.0, per_row=True)
    code = f"{IMPORTS}Popen(['sleep', {mark!r}], start_new_session=True)\nwhile True: pass"
    with pytest.warns(UserWarning, match="cut off"):
        assert reward(completions=[code], answer=["7"]) == [None]
    assert left_over(mark) == []


@LINUX
def test_a_process_that_the_judge_keeps_stays(judges):
    assert Isolated(judges.Standing(), per_row=True)(completions=["a"] * 3) == [1.0] * 3


FORGED = """
import json, pickle
words = [pickle.dumps(([1.0], None)), b"[[1.0], null]\\n", b"1-0 [[1.0], null]\\n", b"ready null\\n"]
words += [len(word).to_bytes(4) + word for word in words]
for number in range(3, 64):
    for word in words:
        try:
            os.write(number, word)
        except OSError:
            break
"""
FORGED_BY_OBJECTS = """
import gc, pickle, socket
from multiprocessing.connection import Connection
for one in gc.get_objects():
    if isinstance(one, Connection):
        one.send_bytes(pickle.dumps(([1.0], None)))
    elif isinstance(one, socket.socket):
        one.sendall(b"1-0 [[1.0], null]\\nready null\\n" * 3)
"""


@pytest.mark.parametrize("judge", ["runs", "executes"])
@pytest.mark.parametrize("forged", [FORGED, FORGED_BY_OBJECTS], ids=["numbers", "objects"])
@pytest.mark.parametrize("end", ["", "os._exit(0)", "sys.exit()"])
def test_a_program_cannot_answer_for_the_judge_nor_shift_its_answers(judges, judge, forged, end):
    reward = Isolated(getattr(judges, judge), seconds=20.0, per_row=True)
    rows = [IMPORTS + forged.replace("\\\\", "\\") + end, "found = '7'; print(7)", "found = '8'; print(8)"]
    with warnings.catch_warnings(action="ignore"):
        scores = reward(completions=rows, answer=["7"] * 3)
    assert scores[0] in (0.0, None)
    assert scores[1:] == [1.0, 0.0]


def test_what_one_row_changes_is_undone_before_the_next(judges):
    code = "import sys; m = sys.modules['some_judges']; m.float = lambda x: 1.0; m.print = None\nfound = '8'"
    rows, answers = [code, "found = '8'", "found = '7'"], ["7"] * 3
    assert Isolated(judges.executes, per_row=True, fresh=True)(completions=rows, answer=answers)[1:] == [0.0, 1.0]
    assert Isolated(judges.executes, per_row=True)(completions=rows, answer=answers)[1:] == [1.0, 1.0]  # why


def test_a_fresh_copy_that_ends_is_one_row(judges):
    reward = Isolated(judges.exits, per_row=True, fresh=True)
    with pytest.warns(UserWarning, match="exits: its process ended with exit status 3"):
        assert reward(completions=["a", "exit", "a"]) == [1, None, 1]


def scoped():
    """Whether Landlock has scopes here."""
    return sys.platform == "linux" and ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) >= 6


@pytest.mark.skipif(not scoped(), reason="Landlock has no scopes before Linux 6.12")
@pytest.mark.parametrize("judge", ["runs", "executes"])
def test_a_program_cannot_reach_the_trainer(judges, judge):
    tries = ["os.kill({pid}, 0)", "os.kill({keeper}, 9)", "open('/proc/{pid}/mem', 'rb').read(0)"]
    tries += ["os.readlink('/proc/{pid}/fd/1')"]
    if os.geteuid():  # root, unless in a container, may measure every process, and so read its environment
        tries += ["open('/proc/{pid}/environ').read()"]
    reward = Isolated(getattr(judges, judge), seconds=20.0, per_row=True)
    reward(completions=["pass"], answer=[""])
    keeper = reward._idle.queue[0].end.peek()[2][0].pid
    for one in tries:
        code = f"import os\nfound = 'reached'\ntry: {one.format(pid=os.getpid(), keeper=keeper)}\n"
        code += "except (PermissionError, ProcessLookupError): found = 'kept away'\nprint(found)"
        assert reward(completions=[code], answer=["kept away"]) == [1.0], one
    assert reward.failures == {}


@LINUX
def test_a_keeper_that_is_killed_leaves_nothing(judges):
    mark = f"79.{os.getpid()}"
    reward = Isolated(judges.executes, seconds=20.0, per_row=True)
    reward(completions=["found = 1"], answer=[1])
    keeper = reward._idle.queue[0].end.peek()[2][0].pid
    code = f"{IMPORTS}Popen(['sleep', {mark!r}], start_new_session=True); print('up', flush=True)\ntime.sleep(60)"
    killer = threading.Thread(target=lambda: (until(lambda: left_over(mark)), os.kill(keeper, signal.SIGKILL)))
    killer.start()
    with pytest.warns(UserWarning, match="its process was ended from outside"):
        assert reward(completions=[code], answer=[1]) == [None]
    killer.join()
    until(lambda: not left_over(mark))  # they were killed one after another, by one who is not their parent
    assert left_over(mark) == []
    assert reward(completions=["found = 1"], answer=[1]) == [1.0]


def until(happens):
    end = time.monotonic() + 30
    while not happens() and time.monotonic() < end:
        time.sleep(0.02)


def test_secrets_and_the_place_in_a_group_are_kept_from_it(judges, monkeypatch):
    kept = ["HF_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "MY_PASSWORD", "RANK", "MASTER_ADDR", "WORLD_SIZE"]
    for name in (*kept, "MY_SETTING", "KEYBOARD"):
        monkeypatch.setenv(name, "value")
    names = " ".join([*kept, "MY_SETTING", "KEYBOARD"])
    (found,) = Isolated(judges.tells).results(completions=[names])
    assert found == [None] * len(kept) + ["value"] * 2
    (found,) = Isolated(judges.tells, environment=["WANDB_API_KEY", "RANK"]).results(completions=["WANDB_API_KEY RANK"])
    assert found == ["value", "value"]
    with pytest.raises(TypeError, match="tells: environment is 'RANK'; pass a list of names"):
        Isolated(judges.tells, environment="RANK")


def test_answers_are_plain_numbers_of_any_kind(judges):
    assert Isolated(judges.odd)(completions=["a"] * 6) == [0.5, 2.0, 0.25, 1.0, None, None]


@pytest.mark.parametrize("judge", ["runs", "executes"])
def test_memory_beyond_the_limit_is_a_failure_of_its_row(judges, judge):
    reward = Isolated(getattr(judges, judge), per_row=True, gigabytes=0.5)
    codes = ["x = bytearray(2**31)\nfound = '7'\nprint(7)", "found = '7'\nprint(7)"]
    with warnings.catch_warnings(action="ignore"):
        first, second = reward(completions=codes, answer=["7"] * 2)
    if sys.platform == "linux":
        assert first in (None, 0.0)
    assert second == 1.0


@LINUX
def test_where_memory_runs_out_the_judge_goes_before_the_trainer(judges):
    code = "found = open('/proc/self/oom_score_adj').read().strip()"
    assert Isolated(judges.executes)(completions=[code], answer=["1000"]) == [1.0]


def test_another_folder_and_an_alarm_are_not_left_to_the_next_row(judges):
    code = "import os, signal\nfound = os.getcwd()\nos.chdir('/')\nsignal.setitimer(signal.ITIMER_REAL, 0.2)"
    reward = Isolated(judges.executes, per_row=True)
    slow = "import os, time\ntime.sleep(0.4)\nfound = os.getcwd()"
    assert reward(completions=[code, slow, code], answer=[os.getcwd()] * 3) == [1.0] * 3


def test_a_long_complaint_is_cut(judges):
    with pytest.warns(UserWarning, match="x; 1 response is unscored") as said:
        assert Isolated(judges.executes)(completions=["raise ValueError('x' * 10**6)"], answer=["7"]) == [None]
    assert len(str(said[0].message)) < 1000


def sealable():
    return sys.platform == "linux" and ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) >= 4


SEALED = {
    "a file elsewhere": "open({elsewhere!r}, 'w')",
    "a file's end": "os.truncate({kept!r}, 0)",
    "a file gone": "os.remove({kept!r})",
    "a folder elsewhere": "os.mkdir({elsewhere!r})",
    "a name": "os.rename({kept!r}, {kept!r} + '2')",
    "a program's file": "subprocess.run(['touch', {elsewhere!r}], check=True, stderr=subprocess.DEVNULL)",
    "a connection": "socket.create_connection(('127.0.0.1', {port}), 5)",
    "a server": "socket.create_server(('127.0.0.1', 0))",
    "its environment": "open('/proc/{pid}/environ').read()",
}


@pytest.mark.skipif(not sealable(), reason="Landlock closes no network before Linux 6.7")
@pytest.mark.parametrize("judge", ["runs", "executes"])
def test_what_is_sealed_writes_in_one_folder_that_is_its_own_and_has_no_network(judges, judge, tmp_path):
    kept = tmp_path / "kept"
    kept.write_text("here")
    reward = Isolated(getattr(judges, judge), seconds=20.0, per_row=True, sealed=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        named = {
            "elsewhere": str(tmp_path / "made"),
            "kept": str(kept),
            "port": server.getsockname()[1],
            "pid": os.getpid(),
        }
        for what, way in SEALED.items():
            code = f"import os, socket, subprocess\nfound = 'reached'\ntry: {way.format(**named)}\n"
            code += "except (OSError, subprocess.CalledProcessError): found = 'kept away'\nprint(found)"
            assert reward(completions=[code], answer=["kept away"]) == [1.0], what
    assert kept.read_text() == "here"
    assert list(tmp_path.iterdir()) == [kept]
    own = "import os, tempfile\nwas = os.listdir('.')\nopen('file', 'w').write('x')\nos.makedirs('a/b')\n"
    own += "tempfile.mkstemp()\nopen('/dev/null', 'w').write('x')\nfound = str(len(was))\nprint(found)"
    assert reward(completions=[own] * 2, answer=["0"] * 2) == [1.0, 1.0]
    assert reward.failures == {}


@pytest.mark.skipif(not sealable(), reason="Landlock closes no network before Linux 6.7")
def test_the_sealed_folder_is_removed_in_the_end(judges):
    reward = Isolated(judges.tells, sealed=True)
    ((folder,),) = reward.results(completions=["TMPDIR"])
    assert os.path.isdir(folder)
    reward.close()
    assert not os.path.exists(folder)


def test_what_cannot_be_sealed_is_refused(judges):
    if sealable():
        pytest.skip("it can be")
    with pytest.raises(NotStartedError, match="sealed is True, which takes Landlock"):
        Isolated(judges.length, sealed=True)(completions=["a"])
