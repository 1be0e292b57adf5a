"""Stopping and taking up again: all that a run's next step depends on, written whole or not at all."""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..files import disk_errors, flush, read_json, sha256, write_json
from .loop import Training

__all__ = ["check_finite", "checkpoints", "latest", "read_facts", "restore", "save", "tensor_errors"]


def save(
    training: Training, folder: Path, *, keep: int = 1, records: Callable[[], Mapping[str, Any]] | None = None
) -> None:
    """Write `folder/step-N`: tensors as safetensors, the rest as JSON, both with checksums.

    It is written under another name, flushed to disk, read back, and renamed, so that whatever happens leaves the last
    one as it was. Then older ones are removed. Every process must call this; the main one writes.

    Args:
        keep: how many checkpoints stay.
        records: gives the marks of what was recorded until now, which the checkpoint goes with.

    Raises:
        ValueError: weights are not finite, or they cannot be written.
    """
    tensors, facts = _state(training)

    def write() -> None:
        try:
            _write(tensors, {**facts, "records": dict(records()) if records is not None else {}}, folder, keep)
        except ValueError as error:
            last = latest(folder)
            raise ValueError(f"{error}" + (f"; the last checkpoint, {last}, is as it was" if last else "")) from None

    training.world.on_main(write)


def latest(folder: Path) -> Path | None:
    """The last complete checkpoint in a folder, or None."""
    return next(iter(checkpoints(folder)), None)


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints in a folder, the last one first."""
    return sorted((path for path in folder.glob("step-*") if _step(path) is not None), key=_step, reverse=True)  # type: ignore[arg-type]


def read_facts(checkpoint: Path) -> dict[str, Any]:
    """What a checkpoint says beside its tensors, when its checksums fit.

    Raises:
        ValueError: it is damaged; the message names the file.
    """
    file, tensors = checkpoint / "state.json", checkpoint / "state.safetensors"
    try:
        facts = read_json(file)
    except ValueError as error:
        raise ValueError(str(error).removesuffix("; restore it")) from None
    if missing := [name for name in ("done", "processes", "source", "param_groups") if name not in facts]:
        raise ValueError(f"{file} is damaged (it has no {missing[0]})")
    if facts["done"] != _step(checkpoint):
        raise ValueError(f"{file} is damaged (it is of step {facts['done']})")
    if not tensors.is_file():
        raise ValueError(f"{tensors} is gone")
    if "tensors" in facts and sha256(tensors) != facts["tensors"]:
        raise ValueError(f"{tensors} is damaged (its checksum does not fit)")
    return facts


def check_finite(tensors: Mapping[str, Any], what: str) -> None:
    """Refuse tensors that are not finite.

    Raises:
        ValueError: one is not; the message names it.
    """
    bad = [name for name, x in tensors.items() if x.is_floating_point() and not bool(x.isfinite().all())]
    if bad:
        more = f", nor are {len(bad) - 1} others" if len(bad) > 1 else ""
        raise ValueError(
            f"{what}: {bad[0]} is not finite{more}, so nothing was saved; lower --rate, or raise --kl, and start "
            "from the last checkpoint or anew"
        )


@contextmanager
def tensor_errors(path: Path) -> Iterator[None]:
    """Within, what the disk refuses is a sentence, also where safetensors says it.

    Raises:
        ValueError: instead of such an error; it names the file.
    """
    from safetensors import SafetensorError

    with disk_errors(path):
        try:
            yield
        except SafetensorError as error:
            number = re.search(r"os error (\d+)", str(error))
            if number is None:
                raise ValueError(f"{path} cannot be written ({error})") from None
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None


def _write(tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any], folder: Path, keep: int) -> None:
    from safetensors.torch import save_file

    check_finite(tensors, f"after step {facts['done']}")
    final = folder / f"step-{facts['done']}"
    partial, replaced = (final.with_name(final.name + ending) for ending in (".partial", ".replaced"))
    for path in (*folder.glob("step-*.partial"), *folder.glob("step-*.replaced")):
        shutil.rmtree(path, ignore_errors=True)
    file = partial / "state.safetensors"
    try:
        with tensor_errors(file):
            partial.mkdir(parents=True)
            save_file(dict(tensors), file)
            flush(file)
        _prove(tensors, file)
        write_json(partial / "state.json", {**facts, "tensors": sha256(file)}, sealed=True)
        with disk_errors(final):
            if final.exists():
                final.rename(replaced)
            partial.rename(final)
            flush(folder)
    except ValueError:
        shutil.rmtree(partial, ignore_errors=True)  # the room is needed
        raise
    shutil.rmtree(replaced, ignore_errors=True)
    kept = [path for path in checkpoints(folder) if (_step(path) or 0) <= facts["done"]][:keep]
    for path in checkpoints(folder):
        if path not in kept:  # older ones, and those of a future that is taken again
            shutil.rmtree(path, ignore_errors=True)


def _prove(tensors: Mapping[str, torch.Tensor], file: Path) -> None:
    """Read back what was written."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as found:  # pyright: ignore[reportGeneralTypeIssues]
            whole = sorted(found.keys()) == sorted(tensors) and all(
                torch.equal(found.get_tensor(name), x.cpu()) for name, x in tensors.items()
            )
    except (OSError, SafetensorError):
        whole = False
    if not whole:
        raise ValueError(f"{file} does not read back as it was written; look after the disk")


def _step(path: Path) -> int | None:
    found = re.fullmatch(r"step-(0|[1-9][0-9]*)", path.name)
    return int(found[1]) if found is not None and path.is_dir() else None


def restore(training: Training, checkpoint: Path) -> None:
    """Continue a freshly made training where `checkpoint` was written.

    Raises:
        ValueError: it is damaged, or was written by another number of processes, or for another model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_state_dict

    try:
        facts = read_facts(checkpoint)
        tensors = load_file(checkpoint / "state.safetensors")
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{checkpoint} is damaged: {error}; restore it, or start another run") from None
    if facts["processes"] != training.world.size:
        raise ValueError(
            f"{checkpoint} was written by {facts['processes']} processes but there are {training.world.size}; "
            "start as many"
        )
    _check_names(training, tensors, checkpoint)
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
        raise ValueError(f"{checkpoint} does not fit this model ({' '.join(str(error).split())[:200]})") from None
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


def _check_names(training: Training, tensors: Mapping[str, torch.Tensor], checkpoint: Path) -> None:
    """Refuse a checkpoint that lacks tensors of the model or its optimizer, which would stay as they are."""
    expected, _ = _state(training)
    for name, x in expected.items():
        if name.startswith("random.") and not name.endswith(".cpu"):
            continue  # written on another device
        if name not in tensors:
            raise ValueError(f"{checkpoint / 'state.safetensors'} has no {name}; restore it, or start another run")
        if tensors[name].shape != x.shape:
            raise ValueError(
                f"{checkpoint} does not fit this model ({name} is {tuple(tensors[name].shape)}, not {tuple(x.shape)})"
            )


def _set_random_state(training: Training, tensors: dict[str, torch.Tensor]) -> None:
    rank = training.world.rank
    torch.set_rng_state(tensors[f"random.{rank}.cpu"])
    if f"random.{rank}.cuda" in tensors:
        torch.cuda.set_rng_state(tensors[f"random.{rank}.cuda"], training.world.device)


def _bare(optimizer: Any) -> Any:
    return getattr(optimizer, "optimizer", optimizer)
