"""Steps and runs of as many processes as there are: python tests/training/runs_of_processes.py FOLDER OPTION ..."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def end(function: Callable[[], Any]) -> Any:
    """What a command returns, or says as it ends."""
    try:
        return function()
    except SystemExit as error:
        return error.code


def main(root: str, *options: str) -> None:
    import torch
    from steps_of_processes import steps

    from advantages.cli import main
    from advantages.files import claim
    from advantages.training import experiment
    from advantages.training.distributed import Distributed

    leave, Distributed.__exit__ = Distributed.__exit__, lambda *_: None  # type: ignore[method-assign,assignment]

    class Stopping(experiment.Training):
        def step(self) -> dict[str, float | None]:
            metrics = super().step()
            if self.done == 3 and not self.world.main:
                signal.raise_signal(signal.SIGTERM)  # in one process, which is not the one that writes
            return metrics

    def train(*more: str) -> Any:
        return end(lambda: main(["train", "--runs", root, *more]))

    def held() -> str:
        """What is said by a process that would hold a folder that the main one holds."""
        with experiment.processes(experiment.Config(device="cpu")) as world:
            with world.held(lambda: claim(Path(root) / "held")) as folder:
                assert world.everyones(folder) == [folder] * world.size
                try:
                    with world.held(lambda: claim(folder)):
                        return "held twice"
                except ValueError as error:
                    said = str(error)
            world.accelerator.wait_for_everyone()
            return f"{said}: {(Path(root) / 'held').exists()}"

    metrics = steps(Path(root, "steps"))
    found = {"held": end(held), "whole": train(*options, "--name", "whole")}
    whole, experiment.Training = experiment.Training, Stopping  # type: ignore[misc]
    found["stopped"] = train(*options, "--name", "parts")
    experiment.Training = whole  # type: ignore[misc]
    found["resumed"] = end(lambda: main(["train", "--resume", f"{root}/parts"]))
    found["named"] = train(*options, "--name", "parts")
    size = torch.distributed.get_world_size()
    leave(experiment.processes(experiment.Config(device="cpu")))  # one group of processes serves all commands
    assert not torch.distributed.is_initialized(), "a process group that is left open can abort a process at its end"
    Path(root, f"rank-{os.environ['RANK']}.json").write_text(
        json.dumps({"processes": size, "metrics": metrics, "said": found})
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
