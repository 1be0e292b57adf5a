"""Two processes under `accelerate launch`: their advantages are those of one process with the whole batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("trl")
import torch
from torch.nn.functional import pad
from trl_runs import bare
from two_processes import RUNS

from advantages.host import resolve


@pytest.fixture(scope="module")
def runs(folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("two")
    # On a CPU, --multi_gpu is what starts several processes; use_cpu in the configuration makes them talk over gloo.
    launch = "-m accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no"
    launch += " --dynamo_backend no --main_process_port 0"
    script = Path(__file__).with_name("two_processes.py")
    done = subprocess.run(
        [sys.executable, *launch.split(), str(script), str(folder), str(output)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return {name: [torch.load(output / f"{name}.{rank}.pt", weights_only=True) for rank in (0, 1)] for name in RUNS}


def joined(batches):
    """The batch of both processes, padded to the longer one; prompts are padded on the left."""
    whole = {}
    for key in ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask", "advantages"):
        parts = [batch[key] for batch in batches]
        if parts[0].ndim == 2:
            widest = max(part.shape[1] for part in parts)
            sides = [
                (widest - part.shape[1], 0) if key.startswith("prompt") else (0, widest - part.shape[1])
                for part in parts
            ]
            parts = [pad(part, side) for part, side in zip(parts, sides, strict=True)]
        whole[key] = torch.cat(parts)
    return whole


@pytest.mark.parametrize("name", RUNS)
def test_advantages_are_those_of_the_whole_batch(runs, model, name):
    first, second = runs[name]
    assert [len(rank["batches"][0]["advantages"]) for rank in (first, second)] == [6, 6]
    torch.testing.assert_close(first["scores"][0], second["scores"][0], equal_nan=True)
    whole = joined([rank["batches"][0] for rank in (first, second)])
    expected = bare(resolve(name.partition(" ")[0]), whole, model, first["scores"][0])
    assert expected[:6].any()
    assert expected[6:].any()
    torch.testing.assert_close(whole["advantages"], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", RUNS)
def test_processes_agree(runs, name):
    first, second = runs[name]
    assert torch.equal(first["trained"], second["trained"])
    assert first["column"] == second["column"]
    assert first["evaluated"] == second["evaluated"]
    whole = joined([rank["batches"][0] for rank in (first, second)])
    numbers = whole["advantages"]
    numbers = numbers[whole["completion_mask"].bool()] if numbers.ndim == 2 else numbers
    assert first["logged"]["advantages/mean"] == pytest.approx(numbers.mean().item(), abs=1e-6)
    for rank in (first, second):
        assert rank["losses"][0]["advantages"].shape[0] == 6


def test_the_batches_are_what_they_should_be(runs):
    """A group that spans the processes, and responses whose longest is not the same."""
    lengths = {tuple(rank["batches"][0]["completion_ids"].shape[1] for rank in run) for run in runs.values()}
    assert any(one != other for one, other in lengths), lengths
    whole = joined([rank["batches"][0] for rank in runs["lampo"]])
    prompts = whole["prompt_ids"].tolist()
    assert prompts[4:8] == [prompts[4]] * 4
