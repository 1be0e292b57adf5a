"""Stopping and taking up again: all that a run's next step depends on, written whole or not at all."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch

from .loop import Training

__all__ = ["latest", "restore", "save"]


def save(training: Training, folder: Path) -> None:
    """Write `folder/step-N`: tensors as safetensors, the rest as JSON; then remove older ones.

    It is written under another name, flushed to disk, and renamed, so that a crash leaves the last one as it was.
    Every process must call this; the main one writes.
    """
    from safetensors.torch import save_file

    tensors, facts = _state(training)
    if training.world.main:
        final, partial = folder / f"step-{training.done}", folder / f"step-{training.done}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_file(tensors, partial / "state.safetensors")
        (partial / "state.json").write_text(json.dumps(facts, indent=2) + "\n")
        for file in partial.iterdir():
            _flush(file)
        _flush(partial)
        if final.exists():
            shutil.rmtree(final)
        partial.rename(final)
        _flush(folder)
        for other in folder.glob("step-*"):
            if other != final:
                shutil.rmtree(other)
    training.world.accelerator.wait_for_everyone()


def latest(folder: Path) -> Path | None:
    """The last complete checkpoint in a folder, or None."""
    found = [path for path in folder.glob("step-*") if path.suffix != ".partial"]
    return max(found, key=lambda path: int(path.name.removeprefix("step-")), default=None)


def restore(training: Training, checkpoint: Path) -> None:
    """Continue a freshly made training where `checkpoint` was written.

    Raises:
        ValueError: it was written by another number of processes, or for another model.
    """
    from safetensors.torch import load_file
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_state_dict

    facts = json.loads((checkpoint / "state.json").read_text())
    if facts["processes"] != training.world.size:
        raise ValueError(
            f"train: {checkpoint} was written by {facts['processes']} processes but there are {training.world.size}; "
            "start as many"
        )
    tensors = load_file(checkpoint / "state.safetensors")
    weights: dict[str, Any] = {
        name.removeprefix("model."): x for name, x in tensors.items() if name.startswith("model.")
    }
    state: dict[str, Any] = {}
    for key, x in tensors.items():
        if key.startswith("optimizer."):
            name, _, kind = key.removeprefix("optimizer.").rpartition(".")
            state.setdefault(name, {})[kind] = x
    try:
        set_state_dict(
            training.model,
            _bare(training.optimizer),
            model_state_dict=weights,
            optim_state_dict={"state": state, "param_groups": facts["param_groups"]},
            options=StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True, strict=False),
        )
    except (KeyError, RuntimeError) as error:
        raise ValueError(
            f"train: {checkpoint} does not fit this model ({' '.join(str(error).split())[:200]})"
        ) from None
    training.done = facts["done"]
    training.source.restore(facts["source"])
    _set_random_state(training, tensors)


def _state(training: Training) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict

    states: Any = get_state_dict(
        training.model,
        _bare(training.optimizer),
        options=StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True),
    )
    model, optimizer = states
    seen: set[int] = set()
    tensors = {}
    for name, x in model.items():
        if isinstance(x, torch.Tensor) and x.data_ptr() not in seen:  # tied weights are stored once
            seen.add(x.data_ptr())
            tensors[f"model.{name}"] = x.contiguous()
    for name, kinds in optimizer.get("state", {}).items():
        for kind, x in kinds.items():
            tensors[f"optimizer.{name}.{kind}"] = torch.as_tensor(x).contiguous()
    own = {"cpu": torch.get_rng_state()}
    if training.world.device.type == "cuda":
        own["cuda"] = torch.cuda.get_rng_state(training.world.device)
    for rank, states in enumerate(training.world.everyones(own)):
        tensors |= {f"random.{rank}.{device}": x.clone() for device, x in states.items()}
    facts = {
        "done": training.done,
        "processes": training.world.size,
        "source": training.source.state(),
        "param_groups": optimizer.get("param_groups", []),
    }
    return tensors, facts


def _set_random_state(training: Training, tensors: dict[str, torch.Tensor]) -> None:
    rank = training.world.rank
    torch.set_rng_state(tensors[f"random.{rank}.cpu"])
    if f"random.{rank}.cuda" in tensors:
        torch.cuda.set_rng_state(tensors[f"random.{rank}.cuda"], training.world.device)


def _bare(optimizer: Any) -> Any:
    return getattr(optimizer, "optimizer", optimizer)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
