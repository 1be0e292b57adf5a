"""Training as the processes that users start: stopped, killed and taken up again, and several at once."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from safetensors.torch import load_file

from advantages.cli import main

TESTS = Path(__file__).parent
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "ACCELERATE_USE_CPU": "true",
    "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parents[1]), os.environ.get("PYTHONPATH", "")]),
}
TIMINGS = ("seconds", "tokens_per_second")
STEPS = 30
"""Of a run that is stopped: three times, after some 3, 6 and 10 steps; what a busy machine adds must fit, too."""


@pytest.fixture(scope="module")
def options(tmp_path_factory, save_tiny):
    """A run without a supervised start, so that its first step comes soon."""
    folder = tmp_path_factory.mktemp("model")
    save_tiny(folder)
    data = folder / "train.jsonl"
    data.write_text("".join(json.dumps({"prompt": f"{k}+1?", "answer": str(k + 1)}) + "\n" for k in range(9)))
    given = {"model": folder, "data": data, "rewards": "steps_of_processes:digits=1", "max-new-tokens": 12}
    given |= {"prompts": 2, "group-size": 4, "evaluation": 2, "steps": STEPS, "save-every": 7, "estimator": "lampo"}
    return [str(word) for name, value in given.items() for word in (f"--{name}", value)]


PATIENCE = 300
"""Seconds that a process may take, on a machine that may be busy."""


@pytest.fixture
def start():
    started = []

    def new(*arguments):
        command = [sys.executable, "-W", "ignore", "-m", "advantages", "train", *map(str, arguments)]
        started.append(piped(command))
        return started[-1]

    yield new
    for process in started:
        process.kill()
        process.communicate()


def piped(command):
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def metrics(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: x for name, x in line.items() if not name.startswith(TIMINGS)} for line in lines]


def stop_after(step, folder, process, number):
    """Send a signal when a step has been logged."""
    end = time.monotonic() + PATIENCE
    while not (
        (folder / "metrics.jsonl").exists() and len((folder / "metrics.jsonl").read_text().splitlines()) >= step
    ):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(number)
    return process.communicate(timeout=PATIENCE)


def test_a_run_that_was_stopped_in_every_way_is_the_run_that_was_not(start, options, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(TESTS)  # where the reward is
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    stopped = start("--runs", tmp_path, "--name", "parts", *options)
    _, said = stop_after(3, parts, stopped, signal.SIGINT)
    assert stopped.returncode == 128 + signal.SIGINT
    assert f"and saved; go on with: advantages train --resume {parts}" in said
    done = len(metrics(parts))
    assert 3 <= done < STEPS

    stopped = start("--resume", parts)
    stop_after(done + 3, parts, stopped, signal.SIGTERM)
    assert stopped.returncode == 128 + signal.SIGTERM
    done = len(metrics(parts))

    killed = start("--resume", parts)
    stop_after(done + 4, parts, killed, signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    assert len(metrics(parts)) < STEPS

    assert main(["train", "--resume", str(parts)]) == 0
    assert main(["train", "--runs", str(tmp_path), "--name", "whole", *options]) == 0
    assert [line["step"] for line in metrics(parts)] == list(range(1, STEPS + 1))
    assert metrics(parts) == metrics(whole)
    ours, theirs = (load_file(folder / "model" / "model.safetensors") for folder in (parts, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_too_little_memory_is_said_with_what_to_lower(tmp_path):
    pytest.importorskip("resource")
    options = ["--random-init", "Phi-4-mini", "--task", "reasoning-gym:chain_sum", "--runs", tmp_path]
    limited = "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30)); "  # too little at once
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", limited + "from advantages.cli import main; main()", "train", *options],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("advantages train: out of memory (")
    assert "lower --micro-batch, --max-new-tokens or --group-size" in done.stderr
    assert not list(tmp_path.iterdir())


def two_processes(folder, options):
    """What each of two processes has found, which leave their runs in a folder."""
    launcher = [sys.executable, "-W", "ignore", "-m", "accelerate.commands.launch", "--num_processes", "2"]
    # Without --multi_gpu, accelerate starts one process where there is no accelerator.
    launcher += ["--multi_gpu", "--num_machines", "1", "--main_process_port", "0"]
    launcher += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    few = [*options, "--steps", "5", "--save-every", "2"]
    process = piped([*launcher, str(TESTS / "runs_of_processes.py"), str(folder), *few])
    _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, error
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(2)]


def test_two_processes_take_the_step_of_one_hold_one_folder_and_resume_one_run(options, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(TESTS)
    from steps_of_processes import CASES, steps

    ranks = two_processes(tmp_path, options)
    both = ranks[0]
    alone = steps(tmp_path / "alone")
    assert not torch.distributed.is_initialized()  # one process
    assert both["processes"] == 2
    for (estimator, _), ones, twos in zip(CASES, alone, both["metrics"], strict=True):
        for one, two in zip(ones, twos, strict=True):
            for name in ("reward", "length", "advantage", "loss", "grad_norm", "informative", "samples"):
                assert two[name] == pytest.approx(one[name], rel=1e-4), (estimator, name)
        ours, theirs = (load_file(at / estimator) for at in (tmp_path / "alone", tmp_path / "steps"))
        for name, x in ours.items():
            torch.testing.assert_close(theirs[name], x, atol=1e-5, rtol=1e-4)

    found, other = (rank["said"] for rank in ranks)
    assert found == other | {"whole": 0}
    assert found["held"] == f"another process is writing to {tmp_path / 'held'}; wait for it, or stop it: False"
    assert (found["whole"], found["stopped"], found["resumed"]) == (0, 128 + signal.SIGTERM, 0)
    assert "already holds a run; pass another --name" in found["named"]
    assert [line["step"] for line in metrics(tmp_path / "parts")] == list(range(1, 6))
    assert metrics(tmp_path / "parts") == metrics(tmp_path / "whole")
